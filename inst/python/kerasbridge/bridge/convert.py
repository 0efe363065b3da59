"""Values on their way between R and Python: arrays, tuples, slices, nested results."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import numpy as np


def as_tuple(values: Sequence) -> tuple:
    """A tuple of the values R sent (R has no tuples)."""
    return tuple(values)


def as_list(values: Sequence) -> list:
    """A list, also where R would have sent a single value bare."""
    return list(values)


def as_dict(keys: Sequence[str], values: Sequence) -> dict:
    """A dict from names and values; a name that is a whole number becomes an int key."""
    return {
        (int(k) if isinstance(k, str) and k.lstrip("-").isdigit() else k): v
        for k, v in zip(keys, values)
    }


def without_tuple_names(value: Any) -> Any:
    """A tuple with named fields, as some backends return, as a dict: in R a named list."""
    fields = getattr(value, "_fields", None)
    if not isinstance(value, tuple) or fields is None:
        return value
    return dict(zip(fields, value))


def as_slice(start: Optional[int], stop: Optional[int], step: Optional[int]) -> slice:
    """A Python slice; None leaves an end open."""
    return slice(start, stop, step)


_TENSOR_DTYPES = {"float64": "float32", "complex128": "complex64"}


def as_array(value: Any, dtype: Optional[str] = None) -> np.ndarray:
    """A C-ordered NumPy array of the values, in `dtype` if one is given."""
    return np.ascontiguousarray(np.asarray(value, dtype=dtype))


def as_tensor(value: Any, dtype: Optional[str] = None) -> Any:
    """A tensor of the running backend: doubles become float32, integers int32, or `dtype`.

    Shape and values are kept. Some Keras functions take tensors but no NumPy arrays. Strings, which
    not every backend has, stay a C-ordered array.
    """
    array = np.asarray(value)
    if array.dtype.kind in "USO":
        return np.ascontiguousarray(array) if array.ndim else array
    import keras

    want = dtype or _TENSOR_DTYPES.get(array.dtype.name, array.dtype.name)
    return keras.ops.convert_to_tensor(np.asarray(array, dtype=want, order="C"))


def data_array(value: Any) -> np.ndarray:
    """Training data from R: a column-ordered double array becomes one row-ordered float32 block."""
    from kerasbridge.data.blocks import row_block

    array = np.asarray(value)
    if array.dtype == np.float64 and array.ndim:
        return row_block(array)
    return np.ascontiguousarray(array) if array.ndim else array


def own_array(value: Any) -> Any:
    """As `data_array`, and never a view of memory of R, which only R's thread may let go."""
    array = data_array(value)
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return array if isinstance(base, np.ndarray) else array.copy()


def _own_parts(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _own_parts(value) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_own_parts(value) for value in part]
    return own_array(part) if isinstance(part, np.ndarray) else part


def puller(function: Callable[[], Any]) -> Callable[[], Any]:
    """A function of R that returns a batch as nested lists, as one that returns a tuple of arrays."""

    def pull() -> Any:
        batch = function()
        return None if batch is None else tuple(_own_parts(part) for part in batch)

    return pull


def to_r_array(value: Any) -> Any:
    """A tensor or variable as a NumPy array R can hold (half precision becomes float32)."""
    import keras

    array = np.asarray(keras.ops.convert_to_numpy(value))
    if array.dtype.name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
        return array.astype(np.float32)
    if array.dtype == np.uint32:
        return array.astype(np.float64)
    return array


def shape_of(value: Any) -> list:
    """The static shape of a tensor, variable or symbolic tensor; -1 for an axis of unknown length."""
    shape = value.shape
    if getattr(shape, "rank", 0) is None:  # a TensorFlow shape of unknown rank
        return []
    return [-1 if d is None else int(d) for d in shape]


def dtype_of(value: Any) -> str:
    """The data type of a tensor as Keras spells it, such as "float32"."""
    import keras

    return keras.backend.standardize_dtype(value.dtype)


def as_bytes(value: Any) -> bytes:
    """Bytes from what R's raw vector arrived as."""
    return bytes(value)


def model_octets(model: Any, include_optimizer: bool = True) -> np.ndarray:
    """A whole model as an array of bytes (rows,), which R takes as whole numbers."""
    from kerasbridge.saving import model_to_bytes

    return np.frombuffer(model_to_bytes(model, include_optimizer), dtype=np.uint8).astype(np.int32)
