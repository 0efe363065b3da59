"""Batches by number as something Keras trains on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class IndexedBatches(keras.utils.PyDataset):
    """A Keras dataset over `source`, which has `len()` (batches), `[i]` and perhaps `on_epoch_end`.

    Attributes of `source` can be read from the dataset itself.
    """

    def __init__(self, source: Any, **arguments: Any):
        super().__init__(**arguments)
        self.source = source
        self._position = 0

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self.source):
            raise IndexError(index)
        return self.source[index]

    def __iter__(self):
        return (self.source[i] for i in range(len(self.source)))

    def next_batch(self) -> Any:
        """One batch after the other, from the first again after the last."""
        if self._position == len(self.source):
            self._position = 0
            self.on_epoch_end()
        self._position += 1
        return self.source[self._position - 1]

    def on_epoch_end(self) -> None:
        done = getattr(self.source, "on_epoch_end", None)
        if done is not None:
            done()

    def __getattr__(self, name: str) -> Any:
        # only reached when the dataset itself has no such attribute
        source = self.__dict__.get("source")
        if source is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(source, name)


class DirectBatches:
    """Batches over `source`, made on the thread that asks: for sources that call functions of R.

    With `shuffle` each pass goes through them in a new order, drawn from numpy's random numbers.
    """

    def __init__(self, source: Any, shuffle: bool = False):
        self.source = source
        self._shuffle = shuffle
        self._order: list = []
        self._begun = False

    def __len__(self) -> int:
        return len(self.source)

    def next_batch(self) -> Any:
        """One batch after the other, from the first again after the last."""
        if not self._order:
            if self._begun:
                self.source.on_epoch_end()
            self._begun = True
            count = len(self.source)
            order = np.random.permutation(count) if self._shuffle else np.arange(count)
            self._order = order[::-1].tolist()
        return self.source[self._order.pop()]

    __call__ = next_batch

    def __getattr__(self, name: str) -> Any:
        source = self.__dict__.get("source")
        if source is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(source, name)


_FROM_R = "rpytools.call"  # the module that R's functions carry in Python


def on_the_asking_thread(dataset: Any, shuffle: bool = False) -> Any:
    """A `PyDataset` whose methods are functions of R as `DirectBatches`; any other as it is.

    Keras makes the batches of a dataset on threads of its own, where R can't run.
    """
    own = [method for cls in type(dataset).__mro__ for method in vars(cls).values()]
    written_in_r = any(getattr(method, "__module__", None) == _FROM_R for method in own)
    return DirectBatches(dataset, shuffle) if written_in_r else dataset
