"""Rows of several arrays at once: tuples, lists and dicts of arrays that share their first axis."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from kerasbridge.data.blocks import empty_block


def flat(nest: Any) -> list:
    """The arrays of a nest in order."""
    if isinstance(nest, dict):
        return [leaf for part in nest.values() for leaf in flat(part)]
    if isinstance(nest, (list, tuple)):
        return [leaf for part in nest for leaf in flat(part)]
    return [nest]


def mapped(convert: Callable[[Any], Any], nest: Any) -> Any:
    """`convert` on each array, in the order of `flat`."""
    if isinstance(nest, dict):
        return {key: mapped(convert, part) for key, part in nest.items()}
    if isinstance(nest, (list, tuple)):
        return type(nest)(mapped(convert, part) for part in nest)
    return convert(nest)


def refilled(nest: Any, arrays: list) -> Any:
    """A nest of the same form that holds `arrays`."""
    left = iter(arrays)
    return mapped(lambda _: next(left), nest)


def rows_of(nest: Any) -> int:
    return len(flat(nest)[0])


def row_bytes(nest: Any) -> int:
    """Bytes of one row; text counts as 64."""
    found = 0
    for array in flat(nest):
        size = int(np.prod(array.shape[1:], dtype=np.int64))
        found += size * (64 if array.dtype.kind in "OSU" else array.dtype.itemsize)
    return max(found, 1)


def empty_like(array: np.ndarray, rows: int) -> np.ndarray:
    """An unfilled array of so many rows like those of `array`."""
    shape = (rows, *array.shape[1:])
    if array.dtype.kind in "OSU":
        return np.empty(shape, dtype=object)
    return empty_block(shape, array.dtype)


def put_rows(target: np.ndarray, places: Any, rows: np.ndarray) -> None:
    """`target[places] = rows`, whole rows moved at once where their memory allows."""
    width = rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
    plain = (
        isinstance(places, np.ndarray)
        and rows.dtype == target.dtype
        and rows.dtype.kind != "O"
        and rows.flags.c_contiguous
        and target.flags.c_contiguous
        and width > 0
    )
    if plain and rows.ndim > 1:
        one = np.dtype((np.void, width))
        count = len(rows)
        target.reshape(len(target), -1).view(one)[places, 0] = rows.reshape(count, -1).view(one)[
            :, 0
        ]
    else:
        target[places] = rows
