"""Samples by number from a function."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from kerasbridge.data.sources import nests
from kerasbridge.data.sources.base import IndexSource, positive
from kerasbridge.errors import ArgumentError, DataError, KerasBridgeError


class FunctionSource(IndexSource):
    """What a Python function returns for the numbers 0 .. length - 1.

    Args:
        function: number -> x, (x, y) or (x, y, sample_weight) of one sample, without a batch
            axis; x may be a list or dict of arrays. It is called on a thread of the source.
        length: how many samples there are.
        reading: arguments of `Source`.
    """

    def __init__(self, function: Callable[[int], Any], length: int, **reading: Any):
        super().__init__(**reading)
        if not callable(function):
            raise ArgumentError("`function` must be a function.", argument="function")
        self.function, self.length = function, positive(length, "length")
        self._ready()

    def count(self) -> int:
        return self.length

    def _sample(self, row: int) -> tuple:
        try:
            sample = self.function(int(row))
        except KerasBridgeError:
            raise
        except Exception as exc:
            raise DataError(
                f"`function` failed for sample {row + 1}: {type(exc).__name__}: {exc}.",
                argument="function",
                details={"sample": int(row) + 1},
            ) from exc
        sample = sample if isinstance(sample, tuple) else (sample,)
        if not 1 <= len(sample) <= 3:
            raise DataError(
                f"`function` returned {len(sample)} parts for sample {row + 1}; it takes x, "
                "(x, y) or (x, y, sample_weight).",
                argument="function",
            )
        return nests.mapped(np.asarray, sample)

    def load(self, rows: np.ndarray) -> tuple:
        samples = [self._sample(row) for row in rows]
        leaves = [nests.flat(sample) for sample in samples]
        shapes = [leaf.shape for leaf in leaves[0]]
        for row, leaf in zip(rows, leaves):
            if [one.shape for one in leaf] != shapes:
                raise DataError(
                    f"`function` returned shapes {[one.shape for one in leaf]} for sample "
                    f"{row + 1} and {shapes} for sample {rows[0] + 1}.",
                    argument="function",
                    details={"sample": int(row) + 1},
                )
        return nests.refilled(samples[0], [_stacked(column) for column in zip(*leaves)])


def _stacked(column: Any) -> np.ndarray:
    block = np.stack(column)
    return block.astype(np.float32) if block.dtype == np.float64 else block
