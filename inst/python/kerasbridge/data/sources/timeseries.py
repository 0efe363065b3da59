"""Windows of a series: what came before, and what came after."""

from __future__ import annotations

import os
from typing import Any, Optional

import numpy as np

from kerasbridge.data.sources.arrays import map_file
from kerasbridge.data.sources.base import IndexSource, positive
from kerasbridge.errors import ArgumentError, DataError


class TimeseriesSource(IndexSource):
    """Samples (sequence_length, features) cut out of a series, `sequence_stride` steps apart.

    Args:
        data: array (time steps,) or (time steps, features ...), or the path of a `.npy` file,
            which is mapped into memory.
        targets: array or path; entry i is the target of the window that starts at step i. None for
            windows alone.
        sequence_length: steps of a window that are kept.
        sampling_rate: steps between two that are kept.
        sequence_stride: steps between the starts of two windows.
        start, end: use the steps from `start` up to, not including, `end`, counted from 0.
        reading: arguments of `Source`; `validation_split` takes the last windows.
    """

    def __init__(
        self,
        data: Any,
        targets: Any = None,
        sequence_length: int = 1,
        sampling_rate: int = 1,
        sequence_stride: int = 1,
        start: int = 0,
        end: Optional[int] = None,
        **reading: Any,
    ):
        super().__init__(**reading)
        self._data, self._targets = _kept(data, "data"), _kept(targets, "targets")
        self.sequence_length = positive(sequence_length, "sequence_length")
        self.sampling_rate = positive(sampling_rate, "sampling_rate")
        self.sequence_stride = positive(sequence_stride, "sequence_stride")
        steps = len(_array(self._data))
        self._targeted = None if targets is None else len(_array(self._targets))
        end = steps if end is None else int(end)
        if not 0 <= start < end <= steps:
            raise ArgumentError(
                f"The series has {steps} steps; {start + 1} to {end} are not all in it.",
                argument="start" if start >= steps else "end",
            )
        self.start, self.end = int(start), end
        self._span = (self.sequence_length - 1) * self.sampling_rate + 1
        if self.count() < 1:
            raise DataError(
                f"A window covers {self._span} steps, the series has {end - start}.",
                argument="sequence_length",
            )
        self._ready()

    def count(self) -> int:
        starts = self.end - self.start - self._span + 1
        if self._targeted is not None:
            starts = min(starts, self._targeted - self.start)
        return max(0, -(-starts // self.sequence_stride))

    def load(self, rows: np.ndarray) -> tuple:
        begins = self.start + rows * self.sequence_stride
        steps = begins[:, None] + np.arange(self.sequence_length) * self.sampling_rate
        x = _numbers(_array(self._data)[steps])
        self._finite(x, begins, "data")
        if self._targeted is None:
            return (x,)
        y = _numbers(_array(self._targets)[begins])
        self._finite(y, begins, "targets")
        return (x, y)

    def _finite(self, array: np.ndarray, begins: np.ndarray, name: str) -> None:
        if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
            bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
            if bad.any():
                step = int(begins[np.argmax(bad)]) + 1
                raise DataError(
                    f"`{name}` has a value that is not finite in the window from step {step} on.",
                    argument=name,
                    details={"step": step},
                )


def _kept(value: Any, name: str) -> Any:
    """An array of numbers, or the path of one."""
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)):
        value = os.path.expanduser(os.fspath(value))
    array = _array(value)
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise DataError(f"`{name}` must be an array of numbers, time first.", argument=name)
    return value if isinstance(value, str) else array


def _array(value: Any) -> np.ndarray:
    # mapped anew each time: what was read of a map counts as this process's memory until it ends
    return map_file(value) if isinstance(value, str) else np.asanyarray(value)


def _numbers(array: np.ndarray) -> np.ndarray:
    dtype = np.float32 if array.dtype.kind == "f" else array.dtype
    return np.ascontiguousarray(array, dtype=dtype)
