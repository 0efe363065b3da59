"""Values on their way between R and Python: arrays, tuples, slices, nested results."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Optional, Sequence

import numpy as np

from kerasbridge.runtime import recording


def as_tuple(values: Sequence) -> tuple:
    """A tuple of the values R sent (R has no tuples)."""
    return tuple(values)


def as_list(values: Sequence) -> list:
    """A list, also where R would have sent a single value bare."""
    return list(values)


def plain_dict(values: dict) -> dict:
    """A dict of the same content that R takes for one."""
    return dict(values)


def as_dict(keys: Sequence[str], values: Sequence) -> dict:
    """A dict from names and values; a name that is a whole number becomes an int key."""
    return {
        (int(k) if isinstance(k, str) and k.lstrip("-").isdigit() else k): v
        for k, v in zip(keys, values)
    }


def without_tuple_names(value: Any) -> Any:
    """A tuple with named fields, as some backends return, as a dict: in R a named list."""
    # (those of PyTorch have no `_fields`)
    fields = getattr(value, "_fields", getattr(value, "__match_args__", None))
    if not isinstance(value, tuple) or fields is None:
        return value
    return dict(zip(fields, value))


def with_parameters(function: Any, names: Sequence[str], optional: Sequence[bool]) -> None:
    """Make the names of an R function's parameters visible to `inspect.signature()`.

    What follows an optional parameter counts as optional, too: Python has no other way.
    """
    parameters = []
    late = False
    for name, has_default in zip(names, optional):
        late = late or has_default
        default = None if late else inspect.Parameter.empty
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters.append(inspect.Parameter(name, kind, default=default))
    function.__signature__ = inspect.Signature(parameters)


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
    made = keras.ops.convert_to_tensor(np.asarray(array, dtype=want, order="C"))
    recorded = recording.current()
    return made if recorded is None else recorded.result(made)


def data_array(value: Any) -> np.ndarray:
    """Training data from R: a column-ordered double array becomes one row-ordered float32 block.

    Text of several axes becomes a TensorFlow tensor, the only form in which Keras takes it.
    """
    from kerasbridge.data.blocks import row_block

    array = np.asarray(value)
    if array.dtype.kind in "OUS" and array.ndim > 1:
        import keras

        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            return tf.constant(array.astype(object), dtype=tf.string)
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
    if hasattr(part, "toarray"):  # a sparse matrix: one batch of it is small
        return part.toarray()
    return own_array(part) if isinstance(part, np.ndarray) else part


def puller(function: Callable[[], Any]) -> Callable[[], Any]:
    """A function of R that returns a batch as nested lists, as one that returns a tuple of arrays."""

    def pull() -> Any:
        batch = function()
        return None if batch is None else tuple(_own_parts(part) for part in batch)

    return pull


def sparse_rows(layout: str, first: Any, second: Any, values: Any, shape: Sequence[int]) -> Any:
    """A float32 CSR matrix (rows, columns) from the parts of a sparse matrix of R.

    Args:
        layout: "csc" (row of each value, start of each column), "csr" (column of each value, start
            of each row) or "coo" (row and column of each value; those of one place add up).
        values: numbers, or None where every stored one is 1.
    """
    from scipy import sparse

    first, second = np.asarray(first), np.asarray(second)
    shape = tuple(int(axis) for axis in shape)
    values = np.ones(len(first)) if values is None else np.asarray(values)
    values = values.astype(np.float32)
    if layout == "coo":
        return sparse.coo_matrix((values, (first, second)), shape=shape).tocsr()
    make = sparse.csc_matrix if layout == "csc" else sparse.csr_matrix
    return make((values, first, second), shape=shape).tocsr()


def to_r_array(value: Any) -> Any:
    """A tensor or variable as a NumPy array R can hold (half precision becomes float32)."""
    import keras

    recording.refuse("it reads the values of a tensor into R")
    array = np.asarray(keras.ops.convert_to_numpy(value))
    if array.dtype.name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
        return array.astype(np.float32)
    if array.dtype == np.uint32:
        return array.astype(np.float64)
    if array.dtype == object:  # a tensor of texts holds their UTF-8 bytes
        # as objects: reticulate 1.28 reads arrays of NumPy's own text type in the wrong order
        texts = np.empty(array.shape, dtype=object)
        for place, x in np.ndenumerate(array):
            texts[place] = x.decode("utf-8", "replace") if isinstance(x, bytes) else x
        return texts
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


def model_octets(model: Any, include_optimizer: bool = True) -> bytearray:
    """A whole model as the kind of bytes that become a raw vector in R."""
    from kerasbridge.saving import model_to_bytes

    return bytearray(model_to_bytes(model, include_optimizer))
