"""Tables and schemas as R sends and wants them: plain columns in, plain values out."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np

from kerasbridge.bridge.lending import owned, received
from kerasbridge.data import attached, tables
from kerasbridge.data.blocks import finite_block
from kerasbridge.data.frames import from_columns
from kerasbridge.data.schema import Column, Schema, as_schema, check_levels, learn_column


def prepare(
    model: Any, columns: Sequence, schema: Any = None, pass_missing: bool = False
) -> tables.Prepared:
    """A table as the inputs of a model, checked against `schema` or else the model's own."""
    known = as_schema(schema) or attached.schema_of(model)
    columns, arrays = received(columns)
    out = tables.prepare(model, from_columns(columns), known, pass_missing)
    out.x = owned(out.x, arrays)
    return out


def block(columns: Sequence, pass_missing: bool = False) -> np.ndarray:
    """A table of numbers as one float32 block (rows, columns)."""
    columns, arrays = received(columns)
    plain = {c["name"]: np.asarray(c["values"]) for c in columns if c["kind"] == "number"}
    if len(plain) == len(columns):
        found = finite_block(list(plain.values()))
        if found is not None:
            return found
    frame = from_columns(columns)
    schema = tables.learn_or_empty(frame, pass_missing)
    return owned(tables.block(schema, schema.check(frame, pass_missing)), arrays)


def classes(column: dict, target: Optional[dict] = None) -> dict:
    """Class numbers, from 0, of a column of levels; by name in `target` where it has levels."""
    frame = from_columns([column])
    seen = frame.columns[column["name"]]
    known = learn_column(seen) if target is None else Column(**target)
    known.name = seen.name
    return {
        "codes": check_levels(known, seen, response=True),
        "levels": known.levels,
        "kind": known.kind,
    }


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


# ---- features: raw columns to numbers, ahead of a model or in it ------------------------------------


def features_learn(
    columns: Sequence,
    target: Optional[dict] = None,
    encodings: Any = None,
    crosses: Sequence = (),
    missing: Any = None,
    unknown: Any = None,
) -> str:
    """A feature space learnt from a table, as JSON; `target` has name, kind and perhaps levels."""
    from kerasbridge.data.features import Features

    found = Features.learn(
        from_columns(columns),
        encoding=encodings,
        crosses=crosses,
        missing=missing,
        unknown=unknown,
        target=None if target is None else Column(**target),
    )
    return found.to_json()


def features_learn_source(
    source: Any,
    names: Sequence[str],
    target: Optional[str] = None,
    encodings: Any = None,
    crosses: Sequence = (),
    missing: Any = None,
    unknown: Any = None,
) -> dict:
    """The same from a source of rows that need not fit in memory, and what its target is like."""
    from kerasbridge.data.sketches import learn_features

    wanted = [*names, *([target] if target else [])]
    found, sketch = learn_features(
        source.chunks(wanted),
        list(names),
        target=target,
        encoding=encodings,
        crosses=crosses,
        missing=missing,
        unknown=unknown,
    )
    kind = found.schema.target.kind if sketch else None
    numbers = kind == "number" and sketch.present > 1
    return {
        "features": found.to_json(),
        "kind": kind,
        "mean": sketch.mean if numbers else None,
        "deviation": (sketch.variance * sketch.present / (sketch.present - 1)) ** 0.5
        if numbers
        else None,
    }


def source_columns(source: Any) -> list:
    """Names of the columns of a source over tables; none for other things."""
    layout = getattr(source, "layout", None)
    return [] if layout is None else [column.name for column in layout.columns]


def _features(text: str):
    from kerasbridge.data.features import Features

    return Features.from_json(text)


def features_encode(features: str, columns: Sequence) -> dict:
    """The encoded table (rows, width) and the names of its columns."""
    found = _features(features)
    return {"values": found.encode(from_columns(columns)), "names": found.names()}


def features_layers(features: str) -> dict:
    """Inputs by column, and the tensor (rows, width) that the encodings make of them."""
    inputs, encoded = _features(features).concatenated()
    return {"inputs": inputs, "features": encoded}


def features_describe(features: str) -> dict:
    """Columns of equal length for printing, crosses, and the schema as JSON."""
    found = _features(features)
    hidden = ("how", "vocabulary", "boundaries", "mean", "variance", "scale", "offset")

    def options(one: dict) -> str:
        kept = [f"{k} = {v}" for k, v in one.items() if k not in hidden and v is not None]
        return ", ".join(kept)

    return {
        "name": found.schema.names,
        "kind": [column.kind for column in found.schema.columns.values()],
        "encoding": [one["how"] for one in found.encodings.values()],
        "options": [options(one) for one in found.encodings.values()],
        "crosses": [":".join(cross["columns"]) for cross in found.crosses],
        "width": len(found.names()),
        "schema": found.schema.to_json(),
        "constants": found.schema.constants(),
    }


def tabular_model(features: str, **options: Any) -> dict:
    """A model of the features, and the usual loss and metric for its target."""
    from kerasbridge.data import features as room

    found = _features(features)
    loss, metric = room.usual_loss(found)
    return {"model": room.tabular_model(found, **options), "loss": loss, "metric": metric}
