"""Columns of tables from files: what they hold, and how they become the arrays of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Iterable, Mapping, Optional, Sequence

import numpy as np

from kerasbridge.data.blocks import row_block
from kerasbridge.data.sources import nests
from kerasbridge.errors import ArgumentError, DataError, InstallError

ENCODINGS = ("one_hot", "codes", "columns")
KINDS = ("number", "factor")
_MOST_LEVELS = 10_000


def arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError:
        raise InstallError(
            "Reading CSV and Parquet files needs pyarrow.", hint="pip install pyarrow"
        ) from None
    return pyarrow


@dataclass
class Column:
    """One column: a "number", or a "factor" whose levels are counted from 0 in their order."""

    name: str
    kind: str = "number"
    levels: Optional[list[str]] = None


@dataclass
class Trouble:
    """Rows of one block that can't be used: logicals by row, and what is wrong with the first."""

    bad: np.ndarray
    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, wrong: np.ndarray, column: str, what: str) -> None:
        if wrong.any():
            first = int(np.argmax(wrong))
            self.reasons.setdefault(first, f"column '{column}' {what}")
            self.bad |= wrong


class Layout:
    """Which columns are x, y and weights, and how they are laid out.

    Args:
        x, y: columns in order.
        weight: name of a column of sample weights.
        encode: "one_hot" (x is one block, a column of it for each level), "codes" (one block,
            factors as their numbers) or "columns" (x is a dict of arrays (rows, 1), factors as
            whole numbers, or as text where they are in `texts`).

    Attributes:
        fills: by column, what stands for a missing value: a number (NaN where the model fills it
            itself), or a text for columns in `texts`. Others are refused.
    """

    texts: frozenset = frozenset()
    fills: Mapping = MappingProxyType({})

    def __init__(
        self,
        x: Sequence[Column],
        y: Sequence[Column],
        weight: Optional[str] = None,
        encode: str = "one_hot",
    ):
        if encode not in ENCODINGS:
            raise ArgumentError(
                f"`encode` must be one of {', '.join(ENCODINGS)}, not {encode!r}.",
                argument="encode",
            )
        self.x, self.y, self.weight, self.encode = list(x), list(y), weight, encode
        if len(self.y) > 1 and any(column.kind == "factor" for column in self.y):
            raise ArgumentError(
                "Several `y` columns must all be numbers.",
                hint="A factor can be the only target.",
                argument="y",
            )

    @property
    def columns(self) -> list[Column]:
        weight = [Column(self.weight)] if self.weight else []
        return [*self.x, *self.y, *weight]

    @property
    def x_names(self) -> list[str]:
        """Names of the columns of the block, such as "cut=Fair"."""
        found = []
        for column in self.x:
            if column.kind == "factor" and self.encode == "one_hot":
                found += [f"{column.name}={level}" for level in column.levels or []]
            else:
                found.append(column.name)
        return found

    def arrays(self, batch: Any) -> tuple[tuple, Optional[Trouble]]:
        """x, y and weights of an Arrow record batch; rows that are of no use are named beside."""
        trouble = Trouble(np.zeros(batch.num_rows, dtype=bool))
        values = {
            column.name: _values(
                batch.column(column.name), column, trouble, self.fills.get(column.name)
            )
            for column in self.columns
        }
        for name in self.texts:
            text = batch.column(name).cast(arrow().string())
            if name in self.fills:
                text = arrow().compute.fill_null(text, self.fills[name])
            values[name] = text.to_numpy(zero_copy_only=False)
        parts: list = [self._x(values)]
        if self.y:
            parts.append(self._y(values))
        if self.weight:
            if not self.y:
                raise ArgumentError(
                    "`sample_weight` needs `y` beside it.", argument="sample_weight"
                )
            parts.append(values[self.weight])
        return tuple(parts), trouble if trouble.bad.any() else None

    def _x(self, values: dict) -> Any:
        if self.encode == "columns":
            return {column.name: values[column.name][:, None] for column in self.x}
        columns = []
        for column in self.x:
            data = values[column.name]
            if column.kind == "factor" and self.encode == "one_hot":
                columns += [data == code for code in range(len(column.levels or []))]
            else:
                columns.append(data)
        return row_block(columns)

    def _y(self, values: dict) -> np.ndarray:
        if len(self.y) == 1:
            return values[self.y[0].name]
        return row_block([values[column.name] for column in self.y])


