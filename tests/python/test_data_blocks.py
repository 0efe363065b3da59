"""Column-major doubles to row-major float32, in one block and no second copy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from kerasbridge.data.blocks import ALIGNMENT, Blocks, empty_block, finite_block, row_block
from kerasbridge.errors import DataError


@pytest.mark.parametrize(
    "shape", [(3,), (1, 1), (700, 3), (5000, 37), (2100, 70), (600, 4, 5), (0, 4)]
)
@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("source", ["float64", "int32", "bool"])
def test_values_types_and_memory_layout(shape, order, source):
    values = np.random.default_rng(0).normal(size=shape) * 9
    given = np.asarray(values.astype(source), order=order)
    block = row_block(given, threads=3)
    assert block.dtype == np.float32 and block.shape == shape
    assert block.flags.c_contiguous and (block.size == 0 or block.ctypes.data % ALIGNMENT == 0)
    np.testing.assert_array_equal(block, given.astype("float32"))


@pytest.mark.parametrize(("rows", "times"), [(4000, 30), (70001, 13), (1, 1)])
def test_a_list_of_columns_of_different_types(rows, times):
    columns = [np.arange(rows), np.linspace(0, 1, rows), np.arange(rows) % 2 == 0] * times
    block = row_block(columns, threads=2)
    assert block.shape == (rows, 3 * times) and block.dtype == np.float32
    np.testing.assert_array_equal(block, np.column_stack(columns).astype("float32"))


def test_other_types_and_strided_views():
    given = np.arange(20000.0).reshape(200, 100)[::2, 1::3]
    block = row_block(given, "float64")
    assert block.dtype == np.float64
    np.testing.assert_array_equal(block, given)


def test_missing_values_stay_missing():
    block = row_block(np.array([[1.0, np.nan], [np.inf, -1.0]]))
    assert np.isnan(block[0, 1]) and np.isinf(block[1, 0])


def test_a_block_of_finite_numbers_or_none():
    columns = [np.linspace(-1, 1, 70001) + i for i in range(37)]
    np.testing.assert_array_equal(finite_block(columns, 2), np.column_stack(columns).astype("f4"))
    for value in (np.nan, np.inf, -np.inf, 1e39):
        spoilt = columns[20].copy()
        spoilt[70000] = value
        assert finite_block([*columns[:20], spoilt, *columns[21:]], 2) is None
    assert finite_block([np.arange(3)]) is None and finite_block([np.zeros(0)]) is None
    assert finite_block([np.zeros(2), np.zeros(3)]) is None and finite_block([]) is None
    assert finite_block([np.full(100, 3e38)]) is None  # a sum that float32 can't hold


def test_a_table_of_numbers_whose_sum_is_too_large_is_a_block_all_the_same():
    from kerasbridge.bridge.tables import block

    given = {"name": "a", "kind": "number", "values": np.full(100, 3e38)}
    np.testing.assert_array_equal(block([given]), np.full((100, 1), 3e38, "float32"))
    given["values"][6] = 1e39
    with pytest.raises(
        DataError, match=r"'a' has a number too large for float32 \(first in row 7\)"
    ):
        block([{**given, "name": "b", "values": np.zeros(100)}, given])


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        (np.array([["a"]]), "only numbers and logicals"),
        (np.array(1.0), "has no rows"),
        ([], "no columns"),
        ([np.zeros(2), np.zeros(3)], "not vectors of one length"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(given, pattern):
    with pytest.raises(DataError, match=pattern):
        row_block(given)


def test_empty_block_is_aligned():
    for rows in (1, 3, 17):
        assert empty_block((rows, 5)).ctypes.data % ALIGNMENT == 0


def test_memory_of_blocks_is_used_again_when_nobody_holds_it():
    blocks = Blocks()
    first = blocks.empty((4, 5))
    place, part = first.ctypes.data, first[1:, 2]  # a part of a block holds it, too
    del first
    assert blocks.empty((4, 5)).ctypes.data != place
    del part
    again = [blocks.empty((2, 5)), blocks.empty((4, 5)), blocks.empty((40, 5))]
    assert {again[0].ctypes.data, again[1].ctypes.data} > {place} and again[2].shape == (40, 5)
    assert len({block.ctypes.data for block in again}) == 3
    assert all(block.ctypes.data % ALIGNMENT == 0 for block in again)


def test_peak_memory_is_the_block_and_little_more():
    code = """
import resource, sys, threading
import numpy as np
from kerasbridge.data.blocks import row_block
def now():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
given = np.asfortranarray(np.ones((50, 400_000)).T.copy(order="F"))
row_block(given[:2000])
before = now()
open("/proc/self/clear_refs", "w").write("5")
block = row_block(given)
peak = next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmHWM"))
print((peak - before) / block.nbytes)
"""
    if not sys.platform.startswith("linux"):
        return
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    if "clear_refs" in done.stderr:
        pytest.skip("this system does not let a process reset its peak memory")
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) <= 1.3
