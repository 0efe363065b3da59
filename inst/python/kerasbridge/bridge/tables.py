"""Tables and schemas as R sends and wants them: plain columns in, plain values out."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np

from kerasbridge.data import attached, tables
from kerasbridge.data.frames import from_columns
from kerasbridge.data.schema import Column, Schema, as_schema, check_levels, learn_column


def prepare(model: Any, columns: Sequence, schema: Any = None) -> tables.Prepared:
    """A table as the inputs of a model, checked against `schema` or else the model's own."""
    known = as_schema(schema) or attached.schema_of(model)
    return tables.prepare(model, from_columns(columns), known)


def block(columns: Sequence) -> np.ndarray:
    """A table of numbers as one float32 block (rows, columns)."""
    frame = from_columns(columns)
    schema = tables.learn_or_empty(frame)
    return tables.block(schema, schema.check(frame))


def classes(column: dict, target: Optional[dict] = None) -> dict:
    """Class numbers, from 0, of a column of levels; by name in `target` where it has levels."""
    frame = from_columns([column])
    seen = frame.columns[column["name"]]
    known = learn_column(seen) if target is None else Column(**target)
    known.name = seen.name
    return {"codes": check_levels(known, seen), "levels": known.levels, "kind": known.kind}


def learn(
    columns: Sequence, missing: Any = None, unknown: Any = None, open: Sequence[str] = ()
) -> str:
    """The schema of a table as JSON."""
    frame = from_columns(columns)
    return Schema.learn(frame, missing=missing, unknown=unknown, open=open).to_json()


def with_target(schema: Any, name: str, kind: str, levels: Optional[Sequence[str]] = None) -> str:
    """`schema` (or an empty one) with what is predicted, as JSON."""
    found = as_schema(schema) or Schema()
    found.target = Column(name, kind, None if levels is None else [str(x) for x in levels])
    return found.to_json()


def schema_of(model: Any) -> Optional[str]:
    """The schema of a model as JSON, or None."""
    found = attached.schema_of(model)
    return None if found is None else found.to_json()


def describe(schema: Any) -> dict:
    """Columns of equal length for printing, and the target."""
    found = as_schema(schema)
    every = list(found.columns.values())

    def values(column: Column) -> str:
        if column.levels is not None:
            shown = ", ".join(column.levels[:5])
            return shown + (f", ... ({len(column.levels)})" if len(column.levels) > 5 else "")
        if column.levelled:
            return "any text"
        if column.minimum is None:
            return ""
        return f"{column.minimum:g} to {column.maximum:g}"

    def missing(column: Column) -> str:
        if column.missing in ("refuse", "level"):
            return column.missing
        return f"{column.missing} ({column.fill:g})" + (", indicator" if column.indicator else "")

    target = found.target
    return {
        "name": [c.name for c in every],
        "kind": [c.kind for c in every],
        "values": [values(c) for c in every],
        "missing": [missing(c) for c in every],
        "unknown": [c.unknown if c.levelled else "" for c in every],
        "target": None
        if target is None
        else {"name": target.name, "kind": target.kind, "levels": target.levels},
    }
