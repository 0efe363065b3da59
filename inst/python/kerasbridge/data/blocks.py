"""From columns to one row-major float32 block, without a second copy.

R keeps a matrix column by column in doubles; Keras wants rows of float32. Converting in two steps
(`astype`, then `ascontiguousarray`) holds two results at once and walks memory against the grain.
Here each thread takes a range of rows and fills it in tiles that stay in the cache. Columns that lie
apart are cast one by one and laid out in rows from there, in larger tiles: threads wait for each other
at the interpreter lock between any two calls of numpy.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Optional, Sequence, Union

import numpy as np

from kerasbridge.errors import DataError

ALIGNMENT = 64  # bytes; a backend may then take the memory over as it is
_RANGE_ROWS = 4096  # rows of a tile of a matrix; a thread's rows come in multiples of it
_LINE = 16  # columns of it: a line of the cache in float32
_TILE_ROWS = 32768  # rows and columns of a tile of columns that lie apart
_TILE_COLUMNS = 32
_TILE_GAP = 24  # elements between them, or they would meet in the same few lines of the cache
_ARRAY_ROWS = 512  # rows of a tile that holds whole cases
_SMALL = 1 << 16  # elements; below this threads cost more than they save


def empty_block(shape: Sequence[int], dtype: Union[str, np.dtype] = "float32") -> np.ndarray:
    """An uninitialised row-major array whose memory starts at a multiple of 64 bytes."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return _laid_out(np.empty(size + ALIGNMENT, dtype=np.uint8), shape, np.dtype(dtype))


