"""What CSV and Parquet sources share: columns, levels, and rows that can't be used."""

from __future__ import annotations

import copy
from typing import Any, Iterable, Iterator, Mapping, Optional

import numpy as np

from kerasbridge.data.schema import Column, Schema, as_schema
from kerasbridge.data.sources import columns as cols
from kerasbridge.data.sources import nests
from kerasbridge.data.sources.base import Part, Source
from kerasbridge.errors import ArgumentError, DataError


class TableSource(Source):
    """A source over tables; a format defines `parts` and `tables`.

    Attributes:
        x_names: names of the columns of the x block.
        levels: levels of each factor, by column.
        y_levels: levels of y if it is a factor, else None.
    """

    layout: cols.Layout

    def tables(self, part: Part, names: list[str]) -> Iterator[Any]:
        """Arrow record batches of a part with these columns, in order.

        The metadata entry `rows` of a batch, where there is one, has the number of each of its rows
        within the file (see `row_numbers`).
        """
        raise NotImplementedError

    def file_of(self, part: Part) -> str:
        raise NotImplementedError

    def _describe(
        self, schema: dict, x: Any, y: Any, weight: Optional[str], types: dict, levels: dict,
        encode: str, known: Any = None,
    ) -> None:  # fmt: skip
        """Make the layout from the columns' Arrow types and what the caller says of them."""
        pa = cols.arrow()
        known_types, known_levels = _of_schema(known, schema)
        types, levels = {**known_types, **types}, {**known_levels, **levels}
        for argument, given in (("types", types), ("levels", levels)):
            for name in given:
                if name not in schema:
                    raise ArgumentError(
                        f"`{argument}` names '{name}', which is no column.",
                        hint=f"The columns: {', '.join(repr(n) for n in list(schema)[:20])}.",
                        argument=argument,
                    )
        types = {**{name: "factor" for name in levels}, **types}
        x_names, y_names = cols.choose(list(schema), x, y, weight)

        def column(name: str) -> cols.Column:
            kind = cols.kind_of(pa, schema[name], name, types)
            given = levels.get(name)
            given = None if given is None else [str(level) for level in cols.as_names(given)]
            if given is not None and len(set(given)) < len(given):
                raise ArgumentError(f"`levels` of '{name}' has one twice.", argument="levels")
            return cols.Column(name, kind, given if kind == "factor" else None)

        self.layout = cols.Layout(
            [column(name) for name in x_names],
            [column(name) for name in y_names],
            weight,
            encode,
        )

    def _learn_levels(self, parts: list[Part]) -> None:
        """One pass over the factors whose levels nobody gave."""
        pa = cols.arrow()
        names = [c.name for c in self.layout.columns if c.kind == "factor" and c.levels is None]
        if not names:
            return

        def tables() -> Iterator[Any]:
            for part in parts:
                for batch in self.tables(part, names):
                    yield pa.Table.from_batches([batch])

        cols.learn_levels(self.layout.columns, tables())

    @property
    def x_names(self) -> list[str]:
        return self.layout.x_names

    @property
    def levels(self) -> dict[str, list[str]]:
        return {c.name: list(c.levels or []) for c in self.layout.columns if c.kind == "factor"}

    @property
    def y_levels(self) -> Optional[list[str]]:
        y = self.layout.y
        return list(y[0].levels or []) if len(y) == 1 and y[0].kind == "factor" else None

    def laid_out(self, texts: Iterable[str], fills: Mapping) -> TableSource:
        """The same rows with these factors as text, and with `fills` for missing values.

        Where bad rows are skipped they have been counted, so missing values stay bad.
        """
        found = self.copy()
        found.layout = copy.copy(self.layout)
        found.layout.texts = frozenset(texts)
        found.layout.fills = dict(fills) if self.on_error == "stop" else {}
        found.validation = self.validation and self.validation.laid_out(texts, fills)
        return found

    def chunks(self, names: list[str]) -> Iterator[Any]:
        """All rows of these columns as they are written, as Arrow tables, in order.

        Missing values, and rows that training would refuse, are among them.

        Raises:
            ArgumentError: there is no such column.
        """
        pa = cols.arrow()
        known = [column.name for column in self.layout.columns]
        absent = [name for name in names if name not in known]
        if absent:
            raise ArgumentError(
                f"The source has no column '{absent[0]}'.",
                hint=f"Its columns: {', '.join(repr(name) for name in known[:20])}.",
                argument="data",
            )
        for part, _, _ in self._segments():
            for batch in self.tables(part, names):
                yield pa.Table.from_batches([batch])

    def learnt(self) -> Schema:
        """What a model that is trained on this source knows of it: columns by name, and levels.

        Columns of factors that were laid out as several are left out, for a table has to be
        encoded before it fits such a model.
        """
        plain = all(column.kind == "number" for column in self.layout.x)
        columns = [Column(column.name, "number") for column in self.layout.x] if plain else []
        y = self.layout.y
        target = None
        if len(y) == 1:
            target = Column(y[0].name, y[0].kind, y[0].levels)
        return Schema(columns, target)

    def read(self, part: Part, first: int, last: int) -> Iterator[Any]:
        names = [column.name for column in self.layout.columns]
        row = 0  # rows of the part before this batch, those that are skipped included
        good = 0  # the same without them
        for batch in self.tables(part, names):
            if good >= last:
                return
            parts, trouble = self.layout.arrays(batch)
            numbers = row_numbers(batch)
            if trouble is not None:
                at = min(trouble.reasons)
                number = part.first + (int(numbers[at]) if numbers is not None else row + at) + 1
                sentence = f"'{self.file_of(part)}', row {number}: {trouble.reasons[at]}."
                if self.on_error == "stop":
                    raise DataError(
                        sentence,
                        hint='Mend the file, or leave such rows out with on_error = "skip".',
                        argument="path",
                        details={"file": self.file_of(part), "row": number},
                    )
                if self._counting:
                    self._skip(int(trouble.bad.sum()), sentence)
                parts = cols.usable(parts, trouble)
            row += batch.num_rows
            rows = nests.rows_of(parts)
            a, b = max(first - good, 0), min(last - good, rows)
            good += rows
            if a < b:
                whole = a == 0 and b == rows
                yield parts if whole else nests.mapped(lambda v, a=a, b=b: v[a:b], parts)


def _of_schema(known: Any, columns: dict) -> tuple[dict, dict]:
    """(types, levels) of those columns that a `Schema` describes."""
    found = as_schema(known)
    if found is None:
        return {}, {}
    described = [*found.columns.values(), *([found.target] if found.target else [])]
    described = [column for column in described if column.name in columns]
    types = {c.name: "factor" if c.levels is not None else "number" for c in described}
    return types, {c.name: c.levels for c in described if c.levels is not None}


ROWS_KEY = b"kerasbridge.rows"


def with_row_numbers(batch: Any, numbers: np.ndarray) -> Any:
    """The record batch with the number of each row within its part."""
    return batch.replace_schema_metadata({ROWS_KEY: numbers.astype(np.int64).tobytes()})


def row_numbers(batch: Any) -> Optional[np.ndarray]:
    found = (batch.schema.metadata or {}).get(ROWS_KEY)
    return None if found is None else np.frombuffer(found, dtype=np.int64)
