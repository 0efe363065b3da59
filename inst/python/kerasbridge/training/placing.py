"""Arrays on the device once: what can stay there, and turning it into tensors without copies."""

from __future__ import annotations

from typing import Any, Callable, Optional

import keras
import numpy as np
import tensorflow as tf

from kerasbridge.data.blocks import ALIGNMENT, row_block

_SHARE_FROM = 1 << 20  # bytes; smaller arrays are simply copied
_MEMORY_SHARE = 0.6  # of the memory that is free now


class NotResident(Exception):
    """The data, the model or a setting rules the resident loop out; the text says why."""


def nest(data: Any, convert: Callable[[Any], Any]) -> Any:
    """`convert` on each array of a nest of lists, tuples and dicts; lists become tuples.

    Dicts are visited and come back in the order of their keys, as in Keras: the same parts in another order
    are the same data.
    """
    if isinstance(data, dict):
        return {key: nest(data[key], convert) for key in sorted(data, key=str)}
    if isinstance(data, (list, tuple)):
        return tuple(nest(value, convert) for value in data)
    return convert(data)


def packed(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What a step of a model gets: x alone if it is one array, else (x,), (x, y), (x, y, weight).

    (Early versions of `keras.utils.pack_x_y_sample_weight` leave a list bare, which then reads as
    (x, y).)
    """
    if sample_weight is not None:
        return (x, y, sample_weight)
    if y is not None:
        return (x, y)
    return (x,) if isinstance(x, (list, tuple)) else x


def flat(data: Any) -> list:
    """The tensors of a nest, in the order in which `nest` visits them."""
    found: list = []
    nest(data, found.append)
    return found


def available_bytes() -> Optional[int]:
    """Memory that can be had without swapping; None where the system doesn't say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def place(data: Any, what: str = "data") -> Any:
    """The same nest with tensors in place of arrays; floats as `keras.config.floatx()`.

    Raises:
        NotResident: text, ragged, sparse or missing parts, or more than memory allows.
    """
    arrays = nest(data, lambda leaf: as_array(leaf, what))
    floatx = keras.config.floatx()
    wanted = sum(_new_bytes(array, floatx) for array in flat(arrays))
    free = available_bytes()
    if free is not None and wanted > _MEMORY_SHARE * free:
        raise NotResident(f"the {what} do not fit in memory ({wanted >> 20} MiB wanted)")
    try:
        return nest(arrays, lambda leaf: to_tensor(leaf, floatx))
    except tf.errors.ResourceExhaustedError as error:
        raise NotResident(f"the {what} do not fit on the device") from error


def as_array(leaf: Any, what: str) -> Any:
    """One array of a nest as numpy array or dense tensor of numbers; NotResident otherwise."""
    if leaf is None:
        raise NotResident(f"a part of the {what} is missing")
    if isinstance(leaf, (tf.RaggedTensor, tf.SparseTensor)):
        raise NotResident(f"the {what} are ragged or sparse")
    if isinstance(leaf, tf.Variable):
        leaf = leaf.value()
    if isinstance(leaf, tf.Tensor):
        if leaf.dtype == tf.string:
            if tf.config.list_logical_devices("GPU"):
                raise NotResident(f"the {what} hold text, which does not go to a graphics card")
        elif not (leaf.dtype.is_floating or leaf.dtype.is_integer or leaf.dtype.is_bool):
            raise NotResident(f"the {what} hold {leaf.dtype.name} values")
        return leaf
    if not hasattr(leaf, "shape") or hasattr(leaf, "tocsr"):
        raise NotResident(f"the {what} are not plain arrays")
    try:
        array = np.asarray(leaf)
    except Exception as error:
        raise NotResident(f"the {what} are not plain arrays") from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise NotResident(f"the {what} hold {array.dtype} values")
    return array


def _new_bytes(array: Any, floatx: str) -> int:
    """Bytes that placing this array will allocate."""
    if isinstance(array, tf.Tensor):
        cast = array.dtype.is_floating and array.dtype.name != floatx
        return int(np.prod(array.shape)) * np.dtype(floatx).itemsize if cast else 0
    size = np.dtype(floatx).itemsize if array.dtype.kind == "f" else array.dtype.itemsize
    return 0 if _can_share(array, floatx) else array.size * size


def _can_share(array: np.ndarray, floatx: str) -> bool:
    return (
        array.nbytes >= _SHARE_FROM
        and array.flags.c_contiguous
        and array.flags.writeable
        and array.ctypes.data % ALIGNMENT == 0
        and (array.dtype.kind != "f" or array.dtype.name == floatx)
        and array.dtype.kind != "b"
        and not tf.config.list_logical_devices("GPU")
    )


def to_tensor(array: Any, floatx: str) -> tf.Tensor:
    """A tensor over the array's own memory where it can be shared, over a copy elsewhere."""
    if isinstance(array, tf.Tensor):
        wrong = array.dtype.is_floating and array.dtype.name != floatx
        return tf.cast(array, floatx) if wrong else array
    if array.dtype.kind == "f" and (array.dtype.name != floatx or not array.flags.c_contiguous):
        array = row_block(array, floatx)
    elif not array.flags.c_contiguous:
        array = row_block(array, array.dtype)
    if _can_share(array, floatx):
        try:
            return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        except Exception:  # a numpy or TensorFlow that won't share: copy
            pass
    return tf.constant(array)