def _laid_out(memory: np.ndarray, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(tuple(shape))


def _references(kept: list) -> list:
    """How often Python counts each of these arrays as held."""
    return [sys.getrefcount(memory) for memory in kept]


# what it counts where the list alone holds one, which differs between versions of Python
_UNHELD = _references([np.empty(1, np.uint8)])[0]


class Blocks:
    """Blocks whose memory is used again as soon as nobody holds them, nor a part of them.

    Fresh memory for every batch costs time of the system, which clears each page of it. A few pieces are kept,
    large ones not.
    """

    _KEPT = 4
    _LARGE = 1 << 26  # bytes

    def __init__(self) -> None:
        self._kept: list = []
        self._lock = threading.Lock()

    def empty(self, shape: Sequence[int], dtype: Union[str, np.dtype] = "float32") -> np.ndarray:
        """As `empty_block`."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize + ALIGNMENT
        # who can't have the lock at once (a fork may have left it locked) does without
        if size > self._LARGE or not self._lock.acquire(blocking=False):
            return empty_block(shape, dtype)
        try:
            for memory, held in zip(self._kept, _references(self._kept)):
                if len(memory) >= size and held == _UNHELD:
                    return _laid_out(memory, shape, dtype)
            block = empty_block(shape, dtype)
            self._kept = [*self._kept[1 - self._KEPT :], block.base]
            return block
        finally:
            self._lock.release()


def cores() -> int:
    """Processor cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def row_block(
    columns: Union[np.ndarray, Sequence[np.ndarray]],
    dtype: Union[str, np.dtype] = "float32",
    threads: Optional[int] = None,
) -> np.ndarray:
    """One row-major block from a matrix in any order, or from a list of equally long columns.

    Args:
        columns: array (rows, d1, ...) of numbers or logicals, usually a column-major float64 view
            of an R matrix; or a list of vectors (rows,), one per column, of any numeric types.
        dtype: type of the result.
        threads: how many threads fill it; None for one per core.

    Returns:
        C-contiguous array (rows, d1, ...) or (rows, number of columns), aligned to 64 bytes. Apart
        from a tile of at most 2^20 elements for each thread nothing else is allocated.

    Raises:
        DataError: columns of different lengths, or values that are not numbers.
    """
    dtype = np.dtype(dtype)
    if isinstance(columns, np.ndarray):
        source: Union[np.ndarray, list] = columns
        if columns.ndim == 0:
            raise DataError("A single value has no rows.", argument="columns")
        kinds = [columns.dtype]
        shape = columns.shape
    else:
        source = [np.asarray(column) for column in columns]
        if not source:
            raise DataError("There are no columns.", argument="columns")
        kinds = [column.dtype for column in source]
        rows = {column.shape for column in source}
        if len(rows) != 1 or len(source[0].shape) != 1:
            sizes = ", ".join(str(column.shape) for column in source[:5])
            raise DataError(
                f"The columns are not vectors of one length: {sizes}.", argument="columns"
            )
        shape = (source[0].shape[0], len(source))
    wrong = [str(kind) for kind in kinds if kind.kind not in "biuf"]
    if wrong:
        raise DataError(
            f"Columns hold {wrong[0]} values; only numbers and logicals can be put in a block.",
            hint="Turn text and dates into numbers first.",
            argument="columns",
        )
    block = empty_block(shape, dtype)
    if block.size == 0:
        return block
    try:
        _fill_all(block, source, threads)
    except FloatingPointError as error:
        raise DataError(
            f"A number is too large for {dtype}, which ends at {np.finfo(dtype).max:.2g}.",
            hint="Divide the values by a power of ten, or take their logarithm.",
            argument="columns",
        ) from error
    return block


def finite_block(
    columns: Sequence[np.ndarray], threads: Optional[int] = None
) -> Optional[np.ndarray]:
    """As `row_block` for vectors of float64, if every number is finite and float32 can hold it; else None.

    Looking while the numbers are in the cache costs a third of a pass over the columns of its own.
    """
    rows = {column.shape for column in columns}
    if len(rows) != 1 or any(column.dtype != np.float64 for column in columns):
        return None
    block = empty_block((*rows.pop(), len(columns)))
    if block.ndim != 2 or block.size == 0:
        return None
    try:
        _fill_all(block, list(columns), threads, finite=True)
    except FloatingPointError:
        return None
    return block


def _fill_all(
    block: np.ndarray,
    source: Union[np.ndarray, list],
    threads: Optional[int],
    finite: bool = False,
) -> None:
    shape = block.shape
    workers = min(threads or cores(), max(1, shape[0] // _RANGE_ROWS))
    if block.size < _SMALL:
        workers = 1
    if workers == 1:
        return _fill(block, source, 0, shape[0], finite)
    step = -(-shape[0] // workers // _RANGE_ROWS) * _RANGE_ROWS
    ranges = [(at, min(at + step, shape[0])) for at in range(0, shape[0], step)]
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(_fill, block, source, a, b, finite) for a, b in ranges]:
            done.result()


def _fill(
    block: np.ndarray, source: Union[np.ndarray, list], first: int, last: int, finite: bool
) -> None:
    # R's NA is a NaN that processors speak up about
    with np.errstate(over="raise", invalid="ignore"):
        _fill_tiles(block, source, first, last, finite)


def _fill_tiles(
    block: np.ndarray, source: Union[np.ndarray, list], first: int, last: int, finite: bool
) -> None:
    """Convert rows first .. last - 1. numpy lets go of the interpreter lock within each tile.

    Raises:
        FloatingPointError: a number too large, or of separate columns one that isn't `finite`.
    """
    if isinstance(source, np.ndarray) and (source.flags.c_contiguous or source.ndim == 1):
        np.copyto(block[first:last], source[first:last], casting="unsafe")
        return
    if isinstance(source, np.ndarray) and source.ndim > 2:
        # column-major: the first axis runs fastest, so a tile is a range of rows and all the rest
        for at in range(first, last, _ARRAY_ROWS):
            end = min(at + _ARRAY_ROWS, last)
            np.copyto(block[at:end], source[at:end], casting="unsafe")
        return
    if isinstance(source, np.ndarray):
        return _fill_from_matrix(block[first:last], source[first:last])
    groups = -(-len(source) // _TILE_COLUMNS)
    each = -(-len(source) // groups)
    for left in range(0, len(source), each):
        columns = [column[first:last] for column in source[left : left + each]]
        _fill_from_columns(block[first:last, left : left + each], columns, finite)


def _fill_from_matrix(block: np.ndarray, source: np.ndarray) -> None:
    for at in range(0, len(block), _RANGE_ROWS):
        for left in range(0, block.shape[1], _LINE):
            tile = (slice(at, at + _RANGE_ROWS), slice(left, left + _LINE))
            np.copyto(block[tile], source[tile], casting="unsafe")


def _fill_from_columns(block: np.ndarray, source: list, finite: bool) -> None:
    rows = min(_TILE_ROWS, len(block))
    tile = np.empty((len(source), rows + _TILE_GAP), dtype=block.dtype)
    for at in range(0, len(block), rows):
        part = block[at : at + rows]
        for line, column in zip(tile, source):
            np.copyto(line[: len(part)], column[at : at + rows], casting="unsafe")
        # a sum is finite only if all it is of are (one that is too large raises, as if a number were)
        if finite and not np.isfinite(tile[:, : len(part)].sum(axis=1)).all():
            raise FloatingPointError("not finite")
        np.copyto(part, tile[:, : len(part)].T)
