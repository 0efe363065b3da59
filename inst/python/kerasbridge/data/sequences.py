"""Sequences of numbers: padding to one length, pairs of words that occur together, windows."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np

from kerasbridge.errors import ArgumentError, DataError


def _side(value: str, argument: str) -> str:
    if value not in ("pre", "post"):
        raise ArgumentError(
            f"`{argument}` must be 'pre' or 'post', not {value!r}.", argument=argument
        )
    return value


def pad_sequences(
    sequences: Sequence[Sequence],
    maxlen: Optional[int] = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0,
) -> np.ndarray:
    """Sequences of any length as one array of shape (len(sequences), maxlen, *rest of a step).

    Args:
        maxlen: the common length; that of the longest sequence if None.
        dtype: type of the result; "str" or "object" for text.
        padding, truncating: "pre" or "post", the side that is filled or cut.
        value: what fills.
    """
    padding, truncating = _side(padding, "padding"), _side(truncating, "truncating")
    if maxlen is not None and maxlen < 1:
        raise ArgumentError(f"`maxlen` must be at least 1, not {maxlen}.", argument="maxlen")
    text = dtype in ("str", "string", "object") or isinstance(value, str)
    if isinstance(value, str) and dtype not in ("str", "string", "object"):
        raise ArgumentError(
            f"`value` is text, but `dtype` is {dtype!r}.",
            hint="Use dtype = 'string' for sequences of text.",
            argument="value",
        )
    kind: Any = object if text else np.dtype(dtype)
    arrays = [np.asarray(sequence, dtype=object if text else None) for sequence in sequences]
    rest: tuple = ()
    first_full = next((i for i, array in enumerate(arrays) if array.size), None)
    if first_full is not None:
        rest = arrays[first_full].shape[1:]
    for i, array in enumerate(arrays):
        if array.ndim == 0:
            raise DataError(
                f"Element {i + 1} is a single value, not a sequence.", argument="sequences"
            )
        if array.size and array.shape[1:] != rest:
            raise DataError(
                f"The steps of sequence {i + 1} have shape {array.shape[1:]}, those of sequence "
                f"{first_full + 1} {rest}.",
                argument="sequences",
            )
        if np.issubdtype(kind, np.integer) and array.size and array.dtype.kind == "f":
            if not (array == np.trunc(array)).all():
                raise ArgumentError(
                    f"Sequence {i + 1} holds fractions, which `dtype` = '{dtype}' would cut off.",
                    hint="Use dtype = 'float32'.",
                    argument="dtype",
                )
    length = maxlen if maxlen is not None else max((len(array) for array in arrays), default=0)
    out = np.full((len(arrays), length, *rest), value, dtype=kind)
    for row, array in zip(out, arrays):
        if not array.size:
            continue
        kept = array[-length:] if truncating == "pre" else array[:length]
        if padding == "post":
            row[: len(kept)] = kept
        else:
            row[length - len(kept) :] = kept
    return out


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """Probability of keeping the word of each frequency rank, float64 of shape (size,).

    Word2vec's subsampling rule min(1, sqrt(factor / frequency)) for a vocabulary that follows
    Zipf's law: the frequency of rank r is 1 / (r (ln r + g) + 1/2 - 1/(12 r)), with g = 0.577 for
    Euler's constant (T. Mikolov et al. 2013; expansion of the harmonic sum).
    """
    if size < 1:
        raise ArgumentError(f"`size` must be at least 1, not {size}.", argument="size")
    if not sampling_factor > 0:
        raise ArgumentError("`sampling_factor` must be positive.", argument="sampling_factor")
    rank = np.arange(size, dtype=np.float64)
    rank[0] = 1.0
    inverse_frequency = rank * (np.log(rank) + 0.577) + 0.5 - 1.0 / (12.0 * rank)
    return np.minimum(1.0, np.sqrt(sampling_factor * inverse_frequency))


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Optional[np.ndarray] = None,
    seed: Optional[int] = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (word, word nearby) and pairs (word, random word).

    Args:
        sequence: word numbers; 0 is no word and is skipped.
        vocabulary_size: word numbers lie below it.
        window_size: words this far to either side are nearby.
        negative_samples: random pairs for each true pair; 0 for none.
        categorical: labels as (0, 1) and (1, 0) instead of 1 and 0.
        sampling_table: probability of keeping each word number, as of `make_sampling_table`.
        seed: fixes the choice and the order.

    Returns:
        couples (n, 2) and labels (n,) or (n, 2), both int32.
    """
    words = np.asarray(list(sequence), dtype=np.int64)
    if vocabulary_size < 2:
        raise ArgumentError("`vocabulary_size` must be at least 2.", argument="vocabulary_size")
    if window_size < 1:
        raise ArgumentError("`window_size` must be at least 1.", argument="window_size")
    if negative_samples < 0:
        raise ArgumentError("`negative_samples` can't be negative.", argument="negative_samples")
    if words.size and (words.min() < 0 or words.max() >= vocabulary_size):
        raise DataError(
            f"The sequence has word numbers from {words.min()} to {words.max()}; with "
            f"`vocabulary_size` = {vocabulary_size} they must lie in 0 to {vocabulary_size - 1}.",
            argument="sequence",
        )
    rng = np.random.default_rng(seed)
    centre = words != 0
    if sampling_table is not None:
        table = np.asarray(sampling_table, dtype=np.float64)
        if words.size and words.max() >= len(table):
            raise DataError(
                f"`sampling_table` has {len(table)} entries; the sequence has the word number "
                f"{words.max()}.",
                argument="sampling_table",
            )
        centre &= table[words] >= rng.random(len(words))
    offsets = np.array([o for o in range(-window_size, window_size + 1) if o])
    at = np.arange(len(words))[:, None] + offsets[None, :]
    inside = (at >= 0) & (at < len(words)) & centre[:, None]
    row, column = np.nonzero(inside)
    partner = words[at[row, column]]
    keep = partner != 0
    couples = np.stack([words[row[keep]], partner[keep]], axis=1).astype(np.int32)
    labels = np.ones(len(couples), dtype=np.int32)
    extra = int(len(couples) * negative_samples)
    if extra:
        source = rng.permutation(couples[:, 0])
        random_words = rng.integers(1, vocabulary_size, size=extra)
        negative = np.stack([source[np.arange(extra) % len(source)], random_words], axis=1)
        couples = np.concatenate([couples, negative.astype(np.int32)])
        labels = np.concatenate([labels, np.zeros(extra, dtype=np.int32)])
    if shuffle:
        order = rng.permutation(len(couples))
        couples, labels = couples[order], labels[order]
    if categorical:
        labels = np.stack([1 - labels, labels], axis=1).astype(np.int32)
    return couples, labels


