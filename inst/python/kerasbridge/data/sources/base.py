"""What all sources share: batches, order by seed in bounded memory, splits, a view for Keras."""

from __future__ import annotations

import copy
import functools
import math
import threading
from typing import Any, Callable, Iterator, NamedTuple, Optional

import keras
import numpy as np

from kerasbridge.data.sources import nests
from kerasbridge.data.sources.prefetch import prefetched
from kerasbridge.errors import ArgumentError, DataError, KerasBridgeError
from kerasbridge.runtime.starting import tensorflow

WINDOW_BYTES = 32 << 20  # what is shuffled together, and handed over together
PIECE_BYTES = 2 << 20  # what is read in one go, so that a window mixes many places
_MOST_PROBLEMS = 100  # sentences about skipped rows that are kept
_KEPT_BATCHES = 4


class Part(NamedTuple):
    """Rows that can be read without what lies before them.

    Attributes:
        where: what the format needs to find them.
        rows: how many there are.
        first: number of the first of them within its file, from 0.
    """

    where: Any
    rows: int
    first: int = 0


def check_on_error(on_error: Any) -> str:
    if on_error not in ("stop", "skip"):
        raise ArgumentError(
            f"`on_error` must be 'stop' or 'skip', not {on_error!r}.", argument="on_error"
        )
    return on_error


