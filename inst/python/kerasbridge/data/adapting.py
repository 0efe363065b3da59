"""Preprocessing layers learn from data: `adapt` and vocabularies."""

from __future__ import annotations

import inspect
from typing import Any, Optional

from kerasbridge.errors import ArgumentError, UnsupportedError
from kerasbridge.runtime.starting import tensorflow


def adapt(
    layer: Any, data: Any, batch_size: Optional[int] = None, steps: Optional[int] = None
) -> Any:
    """Let a preprocessing layer or a FeatureSpace learn from arrays, a dict of columns, a dataset.

    `batch_size` and `steps` go to the layers that take them and are refused by the others.
    """
    method = getattr(layer, "adapt", None)
    if method is None:
        raise ArgumentError(
            f"A {type(layer).__name__} learns nothing from data ahead of training.",
            hint="Preprocessing layers do, such as a normalization or a text vectorization.",
            argument="object",
        )
    given = {"batch_size": batch_size, "steps": steps}
    given = {name: value for name, value in given.items() if value is not None}
    known = inspect.signature(method).parameters
    if isinstance(data, dict):
        tf = tensorflow("Learning from columns")
        data = tf.data.Dataset.from_tensor_slices(data).batch(given.pop("batch_size", None) or 32)
    for name in given:
        if name not in known:
            raise UnsupportedError(
                f"{type(layer).__name__} of the installed Keras takes no `{name}` to learn.",
                hint=f"Leave `{name}` out.",
                argument=name,
            )
    method(data, **given)
    return layer


def get_vocabulary(layer: Any, include_special_tokens: bool = True) -> list:
    """The vocabulary of a lookup or text layer as plain strings or whole numbers."""
    if not hasattr(layer, "get_vocabulary"):
        raise ArgumentError(f"A {type(layer).__name__} has no vocabulary.", argument="object")
    found = layer.get_vocabulary(include_special_tokens=include_special_tokens)
    return [int(v) if hasattr(v, "__index__") else str(v) for v in found]
