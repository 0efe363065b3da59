"""Texts and sequences across the border: ragged lists travel as one flat vector and lengths."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from kerasbridge.data import sequences as seq
from kerasbridge.data import text as txt


def ragged(values: Any, lengths: Any) -> list:
    """The list of sequences behind a flat vector and the length of each sequence."""
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
    return list(_parts(values, ends))


def _parts(values: Any, ends: np.ndarray):
    start = 0
    for end in ends:
        yield values[start:end]
        start = int(end)


def flat(sequences: list) -> dict:
    """A list of sequences as a flat int32 vector and lengths."""
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int32)
    values = np.fromiter((v for s in sequences for v in s), dtype=np.int32, count=lengths.sum())
    return {"values": values, "lengths": lengths}


def tokenizer_new(**settings: Any) -> txt.Tokenizer:
    return txt.Tokenizer(**settings)


def _texts(texts: Any, lengths: Any) -> list:
    return txt.as_texts(texts) if lengths is None else ragged(texts, lengths)


def tokenizer_count(tokenizer, texts: Any, lengths: Any = None):
    """Count the words of texts, or of token lists where `lengths` is given."""
    return tokenizer.count(_texts(texts, lengths))


def tokenizer_number(tokenizer):
    return tokenizer.number_words()


def tokenizer_sequences(tokenizer, texts: Any, lengths: Any = None) -> dict:
    return flat(tokenizer.texts_to_sequences(_texts(texts, lengths)))


def tokenizer_texts_matrix(tokenizer, texts: Any, mode: str, lengths: Any = None) -> np.ndarray:
    return tokenizer.texts_to_matrix(_texts(texts, lengths), mode)


def tokenizer_matrix(tokenizer, values: Any, lengths: Any, mode: str) -> np.ndarray:
    return tokenizer.sequences_to_matrix(ragged(values, lengths), mode)


def words(text: str, filters: str, lower: bool, split: str) -> list[str]:
    return txt.text_to_word_sequence(text, filters, lower, split)


def hashing_trick(
    text: str,
    n: int,
    filters: str,
    lower: bool,
    split: str,
    hash_function: Optional[Callable] = None,
) -> np.ndarray:
    numbers = txt.text_hashing_trick(text, n, hash_function, filters, lower, split)
    return np.array(numbers, dtype=np.int32)


def pad(values: Any, lengths: Any = None, **arguments: Any) -> Any:
    """`values` is flat with `lengths`, or a list of arrays with several numbers a step."""
    parts = list(values) if lengths is None else ragged(values, lengths)
    return seq.pad_sequences(parts, **arguments)


def skipgrams(sequence: Any, **arguments: Any) -> dict:
    couples, labels = seq.skipgrams(np.asarray(sequence).reshape(-1), **arguments)
    return {"couples": couples, "labels": labels}


def windows(**arguments: Any):
    from kerasbridge.data.indexed import IndexedBatches

    return IndexedBatches(seq.Windows(**arguments))