def _values(array: Any, column: Column, trouble: Trouble, fill: Any = None) -> np.ndarray:
    """float32 numbers, or int32 codes, of one Arrow array; `fill` stands for a missing value."""
    pa = arrow()
    absent = pa.compute.is_null(array).to_numpy(False) if array.null_count else None
    if absent is not None and fill is None:
        trouble.add(absent, column.name, "has no value")
    if column.kind == "factor":
        codes = _codes(array, column.levels or [])
        if codes.null_count:
            unknown = pa.compute.is_null(codes).to_numpy(False)
            if absent is not None:
                unknown &= ~absent
            trouble.add(unknown, column.name, "has a value that is none of its levels")
            codes = pa.compute.fill_null(codes, 0)
        return codes.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    if absent is not None:
        array = pa.compute.fill_null(array, False if pa.types.is_boolean(array.type) else 0)
    data = array.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    wrong = None
    if not np.isfinite(data.sum(dtype=np.float64)):
        wrong = ~np.isfinite(data)
    if fill is not None:
        nothing = np.isnan(data) if absent is None else absent | np.isnan(data)
        if nothing.any():
            data = np.where(nothing, np.float32(fill), data)
            wrong = None if wrong is None else wrong & ~nothing
    if wrong is not None:
        trouble.add(wrong, column.name, "has a value that is not finite")
    return data


def _codes(array: Any, levels: list) -> Any:
    """Places in `levels` as an Arrow array, null where a value is none of them."""
    pa = arrow()
    known = pa.array(levels, pa.string())
    if pa.types.is_dictionary(array.type):
        names = array.dictionary.cast(pa.string())
        places = pa.compute.index_in(names, value_set=known)
        return places.take(array.indices)
    return pa.compute.index_in(array.cast(pa.string()), value_set=known)


def kind_of(pa: Any, arrow_type: Any, name: str, types: dict) -> str:
    """ "number" or "factor" for an Arrow type, or what `types` says.

    Raises:
        DataError: dates, lists and other things that are neither.
    """
    if name in types:
        if types[name] not in KINDS:
            raise ArgumentError(
                f"`types` says {types[name]!r} of '{name}'; it knows {' and '.join(KINDS)}.",
                argument="types",
            )
        return types[name]
    kinds = pa.types
    if kinds.is_dictionary(arrow_type) or kinds.is_string(arrow_type):
        return "factor"
    if kinds.is_large_string(arrow_type):
        return "factor"
    plain = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_null, kinds.is_decimal)
    if any(is_kind(arrow_type) for is_kind in plain):
        return "number"
    raise DataError(
        f"The column '{name}' holds {arrow_type} values, which have no meaning as numbers.",
        hint="Leave it out of `x`, or write it as numbers.",
        argument="x",
        details={"column": name},
    )


def as_names(value: Any) -> list[str]:
    """None, one name or several as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(name) for name in value]


def choose(
    available: Sequence[str], x: Any, y: Any, weight: Optional[str]
) -> tuple[list[str], list[str]]:
    """Names of the x and y columns; all that are left, those without a name excepted, if x is None.

    Raises:
        ArgumentError: a column that isn't there, or one that is both.
    """
    wanted_y, wanted_x = as_names(y), as_names(x)
    named = [("y", wanted_y), ("x", wanted_x), ("sample_weight", as_names(weight))]
    for argument, names in named:
        for name in names:
            if name not in available:
                shown = ", ".join(f"'{one}'" for one in list(available)[:20])
                raise ArgumentError(
                    f"There is no column '{name}'.",
                    hint=f"The columns: {shown}.",
                    argument=argument,
                )
    both = [name for name in wanted_x if name in wanted_y]
    if both:
        raise ArgumentError(f"The column '{both[0]}' is in `x` and in `y`.", argument="x")
    if x is None:
        wanted_x = [n for n in available if n and n not in wanted_y and n != weight]
    if not wanted_x:
        raise ArgumentError("There is no column left for `x`.", argument="x")
    return wanted_x, wanted_y


def learn_levels(columns: Iterable[Column], values: Iterable[Any]) -> None:
    """Fill in the levels of factors that have none, sorted, from Arrow tables of these columns."""
    pa = arrow()
    open_columns = [c for c in columns if c.kind == "factor" and c.levels is None]
    if not open_columns:
        return
    seen: dict[str, set] = {column.name: set() for column in open_columns}
    for table in values:
        for name, known in seen.items():
            for chunk in table.column(name).chunks:
                if pa.types.is_dictionary(chunk.type):
                    chunk = chunk.dictionary.cast(pa.string())
                else:
                    chunk = pa.compute.unique(chunk.cast(pa.string()))
                known.update(value for value in chunk.to_pylist() if value is not None)
            if len(known) > _MOST_LEVELS:
                raise DataError(
                    f"The column '{name}' has more than {_MOST_LEVELS} different texts.",
                    hint="Leave it out of `x`, or say which are its levels with `levels`.",
                    argument="x",
                    details={"column": name},
                )
    for column in open_columns:
        column.levels = sorted(seen[column.name])


def usable(parts: tuple, trouble: Trouble) -> tuple:
    """The rows without trouble."""
    good = ~trouble.bad
    return nests.mapped(lambda array: array[good], parts)
