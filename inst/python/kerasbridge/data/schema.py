"""What a model was trained on, column by column, and the check of later tables against it.

A schema is learnt from the training table (`Schema.learn`), is plain data (`get_config`,
`from_config`, `to_json`), and turns any later table into numbers (`Schema.check`): columns are found by
name, levels by name, and whatever the training table did not have is refused with column and row.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Iterable, Mapping, Optional, Union

import numpy as np

from kerasbridge.data.frames import (
    LEVELLED,
    Frame,
    FrameColumn,
    as_frame,
    column_error,
)
from kerasbridge.errors import ArgumentError, DataError

FORMAT = 1  # of the plain data; raised when an older reader would misread it
MISSING_RULES = ("refuse", "mean", "median", "constant", "level")
UNKNOWN_RULES = ("refuse", "slot")
EXACT = 1 << 24  # whole numbers above it lose digits in float32

# kind when trained -> kinds that a later table may have
_ACCEPTS = {
    "number": ("number", "integer", "logical"),
    "integer": ("integer", "number", "logical"),
    "logical": ("logical", "integer", "number"),
    "factor": LEVELLED,
    "ordered": LEVELLED,
    "string": LEVELLED,
    "date": ("date",),
    "datetime": ("datetime", "date"),
    "duration": ("duration",),
}
_WORDS = {
    "number": "numbers",
    "integer": "whole numbers",
    "logical": "logicals",
    "factor": "a factor",
    "ordered": "an ordered factor",
    "string": "text",
    "date": "dates",
    "datetime": "points in time",
    "duration": "time spans",
}


@dataclass
class Column:
    """One column of a schema.

    Attributes:
        kind: one of `frames.KINDS`.
        levels: texts in order, for kinds with levels; None if any text will do (`open`).
        minimum, maximum: range of the training numbers.
        origin: what is taken off a point in time, so that float32 holds it: the first one seen.
        missing: "refuse", or "mean", "median", "constant" (numbers), "level" (factors, text).
        fill: the number that stands in for a missing one.
        indicator: whether a column of 0 and 1 says where a number was missing.
        missing_level: the text that stands for a missing one under the rule "level".
        unknown: "refuse", or "slot": a level of its own for all levels not seen in training.
    """

    name: str
    kind: str
    levels: Optional[list] = None
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    origin: float = 0.0
    constant: bool = False
    missing: str = "refuse"
    fill: Optional[float] = None
    indicator: bool = False
    missing_level: Optional[str] = None
    unknown: str = "refuse"

    @property
    def levelled(self) -> bool:
        return self.kind in LEVELLED

    def vocabulary(self) -> list:
        """The levels in order, the one for missing values last."""
        extra = [] if self.missing_level is None else [self.missing_level]
        return [*(self.levels or []), *extra]

    def describe(self) -> str:
        return _WORDS[self.kind]


def _missing_rule(column: Column, given: Any, seen: FrameColumn) -> None:
    """Set the rule for missing values of `column`: a name, a number, or a dict of how, indicator."""
    indicator: Any = None
    if isinstance(given, Mapping):
        indicator, given = given.get("indicator"), given.get("how", given.get("value", "refuse"))
    how = given
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        how = "constant"
    if how not in MISSING_RULES or (how == "constant" and isinstance(given, str)):
        raise ArgumentError(
            f"Column '{column.name}' has the rule {given!r} for missing values.",
            hint="Rules: 'refuse', 'mean', 'median', a number, or 'level' for factors and text.",
            argument="na",
        )
    wants_level = how == "level"
    if how != "refuse" and wants_level != column.levelled:
        raise ArgumentError(
            f"The rule '{how}' for missing values does not go with column '{column.name}', which "
            f"holds {column.describe()}.",
            hint="Numbers take 'mean', 'median' or a number; factors and text take 'level'.",
            argument="na",
        )
    column.missing = how
    if wants_level:
        column.missing_level = _unused("(missing)", column.levels or [])
    elif how != "refuse":
        column.indicator = True if indicator is None else bool(indicator)
        present = seen.values if seen.missing is None else seen.values[~seen.missing]
        if how == "constant":
            column.fill = float(given)
        elif len(present) == 0:
            raise column_error(column.name, f"has no value to take the {how} of")
        else:
            numbers = np.asarray(present, dtype=np.float64)
            column.fill = float(np.median(numbers) if how == "median" else numbers.mean())


def set_rules(column: Column, missing: Any, unknown: Any, seen: FrameColumn) -> None:
    """Let `column` have these rules for missing values and unknown levels; None leaves the default.

    `seen`: the column's training values, from which means and medians are taken.
    """
    if missing is not None:
        _missing_rule(column, missing, seen)
    if unknown is not None and column.levelled:
        if unknown not in UNKNOWN_RULES:
            raise ArgumentError(
                f"`unknown` must be 'refuse' or 'slot', not {unknown!r}.", argument="unknown"
            )
        column.unknown = unknown


def _unused(text: str, levels: Iterable) -> str:
    while text in levels:
        text += "_"
    return text


def by_column(rule: Any, names: list, what: str) -> dict:
    """A rule for each column from one for all or a dict by name ("" for the others)."""
    if not isinstance(rule, Mapping) or "how" in rule:
        return {name: rule for name in names}
    for name in rule:
        if name != "" and name not in names:
            raise ArgumentError(
                f"`{what}` names the column '{name}', which is not in the data.",
                hint=f"Columns: {', '.join(names[:20])}.",
                argument=what,
            )
    return {name: rule.get(name, rule.get("")) for name in names}


@dataclass
class Checked:
    """A table that agrees with a schema, as numbers.

    Attributes:
        frame: the table itself.
        values: by column, float64 numbers or int64 codes (rows,); text as objects where the column
            is open.
        missing: by column with a rule, True where the value was missing.
        notes: what a person may want to know, such as columns that were not used.
    """

    frame: Frame
    rows: int
    values: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)


class Schema:
    """Columns in order, and perhaps what is predicted (`target`).

    `inside`: the model itself fills missing numbers, so they stay NaN on the way to it.
    """

    def __init__(
        self,
        columns: Iterable[Column] = (),
        target: Optional[Column] = None,
        inside: bool = False,
    ):
        self.columns = {column.name: column for column in columns}
        self.target = target
        self.inside = inside

    @property
    def names(self) -> list:
        return list(self.columns)

    @classmethod
    def learn(
        cls,
        table: Any,
        *,
        missing: Any = None,
        unknown: Any = None,
        open: Iterable[str] = (),
        target: Optional[Column] = None,
        pass_missing: bool = False,
    ) -> Schema:
        """The schema of a training table.

        Args:
            table: anything `frames.as_frame` takes.
            missing: rule for missing values, one for all columns or a dict by column: "refuse" (the
                default), "mean", "median", a number, "level" (factors and text), or a dict of `how`
                and `indicator`.
            unknown: "refuse" (the default) or "slot", for levels that training did not have.
            open: columns of text of which any text will do later.
            pass_missing: as in `check`.

        Raises:
            DataError: a missing value without a rule, an infinite one, no rows.
            ArgumentError: a rule that does not fit its column.
        """
        frame = as_frame(table)
        if not frame.names:
            raise DataError("The table has no columns.", argument="data")
        if frame.rows == 0:
            raise DataError("The table has no rows to learn from.", argument="data")
        missing = by_column(missing, frame.names, "na")
        unknown = by_column(unknown, frame.names, "unknown")
        columns = []
        for name, seen in frame.columns.items():
            column = learn_column(seen, open=name in set(open), pass_missing=pass_missing)
            set_rules(column, missing[name], unknown[name], seen)
            columns.append(column)
        schema = cls(columns, target)
        schema.check(frame, pass_missing)
        return schema

    def check(self, table: Any, pass_missing: bool = False) -> Checked:
        """The columns of this schema from a later table, in the schema's order, as numbers.

        Args:
            pass_missing: numbers that are missing without a rule are NaN and infinite ones stay, where a
                person wants the model to see them; levels are refused all the same.

        Raises:
            DataError: a column is missing or of another kind, a level is unknown, a value is
                missing without a rule or infinite; it names the column and the first row.
        """
        frame = as_frame(table)
        absent = [name for name in self.columns if name not in frame.columns]
        if absent:
            plural = "s" if len(absent) > 1 else ""
            raise DataError(
                f"The data lack the column{plural} "
                + ", ".join(f"'{name}'" for name in absent[:10])
                + ("" if len(absent) <= 10 else f" and {len(absent) - 10} more")
                + ", which the model was trained on.",
                hint="Columns are matched by name; the data have "
                + (", ".join(f"'{name}'" for name in frame.names[:10]) or "none")
                + ("." if len(frame.names) <= 10 else ", ..."),
                details={"missing": absent},
            )
        out = Checked(frame, frame.rows)
        known = {*self.columns, self.target.name if self.target else None}
        extra = [name for name in frame.names if name not in known]
        if extra:
            out.notes.append(
                "Columns that the model does not use: "
                + ", ".join(f"'{name}'" for name in extra[:10])
                + ("." if len(extra) <= 10 else f" and {len(extra) - 10} more.")
            )
        for name, column in self.columns.items():
            seen = frame.columns[name]
            _check_kind(column, seen)
            if column.levelled:
                out.values[name] = check_levels(column, seen)
            else:
                out.values[name] = _check_numbers(
                    column, seen, fill=not self.inside, pass_missing=pass_missing
                )
            if column.missing != "refuse":
                none = np.zeros(frame.rows, dtype=bool)
                out.missing[name] = none if seen.missing is None else seen.missing
        return out

    def constants(self) -> list:
        """Names of the columns that held one value throughout training: nothing to learn from."""
        return [name for name, column in self.columns.items() if column.constant]

    def inexact(self) -> list:
        """Names of the columns whose whole numbers lose digits in float32."""
        return [
            name
            for name, column in self.columns.items()
            if column.kind == "integer"
            and column.minimum is not None
            and max(-column.minimum, column.maximum) > EXACT
        ]

    def get_config(self) -> dict:
        """Plain data: format, columns, target."""
        return {
            "format": FORMAT,
            "columns": [asdict(column) for column in self.columns.values()],
            "target": None if self.target is None else asdict(self.target),
            "inside": self.inside,
        }

    @classmethod
    def from_config(cls, config: Mapping) -> Schema:
        """The schema that `get_config` described.

        Raises:
            DataError: written by a newer version, or not a schema.
        """
        number = config.get("format") if isinstance(config, Mapping) else None
        if not isinstance(number, int) or "columns" not in config:
            raise DataError("This is not the description of a schema.", argument="schema")
        if number > FORMAT:
            raise DataError(
                f"The schema has format {number}; this version reads up to {FORMAT}.",
                hint="Update the package.",
                argument="schema",
            )
        target = config.get("target")
        try:
            columns = [Column(**column) for column in config["columns"]]
            return cls(columns, target and Column(**target), bool(config.get("inside")))
        except TypeError as err:
            raise DataError("This is not the description of a schema.", argument="schema") from err

    def to_json(self) -> str:
        return json.dumps(self.get_config(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        return cls.from_config(json.loads(text))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Schema) and self.get_config() == other.get_config()

    __hash__ = None


def learn_column(seen: FrameColumn, open: bool = False, pass_missing: bool = False) -> Column:
    """Kind, levels and range of a training column; infinite values are refused or passed over."""
    column = Column(seen.name, seen.kind)
    if column.levelled:
        used = np.unique(seen.values[seen.values >= 0])
        column.constant = len(used) == 1 and len(seen.values) > 1 and seen.missing is None
        if seen.kind == "string":
            # the order of text is the order of its characters' numbers: the same on every machine
            column.levels = None if open else sorted(seen.levels[i] for i in used)
        else:
            column.levels = list(seen.levels)
        return column
    if not pass_missing:
        _refuse_infinite(seen)
    if seen.range() is not None:
        column.minimum, column.maximum = _finite_range(seen)
        column.constant = (
            column.minimum == column.maximum and len(seen.values) > 1 and seen.missing is None
        )
        if seen.kind == "datetime":
            column.origin = column.minimum or 0.0
    return column


def _check_kind(column: Column, seen: FrameColumn) -> None:
    if seen.kind in _ACCEPTS[column.kind]:
        return
    if not np.size(seen.values) or (seen.missing is not None and seen.missing.all()):
        return  # no value, so no kind: no rows, or the rule for missing ones decides
    hint = f"Turn it into {_WORDS[column.kind]} first, as in training."
    if column.levelled and seen.kind in ("number", "integer", "logical"):
        hint = "Levels are matched by name: turn the column into text or a factor first."
    raise column_error(
        column.name,
        f"holds {_WORDS[seen.kind]}; the model was trained on {column.describe()} there",
        _first_present(seen),
        hint,
    )


def _first_present(seen: FrameColumn) -> int:
    return 0 if seen.missing is None else int(np.argmin(seen.missing))


def _refuse_infinite(seen: FrameColumn) -> None:
    values = seen.values
    if values.dtype.kind != "f" or seen.range() is None or np.isfinite(seen.range()).all():
        return
    infinite = np.isinf(values)
    if infinite.any():
        raise column_error(
            seen.name,
            "has an infinite value",
            int(np.argmax(infinite)),
            "Replace it first: a single one turns every weight into NaN.",
        )


def _finite_range(seen: FrameColumn) -> tuple[Optional[float], Optional[float]]:
    """Smallest and largest finite number of a column; (None, None) without any."""
    if np.isfinite(seen.range()).all():
        return seen.range()
    finite = seen.values[np.isfinite(seen.values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (None, None)


def _refuse_missing(column: Column, seen: FrameColumn) -> None:
    count = int(seen.missing.sum())
    how = "na = 'level'" if column.levelled else "na = 'median'"
    hint = f"Remove these rows, fill them, or give the column a rule such as {how}."
    if count == len(seen.missing) and count > 1:
        if not column.levelled:
            hint = (
                "Leave it out. A column of one value becomes NaN when it is divided by its standard "
                "deviation, as scale() does in R."
            )
        raise column_error(column.name, "holds nothing but missing values", 0, hint)
    problem = f"has {count} missing value"
    problem += "s, and no rule for them" if count > 1 else ", and no rule for it"
    raise column_error(column.name, problem, seen.first_missing(), hint)


def check_levels(column: Column, seen: FrameColumn, response: bool = False) -> np.ndarray:
    """Codes (rows,) into `vocabulary()`; the slot for unknown levels comes after it. Text if open.

    `response`: the levels are classes to predict, and the name is that of an argument.
    """
    if seen.kind not in LEVELLED:  # only missing values, or no rows
        seen = FrameColumn(seen.name, "string", np.full(len(seen.values), -1), [], seen.missing)
    if seen.missing is not None and column.missing == "refuse":
        _refuse_missing(column, seen)
    if column.levels is None:
        texts = seen.texts()
        if seen.missing is not None:
            texts[seen.missing] = column.missing_level
        return texts
    position = {level: code for code, level in enumerate(column.levels)}
    slot = len(column.vocabulary())
    table = np.empty(len(seen.levels) + 1, dtype=np.int64)
    table[-1] = len(column.levels)  # code -1, a missing value
    for code, level in enumerate(seen.levels):
        table[code] = position.get(level, -1)
    codes = table[seen.values]
    unknown = codes < 0
    if unknown.any():
        if column.unknown == "refuse":
            row = int(np.argmax(unknown))
            known = ", ".join(f"'{level}'" for level in column.levels[:10])
            more = "." if len(column.levels) <= 10 else ", ..."
            problem = (
                f"has the level '{seen.levels[seen.values[row]]}', which training did not have"
            )
            if response:
                raise DataError(
                    f"`{column.name}` {problem} (first in row {row + 1}).",
                    hint=f"The classes are {known}{more}",
                    details={"row": row + 1},
                )
            hint = f"Levels: {known}{more} A slot for others is made by unknown = 'slot'."
            raise column_error(column.name, problem, row, hint)
        codes[unknown] = slot
    return codes


def _check_numbers(
    column: Column, seen: FrameColumn, fill: bool, pass_missing: bool = False
) -> np.ndarray:
    """Numbers (rows,), missing ones filled (or NaN), points in time counted from the origin."""
    values = seen.values
    if seen.kind in LEVELLED:  # only missing values, or no rows
        values = np.zeros(len(values))
    elif not pass_missing:
        _refuse_infinite(seen)
    if seen.missing is not None and column.missing == "refuse":
        if not pass_missing:
            _refuse_missing(column, seen)
        fill = False
    if column.kind == "logical" and seen.kind != "logical":
        wrong = (values != 0) & (values != 1)
        if seen.missing is not None:
            wrong &= ~seen.missing
        if wrong.any():
            raise column_error(
                column.name, "was logical in training and now holds other numbers than 0 and 1",
                int(np.argmax(wrong)),
            )  # fmt: skip
    if column.kind == "datetime" and seen.kind == "date":
        values = values * 86400.0
    if column.origin:
        values = values - column.origin
    if seen.missing is not None:
        number = column.fill - column.origin if fill else np.nan
        values = np.where(seen.missing, number, values)
    return values


Learnt = Union[Schema, Mapping, str, None]


def as_schema(given: Learnt) -> Optional[Schema]:
    """A schema from one, its plain data, its JSON text, or None."""
    if given is None or isinstance(given, Schema):
        return given
    return Schema.from_json(given) if isinstance(given, str) else Schema.from_config(given)
