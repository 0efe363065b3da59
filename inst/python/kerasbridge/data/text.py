"""Texts to numbers: words, a tokenizer that learns a vocabulary, matrices of word counts.

Word numbers count from 1; 0 is left for padding. Everything here is plain Python and NumPy.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Callable, Iterable, Optional, Sequence, Union

import numpy as np

from kerasbridge.errors import ArgumentError, DataError, FileError
from kerasbridge.files import write_text

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "tfidf", "freq")
FORMAT = "kerasbridge-tokenizer"
FORMAT_NUMBER = 1

# a text, or a text that is split into tokens already
Text = Union[str, Sequence[str]]


def text_to_word_sequence(
    text: str, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """The words of one text: each character of `filters` separates words as `split` does."""
    if not split:
        raise ArgumentError("`split` must not be empty.", argument="split")
    if lower:
        text = text.lower()
    text = text.translate({ord(character): split for character in filters})
    return [word for word in text.split(split) if word]


def stable_hash(word: str) -> int:
    """The MD5 digest of the UTF-8 bytes of a word as a number: the same in every process."""
    return int(hashlib.md5(word.encode("utf-8")).hexdigest(), 16)


def text_hashing_trick(
    text: str,
    n: int,
    hash_function: Optional[Callable[[str], int]] = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
) -> list[int]:
    """Each word as a number from 1 to n - 1 by its hash; different words may share one.

    Args:
        n: size of the hash space (0 is never used).
        hash_function: word -> whole number; `stable_hash` if None.
    """
    if n < 2:
        raise ArgumentError(f"`n` must be at least 2, not {n}.", argument="n")
    function = hash_function or stable_hash
    words = text_to_word_sequence(text, filters=filters, lower=lower, split=split)
    out = []
    for word in words:
        value = function(word)
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = None
        if number is None or number != value:
            raise ArgumentError(
                f"`hash_function` must return a whole number, not {type(value).__name__}.",
                argument="hash_function",
            )
        out.append(number % (n - 1) + 1)
    return out


class Tokenizer:
    """Learns which words there are, and turns texts into word numbers.

    Args:
        num_words: keep words with a number below this only, the most frequent ones; None keeps all.
        filters: characters that separate words.
        lower: lower-case the text first.
        split: the separator.
        char_level: every character is a token.
        oov_token: a token of its own, number 1, for words that are not known; None drops them.

    Attributes:
        document_count: texts learnt from.
        word_counts: word -> occurrences, in order of first appearance.
        word_docs: word -> texts that contain it.
        word_index: word -> number from 1, the most frequent first.
        index_word: number -> word.
        index_docs: number -> texts that contain the word.
    """

    def __init__(
        self,
        num_words: Optional[int] = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: Optional[str] = None,
    ):
        if num_words is not None and num_words < 1:
            raise ArgumentError(
                f"`num_words` must be at least 1, not {num_words}.", argument="num_words"
            )
        if not split:
            raise ArgumentError("`split` must not be empty.", argument="split")
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.document_count = 0
        self.word_counts: dict[str, int] = {}
        self.word_docs: dict[str, int] = {}
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}
        self.index_docs: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Tokenizer: {len(self.word_index)} tokens from {self.document_count} texts>"

    def tokens(self, text: Text) -> list[str]:
        """The tokens of one text; a text that is a list of tokens is only lower-cased."""
        if not isinstance(text, str):
            return [token.lower() for token in text] if self.lower else list(text)
        if self.char_level:
            return list(text.lower() if self.lower else text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def count(self, texts: Iterable[Text]) -> Tokenizer:
        """Add the words of these texts to the counts; `number_words` finishes the job."""
        for text in texts:
            self.document_count += 1
            words = self.tokens(text)
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] = self.word_docs.get(word, 0) + 1
        return self

    def number_words(self) -> Tokenizer:
        """Give every counted word its number: by count, ties in order of first appearance."""
        ranked = sorted(self.word_counts, key=self.word_counts.get, reverse=True)
        if self.oov_token is not None:
            ranked = [self.oov_token] + [word for word in ranked if word != self.oov_token]
        self.word_index = {word: number for number, word in enumerate(ranked, start=1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        self.index_docs = {self.word_index[word]: n for word, n in self.word_docs.items()}
        return self

    def fit_on_texts(self, texts: Iterable[Text]) -> Tokenizer:
        """Learn the vocabulary of texts, beside what was learnt before."""
        return self.count(texts).number_words()

    def _numbers(self, text: Text) -> list[int]:
        limit = self.num_words or float("inf")
        unknown = self.word_index.get(self.oov_token) if self.oov_token is not None else None
        out = []
        for word in self.tokens(text):
            number = self.word_index.get(word)
            if number is None or number >= limit:
                number = unknown
            if number is not None:
                out.append(number)
        return out

    def _check_learnt(self) -> None:
        if not self.word_index:
            raise DataError(
                "The tokenizer knows no words yet.",
                hint="Let it learn them first: fit_text_tokenizer(tokenizer, texts).",
                argument="tokenizer",
            )

    def texts_to_sequences(self, texts: Iterable[Text]) -> list[list[int]]:
        """One list of word numbers a text; words that are not known are dropped or `oov_token`."""
        self._check_learnt()
        return [self._numbers(text) for text in texts]

    def sequences_to_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """Words of the numbers, joined by a space; numbers without a word are dropped."""
        self._check_learnt()
        limit = self.num_words or float("inf")
        out = []
        for sequence in sequences:
            words = []
            for number in sequence:
                word = self.index_word.get(int(number)) if number < limit else None
                word = self.oov_token if word is None else word
                if word is not None:
                    words.append(word)
            out.append(" ".join(words))
        return out

    def sequences_to_matrix(
        self, sequences: Sequence[Sequence[int]], mode: str = "binary"
    ) -> np.ndarray:
        """A row a text, a column a word number (column 0 stays empty), float64.

        Args:
            mode: "binary" (1 where the word occurs), "count", "freq" (count / length of the text)
                or "tfidf": (1 + ln count) * ln(1 + texts / (1 + texts with the word)).
        """
        if mode not in MODES:
            raise ArgumentError(
                f"`mode` must be one of {', '.join(MODES)}, not {mode!r}.", argument="mode"
            )
        if not self.num_words and not self.word_index:
            raise ArgumentError(
                "The number of columns is not known.",
                hint="Give the tokenizer `num_words`, or let it learn texts first.",
                argument="tokenizer",
            )
        columns = self.num_words or len(self.word_index) + 1
        if mode == "tfidf" and not self.document_count:
            raise DataError(
                "The mode 'tfidf' needs to know in how many texts each word occurs.",
                hint="Let the tokenizer learn from texts first.",
                argument="tokenizer",
            )
        counts = np.zeros((len(sequences), columns))
        for row, sequence in enumerate(sequences):
            numbers = np.asarray(list(sequence), dtype=np.int64)
            if numbers.size and numbers.min() < 0:
                raise DataError(
                    f"Sequence {row + 1} holds a negative word number.", argument="sequences"
                )
            np.add.at(counts[row], numbers[numbers < columns], 1.0)
        if mode == "count":
            return counts
        if mode == "binary":
            return (counts > 0).astype(np.float64)
        if mode == "freq":
            lengths = np.array([max(1, len(sequence)) for sequence in sequences], dtype=np.float64)
            return counts / lengths[:, None]
        documents = np.array([self.index_docs.get(j, 0) for j in range(columns)], dtype=np.float64)
        rarity = np.log(1 + self.document_count / (1 + documents))
        weight = np.zeros_like(counts)
        present = counts > 0
        weight[present] = 1 + np.log(counts[present])
        return weight * rarity

    def texts_to_matrix(self, texts: Iterable[Text], mode: str = "binary") -> np.ndarray:
        """`sequences_to_matrix` of `texts_to_sequences`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def to_json(self) -> str:
        """Settings and counts; the numbering is found again from them."""
        return json.dumps(
            {
                "format": FORMAT,
                "format_number": FORMAT_NUMBER,
                "settings": {
                    "num_words": self.num_words,
                    "filters": self.filters,
                    "lower": self.lower,
                    "split": self.split,
                    "char_level": self.char_level,
                    "oov_token": self.oov_token,
                },
                "document_count": self.document_count,
                "word_counts": list(self.word_counts.items()),
                "word_docs": self.word_docs,
                "word_index": self.word_index,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """The tokenizer that `to_json` described."""
        try:
            stored = json.loads(text)
            number = stored["format_number"] if stored["format"] == FORMAT else None
        except (ValueError, KeyError, TypeError):
            number = None
        if not isinstance(number, int):
            raise FileError(
                "This is not a stored tokenizer.",
                hint="save_text_tokenizer() writes such files.",
                argument="filename",
            )
        if number > FORMAT_NUMBER:
            raise FileError(
                f"The tokenizer was stored in format {number}; this version reads up to "
                f"{FORMAT_NUMBER}.",
                hint="Install a newer kerasbridge.",
                argument="filename",
            )
        try:
            tokenizer = cls(**stored["settings"])
            tokenizer.document_count = int(stored["document_count"])
            tokenizer.word_counts = {word: int(n) for word, n in stored["word_counts"]}
            tokenizer.word_docs = {word: int(n) for word, n in stored["word_docs"].items()}
            index = {word: int(n) for word, n in stored["word_index"].items()}
        except (KeyError, TypeError, ValueError) as exc:
            raise FileError("The stored tokenizer is damaged.", argument="filename") from exc
        tokenizer.word_index = index
        tokenizer.index_word = {number: word for word, number in index.items()}
        tokenizer.index_docs = {
            index[word]: n for word, n in tokenizer.word_docs.items() if word in index
        }
        return tokenizer


def save_tokenizer(tokenizer: Tokenizer, path: Union[str, Path]) -> None:
    """Write a tokenizer as JSON (UTF-8); the file appears whole or not at all.

    Raises:
        FileError: the folder is missing or read-only, or the disk is full.
    """
    write_text(path, tokenizer.to_json(), argument="filename")


def load_tokenizer(path: Union[str, Path]) -> Tokenizer:
    """Read what `save_tokenizer` wrote."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""  # a binary file, such as an older pickle: from_json refuses it
    except OSError as exc:
        raise FileError(
            f"'{path}' can't be read: {exc.strerror or exc}.", argument="filename"
        ) from exc
    return Tokenizer.from_json(text)


def as_texts(value: Any) -> list[str]:
    """One text or several as a list of texts."""
    return [value] if isinstance(value, str) else [str(text) for text in value]
