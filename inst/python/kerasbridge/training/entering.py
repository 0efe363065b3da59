"""Where training and prediction can't begin: inside of what is being compiled, or on a backend without it."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from kerasbridge.errors import UnsupportedError
from kerasbridge.runtime.starting import backend_name
from kerasbridge.training.compiling import flat_layers, overrides


def check_trains(verb: str) -> None:
    """Refuse to train on a backend that only predicts."""
    if backend_name() == "openvino":
        raise UnsupportedError(
            f"`{verb}` can't be had on the backend openvino, which takes no gradients: it predicts and "
            "evaluates.",
            hint='Train on another backend, save the model, and load it in a session with "openvino".',
        )


# whose own step a verb runs; that of the others is predict_step
_STEP_OF = {"fit": "train", "train_on_batch": "train", "evaluate": "test", "test_on_batch": "test"}


def check_on_backend(model: Any, verb: str) -> None:
    """Refuse what Keras does otherwise on JAX and PyTorch, where it doesn't say so itself.

    On JAX it drops what a compiled step leaves in stateful recurrent layers, which PyTorch can't
    train, and gives a model's own `train_step` the values of all variables beside the data.

    Raises:
        UnsupportedError: names the layer or the step.
    """
    backend = backend_name()
    if backend == "torch" and _STEP_OF.get(verb) == "train":
        for layer in _stateful(model):
            raise UnsupportedError(
                f"`{verb}` on PyTorch can't train the stateful layer '{layer.name}', whose state changes "
                "in the middle of the step.",
                hint="Use the backend TensorFlow, or set the layer's `stateful` to FALSE; predictions work.",
                details={"layer": layer.name},
            )
    if backend != "jax":
        return
    step = f"{_STEP_OF.get(verb, 'predict')}_step"
    if overrides(model, step) and not _takes_two(getattr(model, step)):
        raise UnsupportedError(
            f"The model's {step}() takes the data alone, as on TensorFlow and PyTorch; on JAX Keras hands "
            "it the values of all variables too: (state, data).",
            hint="Write compute_loss() in its place, which is the same on every backend, or choose the "
            "backend it was written for.",
            details={"step": step},
        )
    for layer in _stateful(model):
        raise UnsupportedError(
            f"`{verb}` on JAX begins every batch with an empty state, so the stateful layer "
            f"'{layer.name}' would give other numbers than it should.",
            hint="Use the backend TensorFlow, or set the layer's `stateful` to FALSE where no batch goes "
            "on with the one before. Calling the model, model(x), keeps its state.",
            details={"layer": layer.name},
        )


def _stateful(model: Any) -> list:
    return [layer for layer in flat_layers(model) if getattr(layer, "stateful", False) is True]


def _takes_two(method: Any) -> bool:
    try:
        inspect.signature(method).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # no signature: let Keras try
        pass
    return True


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
