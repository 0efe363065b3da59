"""What a feature space learns of columns that come in chunks, in memory that does not grow with the rows.

Levels, ranges, means and variances are those of all rows. Medians and quantiles are those of a random
sample of `SAMPLE` rows, and exact where there are no more.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Optional, Sequence

import numpy as np

from kerasbridge.data import encodings
from kerasbridge.data.features import Features, cross_of
from kerasbridge.data.frames import LEVELLED, Frame, FrameColumn, as_frame, column_error
from kerasbridge.data.schema import Column, Schema, by_column, set_rules
from kerasbridge.errors import DataError

SAMPLE = 100_000
_MOST_LEVELS = 100_000


class Sketch:
    """One column (rows,) of a stream: `add` takes chunks of it.

    Attributes:
        rows, missing: how many rows there were, and how many of them without a value.
        levels: the texts that occurred; a factor's in their order.
        mean, variance: of the numbers that are there.
        sample: some of them.
    """

    def __init__(self, name: str, kind: str, open: bool = False, max_tokens: Optional[int] = None):
        self.name, self.kind, self.open = name, kind, open
        self.words = None if max_tokens is None else encodings.word_counter(max_tokens)
        self.rows = self.missing = self.present = 0
        self.levels: dict[str, None] = {}
        self.minimum: Optional[float] = None
        self.maximum: Optional[float] = None
        self.mean = self._squares = 0.0
        self.sample = np.empty(0)
        self._random = np.random.default_rng(0)

    @property
    def variance(self) -> float:
        return self._squares / self.present if self.present else 0.0

    def add(self, seen: FrameColumn) -> None:
        self._check_kind(seen)
        missing = 0 if seen.missing is None else int(seen.missing.sum())
        self.rows, self.missing = self.rows + len(seen.values), self.missing + missing
        if self.words is not None and seen.levels is not None:
            texts = seen.texts() if seen.missing is None else seen.texts()[~seen.missing]
            if len(texts):
                self.words.update_state(texts)
        elif seen.levels is not None:
            used = np.unique(seen.values[seen.values >= 0]) if seen.kind == "string" else None
            texts = seen.levels if used is None else [seen.levels[i] for i in used]
            if not self.open:
                self.levels.update(dict.fromkeys(texts))
                if len(self.levels) > _MOST_LEVELS:
                    raise column_error(
                        self.name,
                        f"has more than {_MOST_LEVELS} different texts",
                        hint="Give it an encoding that takes any text: 'hash' or 'text'.",
                    )
        if seen.levels is not None:
            return
        values = seen.values if seen.missing is None else seen.values[~seen.missing]
        if len(values):
            self._add_numbers(np.asarray(values, dtype=np.float64))

    def _check_kind(self, seen: FrameColumn) -> None:
        if seen.kind == self.kind or seen.kind in LEVELLED and self.kind in LEVELLED:
            return
        if seen.missing is not None and seen.missing.all():
            return
        plain = ("logical", "integer", "number")
        if seen.kind in plain and self.kind in plain:
            self.kind = max(self.kind, seen.kind, key=plain.index)
        elif not self.present and not self.levels:  # only missing values so far
            self.kind = seen.kind
        else:
            raise column_error(
                self.name,
                f"holds {seen.kind} values from row {self.rows + 1} on and {self.kind} values before",
            )

    def _add_numbers(self, values: np.ndarray) -> None:
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise column_error(self.name, "has an infinite value", hint="Replace it first.")
        self.minimum = low if self.minimum is None else min(low, self.minimum)
        self.maximum = high if self.maximum is None else max(high, self.maximum)
        # means and squares of two parts together (Chan, Golub, LeVeque 1983)
        count, mean = len(values), float(values.mean())
        total = self.present + count
        apart = mean - self.mean
        self._squares += float(((values - mean) ** 2).sum())
        self._squares += apart**2 * self.present * count / total
        self.mean += apart * count / total
        before, self.present = self.present, total
        self._keep(values, before)

    def _keep(self, values: np.ndarray, before: int) -> None:
        """A sample in which every number so far has the same chance (Vitter's algorithm R)."""
        room = max(0, SAMPLE - len(self.sample))
        if room:
            self.sample = np.concatenate([self.sample, values[:room]])
        rest = values[room:]
        if len(rest):
            numbers = before + room + np.arange(1, len(rest) + 1)
            places = (self._random.random(len(rest)) * numbers).astype(np.int64)
            taken = places < SAMPLE
            self.sample[places[taken]] = rest[taken]

    def column(self) -> Column:
        """What a schema says of it; without a rule for missing values yet."""
        found = Column(self.name, self.kind)
        if self.kind in LEVELLED:
            levels = list(self.levels)
            found.levels = (
                None if self.open else sorted(levels) if self.kind == "string" else levels
            )
            found.constant = len(levels) == 1 and self.rows > 1 and not self.missing
            return found
        found.minimum, found.maximum = self.minimum, self.maximum
        found.constant = self.minimum == self.maximum and self.rows > 1 and not self.missing
        found.origin = (self.minimum or 0.0) if self.kind == "datetime" else 0.0
        return found

    def vocabulary(self) -> list:
        """The words of a column of text, the most frequent first."""
        self.words.finalize_state()
        return [str(word) for word in self.words.get_vocabulary(include_special_tokens=False)]

    def as_target(self) -> Column:
        """What is predicted, as a schema has it.

        Raises:
            DataError: values are missing, or it is neither numbers nor levels.
        """
        if self.missing:
            raise DataError(
                f"The response `{self.name}` has {self.missing} missing value"
                f"{'' if self.missing == 1 else 's'}.",
                hint="Leave these rows out first.",
                argument="formula",
            )
        kind = "number" if self.kind == "integer" else self.kind
        if kind not in ("number", "logical", *LEVELLED):
            raise DataError(
                f"The response `{self.name}` must be numbers, logicals or levels, not {kind} values.",
                argument="formula",
            )
        column = self.column()
        return Column(self.name, "factor" if kind == "string" else kind, column.levels)

    def stand_in(self) -> FrameColumn:
        """The sample as a column, from which a rule such as the median can be taken."""
        return FrameColumn(self.name, self.kind, self.sample)

    def filled(self, fill: Optional[float], origin: float) -> tuple[float, float, np.ndarray]:
        """(mean, variance, sample) of the numbers with `fill` for missing ones, counted from `origin`."""
        mean, variance, sample = self.mean, self.variance, self.sample
        if self.missing and fill is not None:
            share = self.missing / self.rows
            apart = fill - mean
            mean, variance = mean + apart * share, (1 - share) * (variance + share * apart**2)
            extra = round(len(sample) * self.missing / max(1, self.present))
            sample = np.concatenate([sample, np.full(extra, fill)])
        return mean - origin, variance, sample - origin


def sketches(
    chunks: Iterable[Any],
    names: list,
    open: Iterable = (),
    words: Optional[Mapping] = None,
) -> dict:
    """A sketch for each column in `names` of the tables in `chunks`.

    Args:
        chunks: anything `frames.as_frame` takes, one after the other, with the same columns.
        open: columns of text whose levels are not to be kept.
        words: columns of text whose words are counted, with how many of them are kept.

    Raises:
        DataError: no rows at all, a column that is missing in a chunk or changes its kind.
    """
    found: dict[str, Sketch] = {}
    open = set(open)
    for chunk in chunks:
        frame: Frame = as_frame(chunk)
        if not frame.rows:
            continue
        for name in names:
            seen = frame.columns.get(name)
            if seen is None:
                raise DataError(f"A part of the data lacks the column '{name}'.", argument="data")
            if name not in found:
                found[name] = Sketch(name, seen.kind, name in open, (words or {}).get(name))
            found[name].add(seen)
    if not found:
        raise DataError("The data have no rows to learn from.", argument="data")
    return found


def encoding_of(column: Column, sketch: Sketch, given: Optional[dict]) -> dict:
    """The encoding of one column from its sketch, as `encodings.learn` makes it from all values."""
    if column.levelled:
        if sketch.words is not None:
            return {**given, "vocabulary": sketch.vocabulary()}
        return encodings.learn(column, np.empty(0, dtype=object), given)
    mean, variance, sample = sketch.filled(column.fill, column.origin)
    found = encodings.learn(column, sample, given)
    if found["how"] == "normalize":
        found.update(mean=mean, variance=variance or 1.0)
    if found["how"] == "rescale":
        low, high = column.minimum, column.maximum
        if sketch.missing:
            low, high = min(low, column.fill), max(high, column.fill)
        scale = 1.0 / (high - low) if high > low else 1.0
        found.update(scale=scale, offset=-(low - column.origin) * scale)
    return found


def learn_features(
    chunks: Iterable[Any],
    names: list,
    *,
    target: Optional[str] = None,
    encoding: Optional[Mapping] = None,
    crosses: Sequence = (),
    missing: Any = None,
    unknown: Any = None,
) -> tuple[Features, Optional[Sketch]]:
    """As `Features.learn`, from chunks of a table that may be larger than memory.

    Args:
        chunks: tables with the columns `names` and `target`, one after the other.
        names: the predictors.
        target: name of the column that is predicted.
        encoding, crosses, missing, unknown: as in `Features.learn`.

    Returns:
        The features, and the sketch of the target.
    """
    given = {
        name: None if one is None else encodings.chosen(one, name)
        for name, one in encodings.by_column(encoding, names).items()
    }
    words = {name: one["max_tokens"] for name, one in given.items() if one and one["how"] == "text"}
    found = sketches(
        chunks,
        [*names, *([target] if target else [])],
        open={n for n, one in given.items() if one and one["how"] in encodings.ANY_TEXT},
        words=words,
    )
    missing, unknown = by_column(missing, names, "na"), by_column(unknown, names, "unknown")
    columns, learnt = [], {}
    for name in names:
        sketch = found[name]
        many = sketch.kind == "string" and given[name] is None
        if many and encodings.default_how("string", len(sketch.levels)) in encodings.ANY_TEXT:
            sketch.open = True
            given[name] = encodings.chosen("hash", name)
        column = sketch.column()
        set_rules(column, missing[name], unknown[name], sketch.stand_in())
        if column.missing == "mean":
            column.fill = sketch.mean
        if sketch.missing and column.missing == "refuse":
            plural = "s, and no rule for them" if sketch.missing > 1 else ", and no rule for it"
            raise column_error(
                name,
                f"has {sketch.missing} missing value{plural}",
                hint="Give the column a rule such as na = 'median' or na = 'level'.",
            )
        columns.append(column)
        learnt[name] = encoding_of(column, sketch, given[name])
    schema = Schema(columns, None if target is None else found[target].as_target(), inside=True)
    return Features(schema, learnt, [cross_of(cross, schema) for cross in crosses]), found.get(
        target
    )
