"""Means over steps of which some are padding."""

from __future__ import annotations

from typing import Any, Optional

from keras import ops


def masked_mean(x: Any, axes: list, mask: Optional[Any], keepdims: bool = False) -> Any:
    """The mean of `x` over `axes`, without the places where `mask` is false.

    Args:
        x: `(batch, steps, ..., features)`.
        mask: true where a step counts, of the first axes of `x`; None counts all. Where no step counts the mean
            is 0.
    """
    if mask is None:
        return ops.mean(x, axis=axes, keepdims=keepdims)
    weight = ops.cast(mask, x.dtype)
    for _ in range(len(x.shape) - len(mask.shape)):
        weight = ops.expand_dims(weight, -1)
    weight = weight + ops.zeros_like(x)
    total = ops.sum(weight, axis=axes, keepdims=keepdims)
    one = ops.ones_like(total)
    return ops.sum(x * weight, axis=axes, keepdims=keepdims) / ops.maximum(total, one)