class Windows:
    """Windows over a series with the value that follows, in batches by number.

    Args:
        data: the series, steps in rows.
        targets: what belongs to each row of `data`; the target of a window is that of the row
            after its last one.
        length: rows a window spans.
        sampling_rate: every so many-th row of a window is kept.
        stride: rows between the ends of two windows.
        start_index, end_index: first and last row used (0-based, both included).
        shuffle: batches of windows drawn at random.
        reverse: the latest row of a window first.
        batch_size: windows a batch.
        seed: fixes the draws of `shuffle`.
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: Optional[int] = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
        seed: Optional[int] = None,
    ):
        self.data, self.targets = np.asarray(data), np.asarray(targets)
        if self.data.ndim == 0 or len(self.data) != len(self.targets):
            raise DataError(
                f"`data` has {self.data.shape[0] if self.data.ndim else 1} rows, `targets` "
                f"{self.targets.shape[0] if self.targets.ndim else 1}.",
                argument="targets",
            )
        for name, number in (
            ("length", length),
            ("sampling_rate", sampling_rate),
            ("stride", stride),
            ("batch_size", batch_size),
        ):
            if number < 1:
                raise ArgumentError(f"`{name}` must be at least 1, not {number}.", argument=name)
        self.length, self.sampling_rate, self.stride = length, sampling_rate, stride
        self.shuffle, self.reverse, self.batch_size = shuffle, reverse, batch_size
        self.start_index = start_index
        self.end_index = len(self.data) - 1 if end_index is None else end_index
        if not 0 <= start_index < len(self.data) or not start_index <= self.end_index < len(
            self.data
        ):
            raise ArgumentError(
                "`start_index` and `end_index` must be rows of the data, in this order.",
                argument="start_index",
            )
        self.first = start_index + length
        if self.first > self.end_index:
            raise ArgumentError(
                f"No window fits: {self.end_index - start_index + 1} rows are used, a window of "
                f"`length` = {length} and its target need {length + 1}.",
                argument="length",
            )
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Number of batches."""
        span = self.end_index - self.first + self.batch_size * self.stride
        return span // (self.batch_size * self.stride)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index`: windows (n, steps, ...) and targets (n, ...)."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self.shuffle:
            ends = self._rng.integers(self.first, self.end_index + 1, size=self.batch_size)
        else:
            begin = self.first + self.batch_size * self.stride * index
            stop = min(begin + self.batch_size * self.stride, self.end_index + 1)
            ends = np.arange(begin, stop, self.stride)
        steps = ends[:, None] + np.arange(-self.length, 0, self.sampling_rate)[None, :]
        samples = self.data[steps]
        return (samples[:, ::-1] if self.reverse else samples), self.targets[ends]
