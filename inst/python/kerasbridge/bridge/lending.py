"""Vectors of R, read where they lie.

reticulate takes a vector over without a copy only if nothing else in R holds it, which a column of a
data frame never is. R tells the address of a vector (`rlang::obj_address()`), and R's own functions,
found in the running process, tell what is there. The memory is lent for one call: R keeps the vector
while the call runs, and nothing that is returned may still point at it (`owned`).
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any, Iterable, Optional, Sequence

import numpy as np

# R's number of a type -> the type of its elements
_TYPES = {10: np.int32, 13: np.int32, 14: np.float64}


@functools.cache
def _r() -> Optional[Any]:
    """The functions of R in this process, or None where there are none or they can't be found."""
    try:
        library = ctypes.PyDLL("R.dll" if os.name == "nt" else None)
        kind, length, data = library.TYPEOF, library.Rf_xlength, library.DATAPTR_OR_NULL
    except (OSError, AttributeError):
        return None
    for function, result in ((kind, ctypes.c_int), (length, ctypes.c_ssize_t)):
        function.argtypes, function.restype = [ctypes.c_void_p], result
    data.argtypes, data.restype = [ctypes.c_void_p], ctypes.c_void_p
    return kind, length, data


def _found(address: str) -> Optional[tuple]:
    functions = _r()
    if functions is None:
        return None
    kind, length, data = functions
    vector = int(address, 16)
    dtype = _TYPES.get(kind(vector))
    # a vector that R keeps in some other form has no memory to point at
    start = data(vector) if dtype is not None else None
    return (start, dtype, length(vector)) if start else None


def lendable(addresses: Sequence[str]) -> list:
    """For each vector of R whether it can be read where it lies."""
    return [_found(address) is not None for address in addresses]


def lent(address: str) -> np.ndarray:
    """The vector at `address` as a read-only array over R's memory, on R's thread and for this call.

    Raises:
        ValueError: it can't be read where it lies; ask `lendable` first.
    """
    found = _found(address)
    if found is None:
        raise ValueError("This vector of R can't be read where it lies.")
    start, dtype, length = found
    memory = (ctypes.c_char * (length * np.dtype(dtype).itemsize)).from_address(start)
    values = np.frombuffer(memory, dtype)
    values.flags.writeable = False
    return values


def received(columns: Iterable[dict]) -> tuple[list, list]:
    """Columns as R sends them with the lent ones looked up, and the arrays that are lent."""
    out, arrays = [], []
    for column in columns:
        if "address" in column:
            values = lent(column["address"])
            arrays.append(values)
            column = {**column, "values": values}
        out.append(column)
    return out, arrays


def owned(value: Any, arrays: Sequence[np.ndarray]) -> Any:
    """`value` (an array, or a list or dict of them) with nothing in it that is only lent."""
    if isinstance(value, np.ndarray):
        lends = any(np.may_share_memory(value, array) for array in arrays)
        return value.copy() if lends else value
    if isinstance(value, dict):
        return {key: owned(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(owned(item, arrays) for item in value)
    return value
