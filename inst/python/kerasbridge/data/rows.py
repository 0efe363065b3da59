"""Arrays and data sets of Python as batches that are taken one by one, pass after pass."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np

from kerasbridge.data.indexed import DirectBatches
from kerasbridge.errors import ArgumentError


def _rows(part: Any, index: np.ndarray) -> Any:
    if isinstance(part, dict):
        return {name: _rows(value, index) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_rows(value, index) for value in part]
    if hasattr(part, "toarray"):  # a sparse matrix
        return part[index].toarray()
    return None if part is None else np.asarray(part)[index]


def _count(part: Any) -> int:
    while isinstance(part, (dict, list, tuple)):
        part = next(iter(part.values() if isinstance(part, dict) else part))
    return part.shape[0]


class Rows:
    """Batches of the rows of arrays, by number; a new order with each pass if `shuffle`."""

    def __init__(self, x: Any, y: Any, sample_weight: Any, batch_size: int, shuffle: bool):
        self._parts = (x, y, sample_weight)
        self._size, self._shuffle = batch_size, shuffle
        self._order = np.arange(_count(x))
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size)

    def __getitem__(self, index: int) -> tuple:
        rows = self._order[index * self._size : (index + 1) * self._size]
        return tuple(_rows(part, rows) for part in self._parts)

    def on_epoch_end(self) -> None:
        if self._shuffle:
            np.random.shuffle(self._order)  # the generator that set_random_seed() sets


class Iterated:
    """Batches of something that can be iterated over again and again, such as a tf.data.Dataset."""

    def __init__(self, dataset: Any):
        self._dataset = dataset
        self._iterator: Any = None

    def __len__(self) -> int:
        return len(self._dataset)

    def __call__(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._dataset)
        batch = next(self._iterator, None)
        if batch is None:
            self._iterator = iter(self._dataset)
            batch = next(self._iterator, None)
        return batch if batch is None or isinstance(batch, tuple) else (batch,)


def row_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: Optional[int] = None,
    shuffle: bool = True,
) -> Any:
    """Arrays (rows first), or a data set of batches, as a source for `fit_pulled`.

    Raises:
        ArgumentError: a data set that ends and can't begin again.
    """
    if hasattr(x, "__next__"):
        raise ArgumentError(
            "An iterator can't be combined with a function as `validation_data`.", argument="x"
        )
    if not hasattr(x, "shape") and not isinstance(x, (list, tuple, dict)):
        return Iterated(x)
    return DirectBatches(Rows(x, y, sample_weight, batch_size or 32, shuffle))
