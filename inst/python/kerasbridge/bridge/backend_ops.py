"""Functions of `keras.ops` that do otherwise on JAX or PyTorch, made of public ones that don't.

Seen with Keras 3.15.1 on JAX 0.6.2 and PyTorch 2.13.0 (2026-11-26). Each takes what the public function takes and
gives what it gives on TensorFlow. "There" is Keras on the backends that have it in `_INSTEAD`.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np
from keras import KerasTensor, ops

from kerasbridge.errors import UnsupportedError


def replacement(symbol: str, backend: str) -> Optional[Callable]:
    """The function to call in place of the public name on `backend`, or None where Keras' own will do."""
    return _INSTEAD.get(backend, {}).get(symbol[len("keras.ops.") :])


def _shape(x: Any) -> tuple:
    return tuple(getattr(x, "shape", np.shape(x)))


def _dot(x1: Any, x2: Any) -> Any:
    # there: batch by batch from three axes on
    first, second = len(_shape(x1)), len(_shape(x2))
    if first < 2 or second < 3:
        return ops.dot(x1, x2)
    return ops.tensordot(x1, x2, axes=[[first - 1], [second - 2]])


def _jvp(fun: Callable, primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    # there: tuples of tensors alone
    primals, tangents = (tuple(map(ops.convert_to_tensor, v)) for v in (primals, tangents))
    return ops.jvp(fun, primals, tangents, has_aux=has_aux)


def _layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: Any = None
) -> Any:
    # there: the last axes alone
    if not isinstance(axis, int) or axis in (-1, len(_shape(x)) - 1):
        return ops.layer_normalization(x, gamma=gamma, beta=beta, axis=axis, epsilon=epsilon)
    x = ops.moveaxis(ops.convert_to_tensor(x), axis, -1)
    x = ops.layer_normalization(x, gamma=gamma, beta=beta, axis=-1, epsilon=epsilon)
    return ops.moveaxis(x, -1, axis)


def _linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    # there: the first axis alone, and no numbers where there is one point between tensors
    made = ops.linspace(start, stop, num, endpoint=endpoint, retstep=retstep, dtype=dtype)
    values, *step = made if retstep else [made]
    if num == 1:
        values = ops.linspace(start, stop, 2, dtype=dtype)[:1]
    values = ops.moveaxis(values, 0, axis)
    return (values, *step) if retstep else values


def _lu_factor(x: Any) -> Any:
    # there: with which row each was swapped, one after the other
    factors, swaps = ops.lu_factor(ops.convert_to_tensor(x))
    swaps = ops.cast(swaps, "int32")
    places = ops.arange(factors.shape[-2], dtype="int32")
    order = places + 0 * swaps[..., :1]
    for row in range(swaps.shape[-1]):
        other = swaps[..., row : row + 1]
        found = ops.where(places == other, order[..., row : row + 1], order)
        order = ops.where(places == row, ops.take_along_axis(order, other, axis=-1), found)
    return factors, order


def _nonzero(x: Any) -> Any:
    # there: all positions in one tensor
    return _by_axis(ops.nonzero(x))


def _pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    # there: "symmetric" repeats the row at the edge
    if mode != "symmetric":
        return ops.pad(x, pad_width, mode=mode, constant_values=constant_values)
    lengths = _shape(x)
    widths = np.broadcast_to(np.asarray(pad_width, "int64"), (len(lengths), 2))
    for axis, (length, width) in enumerate(zip(lengths, widths)):
        if width.any():
            if length is None:
                raise UnsupportedError(
                    "On PyTorch an axis of unknown length can't be padded symmetrically.",
                    hint='Give the input its full shape, or pad with mode = "reflect".',
                    argument="pad_width",
                )
            x = ops.take(x, np.pad(np.arange(length), width, mode="symmetric"), axis=axis)
    return x


def _pool(name: str) -> Callable:
    def pool(
        inputs: Any,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: Optional[str] = None,
    ) -> Any:
        # there: one number for several axes, without strides, isn't understood
        strides = pool_size if strides is None else strides
        return getattr(ops, name)(inputs, pool_size, strides, padding, data_format)

    return pool


def _repeat(x: Any, repeats: Any, axis: Optional[int] = None) -> Any:
    # there: no list (on PyTorch: beside an axis)
    return ops.repeat(
        x, np.asarray(repeats) if isinstance(repeats, (list, tuple)) else repeats, axis
    )


def _segments(name: str) -> Callable:
    def reduce(
        data: Any, segment_ids: Any, num_segments: Optional[int] = None, sorted: bool = False
    ) -> Any:
        # there: the number isn't worked out
        if num_segments is None and not _is_traced(segment_ids) and np.size(segment_ids):
            num_segments = int(ops.max(segment_ids)) + 1
        return getattr(ops, name)(data, segment_ids, num_segments=num_segments, sorted=sorted)

    return reduce


def _is_traced(x: Any) -> bool:
    """Whether the values aren't known yet."""
    import jax

    return isinstance(x, (KerasTensor, jax.core.Tracer))


def _vdot(x1: Any, x2: Any) -> Any:
    # there: vectors alone
    return ops.vdot(ops.reshape(x1, (-1,)), ops.reshape(x2, (-1,)))


def _where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    # there: all positions in one tensor
    found = ops.where(condition, x1, x2)
    return _by_axis(found) if x1 is None and x2 is None else found


def _by_axis(positions: Any) -> Any:
    if not ops.is_tensor(positions):
        return positions
    return tuple(ops.unstack(ops.cast(positions, "int32"), axis=0))


_INSTEAD = {
    "jax": {
        "average_pool": _pool("average_pool"),
        "lu_factor": _lu_factor,
        "max_pool": _pool("max_pool"),
        "repeat": _repeat,
        **{f"segment_{of}": _segments(f"segment_{of}") for of in ("max", "min", "prod", "sum")},
    },
    "torch": {
        "dot": _dot,
        "jvp": _jvp,
        "layer_normalization": _layer_normalization,
        "linspace": _linspace,
        "lu_factor": _lu_factor,
        "nonzero": _nonzero,
        "pad": _pad,
        "repeat": _repeat,
        "vdot": _vdot,
        "where": _where,
    },
}
