"""Tables of any make as columns with a stated meaning: what a schema learns from and checks.

A column is numbers, or codes into levels. Missing values are marked, never hidden in a number:

| kind     | values                                             | made from                            |
|----------|----------------------------------------------------|--------------------------------------|
| number   | float64                                            | floats                               |
| integer  | int64                                              | integers of any width                |
| logical  | 0 and 1                                            | booleans                             |
| factor   | int64 codes into `levels`, -1 where missing        | categories                           |
| ordered  | the same; the levels have an order                 | ordered categories                   |
| string   | the same; `levels` are the texts that occur        | text                                 |
| date     | days since 1970-01-01                              | dates                                |
| datetime | seconds since 1970-01-01 00:00 UTC                 | points in time                       |
| duration | seconds                                            | time spans                           |
"""

from __future__ import annotations

import datetime
import numbers
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Optional, Sequence

import numpy as np

from kerasbridge.data.blocks import cores
from kerasbridge.errors import DataError

LEVELLED = ("factor", "ordered", "string")
KINDS = ("number", "integer", "logical", *LEVELLED, "date", "datetime", "duration")
_SMALL = 1 << 20  # numbers; below this threads cost more than they save
_PART = 1 << 16  # numbers that are read at a time
_MISSING_INT64 = np.iinfo(np.int64).min  # also numpy's NaT


@dataclass
class FrameColumn:
    """One column (rows,) of a frame.

    Attributes:
        values: numbers, or codes where the kind has levels.
        levels: texts that the codes count into, from 0; None for numbers.
        missing: True where the value is missing; None where none is.
    """

    name: str
    kind: str
    values: np.ndarray
    levels: Optional[list] = None
    missing: Optional[np.ndarray] = None
    _range: Optional[tuple] = None

    def range(self) -> Optional[tuple[float, float]]:
        """Smallest and largest number that is there, NaN if one of them is NaN; None without any.

        Measured once: it also tells whether every number is finite.
        """
        if self._range is None and len(self.values):
            present = self.values if self.missing is None else self.values[~self.missing]
            if len(present):
                # in parts that stay in the cache, so that memory is read once for both
                parts = [present[at : at + _PART] for at in range(0, len(present), _PART)]
                with np.errstate(invalid="ignore"):
                    ends = np.array([(part.min(), part.max()) for part in parts])
                    self._range = (float(ends[:, 0].min()), float(ends[:, 1].max()))
        return self._range

    def texts(self) -> np.ndarray:
        """The texts (rows,) of a column with levels, as objects; None where missing."""
        if self.levels is None:  # only missing values, or no rows
            return np.full(len(self.values), None, dtype=object)
        table = np.array([*self.levels, None], dtype=object)
        return table[self.values]

    def first_missing(self) -> Optional[int]:
        """Index of the first missing value, or None."""
        return None if self.missing is None else int(np.argmax(self.missing))


class Frame:
    """Columns of one length, by name and in order."""

    def __init__(self, columns: Iterable[FrameColumn], rows: Optional[int] = None):
        self.columns: dict[str, FrameColumn] = {}
        for column in columns:
            if column.name in self.columns:
                raise DataError(
                    f"Two columns are called '{column.name}'.",
                    hint="Give every column its own name.",
                    details={"column": column.name},
                )
            self.columns[column.name] = column
        lengths = {name: len(column.values) for name, column in self.columns.items()}
        self.rows = next(iter(lengths.values()), 0) if rows is None else rows
        for name, length in lengths.items():
            if length != self.rows:
                raise DataError(
                    f"Column '{name}' has {length} rows, the first one {self.rows}.",
                    details={"column": name},
                )

    def __len__(self) -> int:
        return self.rows

    @property
    def names(self) -> list[str]:
        return list(self.columns)


def measured(columns: Sequence[FrameColumn]) -> Sequence[FrameColumn]:
    """The same columns, their ranges known: in threads where there is much to read."""
    numbers = [column for column in columns if column.levels is None]
    if sum(len(column.values) for column in numbers) < _SMALL:
        for column in numbers:
            column.range()
        return columns
    with ThreadPoolExecutor(min(cores(), len(numbers))) as pool:
        list(pool.map(FrameColumn.range, numbers))
    return columns


def column_error(name: str, problem: str, row: Optional[int] = None, hint: Optional[str] = None):
    """A `DataError` about a column; `row` is an index from 0, shown counted from 1."""
    place = "" if row is None else f" (first in row {row + 1})"
    details = {"column": name}
    if row is not None:
        details["row"] = row + 1
    return DataError(f"Column '{name}' {problem}{place}.", hint=hint, details=details)


