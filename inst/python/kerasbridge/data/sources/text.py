"""Texts: a file each, or a line each, with or without labels."""

from __future__ import annotations

import os
from typing import Any, Iterator, NamedTuple, Optional, Sequence

import numpy as np

from kerasbridge.data.schema import Column, Schema
from kerasbridge.data.sources.base import IndexSource
from kerasbridge.data.sources.paths import expand
from kerasbridge.errors import ArgumentError, DataError, FileError

UNITS = ("files", "lines")
_ENDINGS = (".txt",)


class _Line(NamedTuple):
    file: int
    start: int
    end: int


class TextSource(IndexSource):
    """Texts as strings, or as what `vectorize` makes of them.

    Keras' own `fit` reads strings from `dataset()` only, numbers from the source itself too.

    Args:
        path: a folder with a folder for each class (`unit` "files"), files, or patterns.
        unit: whether a sample is a whole file or a line of one.
        labels: for files that come as a list, a class name or number for each; for lines, of each
            file. Folders tell their classes.
        classes: class names in the order of their numbers from 0; sorted if None.
        vectorize: a Keras layer or a function that takes a batch of strings (rows,) to numbers,
            such as an adapted TextVectorization.
        encoding: of the files.
        reading: arguments of `Source`; `validation_split` takes the last part of each class.

    Attributes:
        class_names: names of the classes, or None.
    """

    def __init__(
        self,
        path: Any,
        unit: str = "files",
        labels: Optional[Sequence] = None,
        classes: Optional[Sequence[str]] = None,
        vectorize: Any = None,
        encoding: str = "utf-8",
        **reading: Any,
    ):
        super().__init__(**reading)
        if unit not in UNITS:
            raise ArgumentError(
                f"`unit` must be 'files' or 'lines', not {unit!r}.", argument="unit"
            )
        self.unit, self.vectorize, self.encoding = unit, vectorize, encoding
        folders = None
        if labels is None and isinstance(path, (str, os.PathLike)) and os.path.isdir(path):
            folders = classes or sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
        if folders:
            self.files, names = [], []
            for name in folders:
                found = expand(os.path.join(os.fspath(path), name), _ENDINGS)
                self.files += found
                names += [name] * len(found)
        else:
            self.files = expand(path, _ENDINGS)
            names = None if labels is None else list(labels)
        if names is not None and len(names) != len(self.files):
            raise ArgumentError(
                f"There are {len(self.files)} files and {len(names)} labels.", argument="labels"
            )
        self.class_names: Optional[list[str]] = None
        codes: Optional[list[int]] = None
        if names is not None:
            known = [str(n) for n in (classes or sorted({str(name) for name in names}))]
            missing = sorted({str(name) for name in names} - set(known))
            if missing:
                raise ArgumentError(f"`classes` lacks '{missing[0]}'.", argument="classes")
            self.class_names = known
            codes = [known.index(str(name)) for name in names]
        if unit == "lines":
            self._lines = [line for i, name in enumerate(self.files) for line in _lines(i, name)]
            codes = None if codes is None else [codes[line.file] for line in self._lines]
        self.codes = None if codes is None else np.array(codes, dtype=np.int32)
        self._ready()

    def learnt(self) -> Schema:
        """The classes in their order, for the model that is trained on them."""
        names = self.class_names
        return Schema(target=Column("class", "factor", names) if names else None)

    def count(self) -> int:
        return len(self._lines) if self.unit == "lines" else len(self.files)

    def split(self, share: float) -> tuple:
        return split_by_class(self, share, self.codes)

    def _text(self, row: int) -> str:
        if self.unit == "lines":
            file, start, end = self._lines[row]
        else:
            file, start, end = row, 0, -1
        name = self.files[file]
        try:
            with open(name, "rb") as opened:
                opened.seek(start)
                data = opened.read(end - start if end >= 0 else -1)
            return data.decode(self.encoding).rstrip("\r\n" if self.unit == "lines" else "")
        except (OSError, UnicodeDecodeError) as exc:
            raise FileError(
                f"'{name}' can't be read as text: {exc}.",
                hint='If it is not UTF-8, say `encoding`, such as "latin1".',
                argument="path",
                details={"file": name},
            ) from exc

    def load(self, rows: np.ndarray) -> tuple:
        texts: Any = np.array([self._text(int(row)) for row in rows], dtype=object)
        if self.vectorize is not None:
            import keras

            made = self.vectorize(keras.ops.convert_to_tensor(list(texts), dtype="string"))
            texts = np.asarray(keras.ops.convert_to_numpy(made))
            if len(texts) != len(rows):
                raise DataError(
                    f"`vectorize` made {len(texts)} rows of {len(rows)} texts.",
                    argument="vectorize",
                )
        return (texts,) if self.codes is None else (texts, self.codes[rows])


def _lines(file: int, name: str) -> Iterator[_Line]:
    """Places of the lines that aren't empty."""
    start = 0
    with open(name, "rb") as opened:
        for line in opened:
            if line.strip():
                yield _Line(file, start, start + len(line))
            start += len(line)


def split_by_class(source: Any, share: float, codes: Optional[np.ndarray]) -> tuple:
    """(first part, last share of each class); of all samples where there are no classes."""
    if codes is None:
        return IndexSource.split(source, share)
    here = source._rows
    last = np.zeros(len(here), dtype=bool)
    for code in np.unique(codes[here]):
        of_class = np.flatnonzero(codes[here] == code)
        last[of_class[int(np.floor(len(of_class) * (1.0 - share))) :]] = True
    if last.all() or not last.any():
        return IndexSource.split(source, share)
    return source._some(here[~last]), source._some(here[last])
