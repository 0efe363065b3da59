"""Batches by number as something Keras trains on."""

from __future__ import annotations

from typing import Any

import keras


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
    """Batches over `source`, made on the thread that asks: for sources that call functions of R."""

    def __init__(self, source: Any):
        self.source = source
        self._position = 0

    def __len__(self) -> int:
        return len(self.source)

    def next_batch(self) -> Any:
        """One batch after the other, from the first again after the last."""
        if self._position == len(self.source):
            self._position = 0
            self.source.on_epoch_end()
        self._position += 1
        return self.source[self._position - 1]

    __call__ = next_batch

    def __getattr__(self, name: str) -> Any:
        source = self.__dict__.get("source")
        if source is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(source, name)
