"""How many bytes a model's arrays take in a file."""

from __future__ import annotations

import re
from typing import Any


def array_bytes(weight: Any) -> int:
    """Bytes of one variable, by its type and shape."""
    size = 4
    match = re.search(r"(\d+)", str(weight.dtype))
    if match:
        size = max(1, int(match.group(1)) // 8)
    for axis in weight.shape:
        size *= axis
    return size


def stored_size(model: Any, include_optimizer: bool = True) -> int:
    """Bytes of a model's arrays in a file."""
    optimizer = getattr(model, "optimizer", None) if include_optimizer else None
    variables = [*model.weights, *(optimizer.variables if optimizer is not None else [])]
    return sum(array_bytes(variable) for variable in variables)
