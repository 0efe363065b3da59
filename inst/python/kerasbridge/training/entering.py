"""Where training and prediction can't begin: inside of what is being compiled, or on a backend without it."""

from __future__ import annotations

import sys
from typing import Any

from kerasbridge.errors import UnsupportedError
from kerasbridge.runtime.starting import backend_name


def check_trains(verb: str) -> None:
    """Refuse to train on a backend that only predicts."""
    if backend_name() == "openvino":
        raise UnsupportedError(
            f"`{verb}` can't be had on the backend openvino, which takes no gradients: it predicts and "
            "evaluates.",
            hint='Train on another backend, save the model, and load it in a session with "openvino".',
        )


def check_outside_graph(verb: str) -> None:
    """Refuse to train or predict inside a layer, loss or metric that TensorFlow is tracing."""
    tf = sys.modules.get("tensorflow")
    if tf is None or not hasattr(tf, "GradientTape"):
        return
    if verb == "fit" and not _learns(tf):
        raise UnsupportedError(
            "`fit` was called where a variable is being made, such as in an initializer: TensorFlow takes "
            "no gradients there.",
            hint="Train the other model first, and let the initializer use what it has learnt.",
        )
    if tf.inside_function():
        raise UnsupportedError(
            f"`{verb}` was called inside a step that is being compiled, where there are no numbers yet.",
            hint="Do it before training or in a callback, not in a layer, loss or metric.",
        )


def _learns(tf: Any) -> bool:
    """Whether gradients are recorded here."""
    with tf.GradientTape() as tape:
        number = tf.constant(1.0)
        tape.watch(number)
        square = number * number
    return tape.gradient(square, number) is not None
