"""What functions and small objects written in R were called with: the shapes, by which they are written down.

A model that is saved tells which functions it has, but not what they are given. So each remembers the forms
of its calls, a handful of them. A form is a dict:

* `inputs`: a list of [shape, dtype], one for each tensor;
* `args`, `kwargs`: the arguments, those by name in the order of the names, with `{"tensor": number}` in the
  place of each tensor.
"""

from __future__ import annotations

import numbers
from typing import Any, Optional

MOST = 8  # forms that are remembered of one function


def form_of(args: tuple, kwargs: dict) -> Optional[dict]:
    """The form of a call, or None where an argument is neither a tensor nor a plain value."""
    inputs: list = []
    try:
        return {
            "inputs": inputs,
            "args": [_plain(value, inputs) for value in args],
            "kwargs": {name: _plain(value, inputs) for name, value in sorted(kwargs.items())},
        }
    except (TypeError, ValueError):  # ValueError: a TensorFlow tensor of unknown rank
        return None


def _plain(value: Any, inputs: list) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Real) and not hasattr(value, "shape"):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(value, (list, tuple)) or type(value).__name__ == "TensorShape":
        return [_plain(item, inputs) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, inputs) for key, item in sorted(value.items())}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        import keras

        # an axis without a size is None, or a symbol where JAX follows a function
        shape = [int(axis) if isinstance(axis, numbers.Integral) else None for axis in value.shape]
        inputs.append([shape, keras.backend.standardize_dtype(value.dtype)])
        return {"tensor": len(inputs) - 1}
    raise TypeError(type(value).__name__)


def remember(forms: dict, args: tuple, kwargs: dict) -> None:
    """Add the form of a call to `forms`, a dict that belongs to one function."""
    if len(forms) >= MOST:
        return
    form = form_of(args, kwargs)
    if form is not None:
        forms.setdefault(repr(form), form)