def as_frame(table: Any) -> Frame:
    """A frame from a dict of columns, a pandas or pyarrow table, a structured array or a frame.

    Raises:
        DataError: not a table, or a column that holds something else than the kinds above; it
            names the column and the first row.
    """
    if isinstance(table, Frame):
        return table
    if hasattr(table, "column_names") and hasattr(table, "schema"):
        return Frame(_arrow_column(n, table.column(n)) for n in table.column_names)
    if hasattr(table, "dtypes") and hasattr(table, "columns"):
        repeated = [str(n) for n in table.columns[table.columns.duplicated()]]
        if repeated:
            raise DataError(
                f"Two columns are called '{repeated[0]}'.", details={"column": repeated[0]}
            )
        return Frame((_pandas_column(str(n), table[n]) for n in table.columns), rows=len(table))
    if isinstance(table, Mapping):
        return Frame(array_column(str(name), values) for name, values in table.items())
    fields = getattr(getattr(table, "dtype", None), "names", None)
    if fields:
        return Frame(array_column(name, table[name]) for name in fields)
    raise DataError(
        f"A table is a dict of columns, a pandas or a pyarrow table, not {type(table).__name__}."
    )


def _marked(values: np.ndarray, missing: np.ndarray) -> tuple:
    return values, (missing if missing.any() else None)


def coded(name: str, kind: str, codes: np.ndarray, levels: Sequence) -> FrameColumn:
    """A column from codes that count from 0 (-1 where missing) and their levels."""
    codes = np.asarray(codes).astype(np.int64, copy=False)
    return FrameColumn(name, kind, *_with_levels(codes, [str(level) for level in levels]))


def _with_levels(codes: np.ndarray, levels: list) -> tuple:
    missing = codes < 0
    return codes, levels, (missing if missing.any() else None)


def _texts_column(name: str, values: np.ndarray) -> FrameColumn:
    """A column of text from an object array that may hold None or NaN for missing values."""
    positions: dict = {}
    codes = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        if isinstance(value, bytes):
            value = value.decode("utf-8")
        if isinstance(value, str):
            codes[row] = positions.setdefault(str(value), len(positions))
        elif value is None or value != value or type(value).__name__ == "NAType":
            codes[row] = -1
        else:
            what = type(value).__name__
            raise column_error(name, f"mixes text with {what} values", row)
    return FrameColumn(name, "string", *_with_levels(codes, list(positions)))


def _objects_column(name: str, values: np.ndarray) -> FrameColumn:
    """A column of Python objects: text, numbers, logicals or dates, with None for missing."""
    kinds = {type(v) for v in values if not (v is None or (isinstance(v, float) and v != v))}
    kinds = {kind for kind in kinds if kind.__name__ != "NAType"}
    if kinds and all(issubclass(kind, (str, bytes)) for kind in kinds):
        return _texts_column(name, values)
    missing = np.array(
        [v is None or type(v).__name__ == "NAType" or bool(v != v) for v in values], dtype=bool
    )
    if kinds and all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        filled = np.where(missing, 0, values).astype(np.float64)
        return FrameColumn(name, "logical", *_columns_parts(filled, missing))
    if all(issubclass(kind, numbers.Real) for kind in kinds):
        whole = bool(kinds) and all(issubclass(kind, numbers.Integral) for kind in kinds)
        filled = np.where(missing, 0, values).astype(np.int64 if whole else np.float64)
        return FrameColumn(name, "integer" if whole else "number", *_columns_parts(filled, missing))
    if all(issubclass(kind, datetime.datetime) for kind in kinds):
        return array_column(name, np.array([v or None for v in values], dtype="datetime64[us]"))
    if all(issubclass(kind, datetime.date) for kind in kinds):
        return array_column(name, np.array([v or None for v in values], dtype="datetime64[D]"))
    if all(issubclass(kind, datetime.timedelta) for kind in kinds):
        return array_column(name, np.array([v or None for v in values], dtype="timedelta64[us]"))
    plain = (str, bytes, numbers.Real)
    row = next((i for i, v in enumerate(values) if not (missing[i] or isinstance(v, plain))), None)
    if row is None:
        return _texts_column(name, values)  # names the row where text meets numbers
    raise column_error(
        name,
        f"holds {type(values[row]).__name__} values",
        row,
        "A column holds one number, logical, text or date a row; split it up first.",
    )


def _columns_parts(values: np.ndarray, missing: np.ndarray) -> tuple:
    values, missing = _marked(values, missing)
    return values, None, missing