class Source(keras.utils.PyDataset):
    """Batches (x,), (x, y) or (x, y, sample_weight) of rows that lie somewhere else.

    A format defines `parts()` and `read()`, or is an `IndexSource`.

    Args:
        batch_size: rows a batch; the last of an epoch may have fewer.
        shuffle: a new order in each epoch. Parts of the files come in random order, and rows are
            mixed within a buffer.
        seed: makes the orders the same each time; drawn if None.
        validation_split: share of the rows, the last ones, that `validation` holds; the source
            itself has the others.
        buffer_size: rows that are mixed together, None for 32 MiB of them.
        on_error: "stop" at a row or file that can't be read, or "skip" and count them: all
            is then read once ahead, so that the number of rows is known.

    Attributes:
        samples: rows of the source (of the training part, with `validation_split`).
        validation: a source of the other rows, or None.
        epoch: number of the present epoch, from 0; it and `seed` fix the order.
        skipped: rows that were skipped; `problems` has sentences about the first of them.
        look: called with the rows that Keras' own loops are about to get, or None.
    """

    def __init__(
        self,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: Optional[int] = None,
        validation_split: float = 0.0,
        buffer_size: Optional[int] = None,
        on_error: str = "stop",
    ):
        super().__init__()
        self.batch_size = positive(batch_size, "batch_size")
        self.shuffle = bool(shuffle)
        self.seed = int(np.random.SeedSequence().entropy % 2**32) if seed is None else int(seed)
        self.buffer_size = None if buffer_size is None else positive(buffer_size, "buffer_size")
        self.on_error = check_on_error(on_error)
        self.epoch = 0
        self.skipped = 0
        self.problems: list[str] = []
        self.validation: Optional[Source] = None
        self.look: Optional[Callable[[Any], None]] = None
        self._share = validation_split
        self._counting = False  # whether this is the pass that looks for what to skip
        self._lock = threading.Lock()
        self._reset()

    # ---- a format fills these ----

    def parts(self) -> list[Part]:
        """All parts in order, with their exact numbers of rows."""
        raise NotImplementedError

    def read(self, part: Part, first: int, last: int) -> Iterator[Any]:
        """Rows first .. last - 1 of a part as nests of arrays, in order, a few MiB each."""
        raise NotImplementedError

    # ---- rows and splits ----

    def _ready(self) -> None:
        """Count the rows and set the validation part aside; a format calls it when it is built."""
        self._parts = list(self.parts())
        if self.on_error == "skip":
            self._parts = [part for part in map(self._tried, self._parts) if part.rows]
        total = sum(part.rows for part in self._parts)
        if total < 1:
            raise DataError(
                f"The {type(self).__name__} holds no rows that can be read.",
                hint=self.problems[0] if self.problems else None,
                argument="path",
            )
        self._limits = (0, total)
        if self._share:
            self._take(*self.split(self._share))

    def _take(self, training: Source, validation: Source) -> None:
        self.__dict__.update(vars(training))
        self.validation = validation

    def _tried(self, part: Part) -> Part:
        """The part with the number of rows that can be read."""
        rows = 0
        self._counting = True
        try:
            for block in self.read(part, 0, part.rows):
                rows += nests.rows_of(block)
        except KerasBridgeError as error:
            self._skip(part.rows, str(error.message))
            return part._replace(rows=0)
        finally:
            self._counting = False
        return part._replace(rows=rows)

    def _skip(self, rows: int, sentence: str) -> None:
        """Note that rows are left out, once: not again when they are read."""
        self.skipped += rows
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(sentence)

    def split(self, share: float) -> tuple[Source, Source]:
        """(the first rows, the last `share` of them), two sources over the same files."""
        first, last = self._limits
        cut = first + kept_rows(last - first, share)
        return self._part_of(first, cut), self._part_of(cut, last)

    def _part_of(self, first: int, last: int) -> Source:
        found = self.copy()
        found._limits = (first, last)
        return found

    def copy(self) -> Source:
        """The same rows, read on their own; without `validation`."""
        found = copy.copy(self)
        found.validation = None
        found._lock = threading.Lock()
        found._reset()
        return found

    def __getstate__(self) -> dict:
        """What describes the source, without what one process reads with: another one may read it."""
        state = {**vars(self), "_stream": None, "_given": {}, "_next": 0, "_position": 0}
        state["look"] = None
        del state["_lock"]
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def with_batch_size(self, batch_size: int) -> Source:
        found = self.copy()
        found.validation = self.validation
        found.batch_size = positive(batch_size, "batch_size")
        return found

    def in_order(self) -> Source:
        """The same rows as they lie."""
        found = self.copy()
        found.shuffle = False
        return found

    @property
    def samples(self) -> int:
        return self._limits[1] - self._limits[0]

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def _segments(self, start: int = 0) -> list[tuple[Part, int, int]]:
        """(part, first, last) for all rows from the `start`-th of this source on."""
        first, last = self._limits[0] + start, self._limits[1]
        found, at = [], 0
        for part in self._parts:
            a, b = max(first - at, 0), min(last - at, part.rows)
            if a < b:
                found.append((part, a, b))
            at += part.rows
        return found

    # ---- rows in order ----

    def window_rows(self, example: Any) -> int:
        """Rows that are handed over together: whole batches, about 32 MiB or `buffer_size`."""
        rows = self.buffer_size or WINDOW_BYTES // nests.row_bytes(example)
        return max(1, min(rows, self.samples) // self.batch_size) * self.batch_size

    def windows(self, shuffle: Optional[bool] = None, start: int = 0) -> Iterator[Any]:
        """Nests of arrays with as many rows as `window_rows` says, the last with those left.

        Args:
            shuffle: in the order of the present epoch or as rows lie; None as the source says.
            start: rows to pass over, without shuffling.
        """
        shuffle = self.shuffle if shuffle is None else shuffle
        rng = np.random.default_rng([self.seed, self.epoch])
        segments = self._segments(start)
        if shuffle:
            segments = [segments[i] for i in rng.permutation(len(segments))]
        blocks = (block for part, a, b in segments for block in self.read(part, a, b))
        left = self.samples - start
        filler: Optional[_Filler] = None
        for block in blocks:
            at, rows = 0, nests.rows_of(block)
            while at < rows:
                if filler is None:
                    size = max(1, min(self.window_rows(block), left))
                    filler = _Filler(block, size, rng.permutation(size) if shuffle else None)
                at = filler.take(block, at)
                if filler.full:
                    left -= filler.filled
                    yield filler.done()
                    filler = None
        if filler is not None:
            yield filler.done()

    def batches(self, shuffle: Optional[bool] = None, start: int = 0) -> Iterator[tuple]:
        """Batch after batch of one epoch, read ahead on a thread; `start` counts batches."""
        size = self.batch_size
        for window in prefetched(self.windows(shuffle, start * size)):
            self._show(window)
            for at in range(0, nests.rows_of(window), size):
                yield tuple(nests.mapped(lambda a, at=at: a[at : at + size], window))

    def _show(self, rows: Any) -> None:
        if self.look is not None:
            self.look(rows)

    def first_rows(self, rows: int = 2) -> tuple:
        """The first rows as they lie, to see what they are like."""
        part, first, last = self._segments()[0]
        for block in self.read(part, first, min(last, first + rows)):
            return block
        raise DataError("The source gave no rows.", argument="path")

    # ---- what Keras sees ----

    def _reset(self) -> None:
        self._stream: Optional[Iterator] = None
        self._next = 0
        self._given: dict[int, Any] = {}
        self._position = 0

    def __getitem__(self, index: int) -> tuple:
        """Batch `index` of the present epoch.

        A source that shuffles gives its next batch to whatever number was not asked for yet, for
        order means nothing then and batches can only be read one after the other; the last few are
        kept. Without shuffling the number is the place.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        with self._lock:
            if index in self._given:
                return self._given[index]
            moved = not self.shuffle and index != self._next
            if self._stream is None or moved:
                self._close_stream()
                self._next = 0 if self.shuffle else index
                self._stream = self.batches(start=self._next)
            batch = next(self._stream, None)
            if batch is None:  # asked for again: the same epoch from its start
                self._stream = self.batches()
                self._next = 0
                batch = next(self._stream)
            self._next += 1
            self._given[index] = batch
            if len(self._given) > _KEPT_BATCHES:
                del self._given[next(iter(self._given))]
            return batch

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def on_epoch_end(self) -> None:
        self.begin_epoch(self.epoch + 1)

    def begin_epoch(self, epoch: int) -> None:
        """From the first batch of an epoch on (counted from 0)."""
        with self._lock:
            self.epoch = epoch
            self._close_stream()
            self._next = 0
            self._given = {}

    def __iter__(self) -> Iterator[tuple]:
        return self.batches()

    def next_batch(self) -> tuple:
        """One batch after the other, from the first of a new epoch after the last."""
        if self._position == len(self):
            self._position = 0
            self.on_epoch_end()
        self._position += 1
        return self[self._position - 1]

    def dataset(self) -> Any:
        """The source as a `tf.data.Dataset` of batches; each pass over it is a new epoch."""
        tf = tensorflow("A source as a tf.data.Dataset")
        example = tuple(nests.mapped(np.asarray, self.first_rows()))
        signature = nests.mapped(functools.partial(_tensor_spec, tf), example)

        def generate():
            epoch = self.copy()
            self.epoch += 1
            yield from epoch.batches()

        cardinality = tf.data.experimental.assert_cardinality(len(self))
        made = tf.data.Dataset.from_generator(generate, output_signature=signature)
        return made.apply(cardinality).prefetch(2)

    def for_keras(self) -> Any:
        """What Keras' own loops can read: the source itself, or its `dataset` where it holds text."""
        arrays = nests.flat(self.first_rows(1))
        return self.dataset() if any(a.dtype.kind in "OSU" for a in arrays) else self

    def __repr__(self) -> str:
        rows = "row" if self.samples == 1 else "rows"
        return f"<{type(self).__name__}: {self.samples} {rows} in batches of {self.batch_size}>"


def _tensor_spec(tf: Any, array: np.ndarray) -> Any:
    dtype = tf.string if array.dtype.kind in "OSU" else array.dtype
    return tf.TensorSpec((None, *array.shape[1:]), dtype)


def positive(value: Any, name: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ArgumentError(
            f"`{name}` must be a whole number of at least 1, not {value!r}.", argument=name
        )
    return int(value)


def kept_rows(rows: int, share: float) -> int:
    """How many rows stay when the last `share` of them is set aside."""
    if not 0 < share < 1:
        raise ArgumentError(
            f"`validation_split` must be from 0 up to, not including, 1, not {share!r}.",
            argument="validation_split",
        )
    kept = math.floor(rows * (1.0 - share))
    if kept in (0, rows):
        raise ArgumentError(
            f"`validation_split` = {share:g} of {rows} rows leaves no rows for "
            f"{'training' if kept == 0 else 'validation'}.",
            argument="validation_split",
        )
    return kept


class _Filler:
    """One window while it is filled, at its places in order or at random ones."""

    def __init__(self, example: Any, size: int, places: Optional[np.ndarray]):
        self.example = example
        self.arrays = [nests.empty_like(array, size) for array in nests.flat(example)]
        self.size, self.places, self.filled = size, places, 0

    @property
    def full(self) -> bool:
        return self.filled == self.size

    def take(self, block: Any, at: int) -> int:
        """Take rows of `block` from `at` on, as many as there is room for; where to go on."""
        arrays = nests.flat(block)
        count = min(len(arrays[0]) - at, self.size - self.filled)
        end = self.filled + count
        span = slice(self.filled, end)
        where = span if self.places is None else self.places[span]
        for target, array in zip(self.arrays, arrays):
            nests.put_rows(target, where, array[at : at + count])
        self.filled = end
        return at + count

    def done(self) -> Any:
        arrays = self.arrays
        if not self.full:  # fewer rows came than were counted
            kept = slice(self.filled)
            if self.places is not None:
                kept = np.sort(self.places[: self.filled])
            arrays = [array[kept] for array in arrays]
        return nests.refilled(self.example, arrays)


class IndexSource(Source):
    """A source whose samples can be had one by one, by number.

    A format defines `count()` and `load()`. Shuffling is a full random order.
    """

    def count(self) -> int:
        """How many samples there are."""
        raise NotImplementedError

    def load(self, rows: np.ndarray) -> tuple:
        """The samples with these numbers as a nest of arrays; the order is the caller's."""
        raise NotImplementedError

    def _ready(self) -> None:
        self._rows = np.arange(self.count())
        if self.on_error == "skip":
            self._rows = self._rows[self._readable(self._rows)]
        if not len(self._rows):
            raise DataError(
                f"The {type(self).__name__} holds no samples that can be read.",
                hint=self.problems[0] if self.problems else None,
                argument="path",
            )
        if self._share:
            self._take(*self.split(self._share))

    def _readable(self, rows: np.ndarray) -> np.ndarray:
        """Which samples can be loaded, as logicals."""
        good = np.ones(len(rows), dtype=bool)
        for i, row in enumerate(rows):
            try:
                self.load(rows[i : i + 1])
            except KerasBridgeError as error:
                good[i] = False
                self._skip(1, f"Sample {row + 1}: {error.message}")
        return good

    def split(self, share: float) -> tuple[Source, Source]:
        cut = kept_rows(len(self._rows), share)
        return self._some(self._rows[:cut]), self._some(self._rows[cut:])

    def _some(self, rows: np.ndarray) -> Source:
        found = self.copy()
        found._rows = rows
        return found

    @property
    def samples(self) -> int:
        return len(self._rows)

    def _reset(self) -> None:
        super()._reset()
        self._first: Optional[tuple] = None
        self._ordered: tuple = (None, None)

    def _order(self, shuffle: bool) -> np.ndarray:
        if not shuffle:
            return self._rows
        if self._ordered[0] != self.epoch:
            rng = np.random.default_rng([self.seed, self.epoch])
            self._ordered = (self.epoch, rng.permutation(self._rows))
        return self._ordered[1]

    def windows(self, shuffle: Optional[bool] = None, start: int = 0) -> Iterator[Any]:
        order = self._order(self.shuffle if shuffle is None else shuffle)
        size = self.window_rows(self.first_rows(1))
        for at in range(start, len(order), size):
            yield self.load(order[at : at + size])

    def first_rows(self, rows: int = 2) -> tuple:
        if self._first is None or nests.rows_of(self._first) < min(rows, self.samples):
            self._first = self.load(self._rows[:rows])
        return self._first

    def __getitem__(self, index: int) -> tuple:
        """Batch `index` of the present epoch; any order costs the same."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        with self._lock:
            order = self._order(self.shuffle)
            at = index * self.batch_size
            batch = tuple(self.load(order[at : at + self.batch_size]))
        self._show(batch)
        return batch
