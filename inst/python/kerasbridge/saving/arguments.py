"""Arguments that an object's own `get_config()` leaves out.

In Keras up to 3.15 `Huber(delta=0.3)` writes no `delta`, the classes for cosine similarity and
SparseCategoricalCrossentropy no `axis`; before 3.4 `Dense(activity_regularizer=...)` no regularizer. Read back,
they would compute something else, without a word.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import Any, Iterator

import keras

from kerasbridge.runtime import structures
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.saving.programs import each_layer


def left_out(target: Any) -> dict:
    """Arguments that a loss, metric or dense layer of Keras was made with and that its configuration lacks."""
    if isinstance(target, keras.layers.Dense):
        kept = target.activity_regularizer
        lacks = kept is not None and "activity_regularizer" not in target.get_config()
        return {"activity_regularizer": keras.regularizers.serialize(kept)} if lacks else {}
    given = getattr(target, "_fn_kwargs", None)
    cls = type(target)
    if not isinstance(given, dict) or cls.__module__.split(".")[0] != "keras":
        return {}
    taken = inspect.signature(cls.__init__).parameters
    config = target.get_config()
    return {name: value for name, value in given.items() if name in taken and name not in config}


@contextlib.contextmanager
def arguments_kept(target: Any) -> Iterator[None]:
    """While Keras writes `target`, a loss, a metric, a layer or a model, no argument is left out."""
    compiled = getattr(getattr(target, "_compile_config", None), "config", None)
    parts = (
        [compiled.get(k) for k in ("loss", "metrics", "weighted_metrics")] if compiled else [target]
    )
    if keras_before(3, 4):
        parts += [layer for layer in each_layer(target) if layer is not target]
    changed = []
    try:
        for part in structures.flatten(parts):
            lost = left_out(part)
            if lost:
                own = part.get_config
                part.get_config = lambda own=own, lost=lost: {**own(), **lost}
                changed.append(part)
        yield
    finally:
        for part in changed:
            del part.get_config