def array_column(name: str, values: Any) -> FrameColumn:
    """A column from a vector of numbers, logicals, text, dates, or objects of these."""
    if hasattr(values, "codes") and hasattr(values, "categories"):
        kind = "ordered" if values.ordered else "factor"
        return coded(name, kind, np.asarray(values.codes), list(values.categories))
    array = values if isinstance(values, np.ndarray) else _from_list(name, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise column_error(
            name,
            f"has shape {array.shape}, not one value a row",
            hint="Split it into columns of one value a row, or give it to the model as an array.",
        )
    kind = array.dtype.kind
    if kind == "f":
        missing = np.isnan(array)
        return FrameColumn(name, "number", *_columns_parts(array, missing))
    if kind in "iu":
        return FrameColumn(name, "integer", array)
    if kind == "b":
        return FrameColumn(name, "logical", array.astype(np.float64))
    if kind in "US":
        return _texts_column(name, array.astype(object))
    if kind == "O":
        return _objects_column(name, array)
    if kind in "Mm":
        missing = np.isnat(array)
        days = kind == "M" and np.datetime_data(array.dtype)[0] in ("D", "W", "M", "Y")
        unit = np.timedelta64(1, "D") if days else np.timedelta64(1, "s")
        spans = array - np.datetime64(0, "D") if kind == "M" else array
        plain = np.where(missing, np.timedelta64(0, "s"), spans) / unit
        what = "date" if days else "datetime" if kind == "M" else "duration"
        return FrameColumn(name, what, *_columns_parts(plain, missing))
    raise column_error(name, f"holds {array.dtype} values, which have no meaning here")


def _from_list(name: str, values: Any) -> np.ndarray:
    """A vector from a list, so that text, numbers and None stay what they are."""
    if hasattr(values, "__array__"):
        return np.asarray(values)
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _pandas_column(name: str, series: Any) -> FrameColumn:
    kind = str(series.dtype)
    if hasattr(series, "ndim") and series.ndim != 1:
        raise column_error(name, "is several columns of one name")
    if kind == "category":
        return array_column(name, series.array)
    if kind.startswith("datetime64") and getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if kind in ("string", "str", "boolean") or kind[:3] in ("Int", "UIn", "Flo"):
        return array_column(name, series.to_numpy(dtype=object))
    return array_column(name, series.to_numpy())


def _arrow_column(name: str, column: Any) -> FrameColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = column.type
    if pa.types.is_dictionary(kind):
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        which = "ordered" if kind.ordered else "factor"
        return coded(name, which, codes, column.dictionary.to_pylist())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found = column.dictionary_encode()
        codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return coded(name, "string", codes, found.dictionary.to_pylist())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        filled = pc.fill_null(column, False if pa.types.is_boolean(kind) else 0)
        plain = filled.to_numpy(zero_copy_only=False)
        if pa.types.is_boolean(kind):
            return FrameColumn(name, "logical", *_columns_parts(plain.astype(np.float64), missing))
        return FrameColumn(name, "integer", *_columns_parts(plain, missing))
    if pa.types.is_floating(kind) or pa.types.is_null(kind):
        return array_column(name, column.to_numpy(zero_copy_only=False).astype(np.float64))
    if pa.types.is_decimal(kind):
        return array_column(name, pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
    if pa.types.is_date(kind):
        return array_column(name, column.to_numpy(zero_copy_only=False).astype("datetime64[D]"))
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return array_column(name, column.to_numpy(zero_copy_only=False))
    raise column_error(
        name,
        f"holds {kind} values",
        0,
        "A column holds one number, logical, text or date a row; split it up first.",
    )


def from_columns(columns: Sequence[Mapping]) -> Frame:
    """A frame from columns as R sends them: dicts of name, kind, values and perhaps levels.

    Values of factors and text are codes from 0 with -1 for missing ones; NaN is missing elsewhere.
    Kind "integer64" holds the bytes of 64-bit integers in doubles, as R does.
    """
    made = []
    for column in columns:
        name, kind, values = column["name"], column["kind"], np.asarray(column["values"])
        values = values.reshape(-1)
        if kind in LEVELLED:
            made.append(coded(name, kind, values, column["levels"]))
            continue
        if kind == "integer64":
            whole = np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
            missing = whole == _MISSING_INT64
            parts = _columns_parts(np.where(missing, 0, whole), missing)
            made.append(FrameColumn(name, "integer", *parts))
            continue
        made.append(FrameColumn(name, kind, values))
    for column in measured(made):
        if column.levels is None and np.isnan(column.range() or 0.0).any():
            column.missing, column._range = np.isnan(column.values), None
    return Frame(made)
