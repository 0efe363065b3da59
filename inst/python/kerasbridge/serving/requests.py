"""From the body of a request to predictions: rows by column name, or arrays, checked by the schema."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional

import numpy as np

from kerasbridge.data import attached, tables
from kerasbridge.data.schema import Schema
from kerasbridge.errors import DataError
from kerasbridge.training import predict

_TYPES = ("response", "prob", "class")
_FORMS = (
    'Send {"rows": [{"column": value, ...}, ...]}, or {"inputs": [[...], ...]} for a model of '
    "plain arrays."
)


def read_body(body: bytes, max_rows: int) -> dict:
    """The request as a dict with `rows` or `inputs`, and perhaps `type`.

    Raises:
        DataError: not JSON, not of a known form, too many rows, an unknown `type`.
    """
    try:
        request = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(f"The body is not JSON: {error}", hint=_FORMS) from error
    if isinstance(request, list):
        request = {"rows": request}
    if not isinstance(request, dict) or ("rows" in request) == ("inputs" in request):
        raise DataError("The body has neither `rows` nor `inputs`, or both.", hint=_FORMS)
    unknown = set(request) - {"rows", "inputs", "type"}
    if unknown:
        raise DataError(f"The body has the unknown part '{sorted(unknown)[0]}'.", hint=_FORMS)
    if request.get("type", "response") not in _TYPES:
        raise DataError(f"`type` must be one of {', '.join(_TYPES)}.", argument="type")
    data = request.get("rows", request.get("inputs"))
    if not isinstance(data, (list, dict)) or (isinstance(data, dict) and "rows" in request):
        raise DataError("`rows` must be a list with an object for each row.", hint=_FORMS)
    size = max((len(part) for part in _arrays(data)), default=0)
    if size > max_rows:
        raise DataError(
            f"{size:,} rows were sent; at most {max_rows:,} are taken at once.",
            hint="Send them in several requests.",
        )
    return request


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _arrays(data: Any) -> list:
    return list(data.values()) if isinstance(data, dict) else [data]


def table_of(rows: list, schema: Optional[Schema]) -> dict:
    """Columns from a list of objects; a name that a row lacks is a missing value there.

    Raises:
        DataError: a row is no object, or a value is a list or an object itself.
    """
    names: list = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"Row {number} is no object with column names.", hint=_FORMS)
        for name, value in row.items():
            if isinstance(value, (list, dict)):
                raise DataError(
                    f"Column '{name}' in row {number} holds a list or an object.",
                    hint="A column holds one number, text, true, false or null a row.",
                    details={"column": name, "row": number},
                )
            if name not in names:
                names.append(name)
    columns = {name: [row.get(name) for row in rows] for name in names}
    known = schema.columns if schema is not None else {}
    return {
        name: _dates(name, values, known[name].kind) if name in known else values
        for name, values in columns.items()
    }


def _dates(name: str, values: list, kind: str) -> Any:
    """Dates come as ISO 8601 text; everything else as it is."""
    if kind not in ("date", "datetime"):
        return values
    unit = "D" if kind == "date" else "us"
    out = np.empty(len(values), dtype=f"datetime64[{unit}]")
    for row, value in enumerate(values):
        try:
            text = "NaT" if value is None else str(value).replace("Z", "").replace(" ", "T")
            out[row] = np.datetime64(text, unit)
        except ValueError:
            what = "a date like 2024-05-31" if kind == "date" else "a time like 2024-05-31T12:00:00"
            raise DataError(
                f"Column '{name}' in row {row + 1} is not {what}.",
                hint="Times are in UTC.",
                details={"column": name, "row": row + 1},
            ) from None
    return out


def answer(model: Any, request: Mapping) -> dict:
    """Predictions for a request that `read_body` gave.

    Returns:
        `predictions`, a list with an entry for each row (a list of numbers, or with type "class" a
        level, or a number from 0 where the model knows no levels); for several outputs a list of such lists.
        `levels`, where the model knows them.

    Raises:
        DataError: what the schema or the model's inputs don't agree with, by column and row.
    """
    schema = attached.schema_of(model)
    notes: list = []
    if "rows" in request:
        prepared = tables.prepare(model, table_of(request["rows"], schema), schema)
        x, notes = prepared.x, prepared.notes
    else:
        x = _numbers(request["inputs"])
    out = predict(model, x, verbose=0)
    levels = schema.target.levels if schema is not None and schema.target is not None else None
    result: dict = {}
    if request.get("type") == "class":
        result["predictions"] = _classes(out, levels)
    else:
        result["predictions"] = _plain(out)
    if levels is not None:
        result["levels"] = list(levels)
    if notes:
        result["notes"] = notes
    return result


def _numbers(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _array(part, f"inputs['{name}']") for name, part in data.items()}
    return _array(data, "inputs")


def _array(data: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(data)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"`{where}` must hold numbers only, in rows of equal length.", argument="inputs"
        )
    return array.astype("float32") if array.dtype.kind == "f" else array


def _plain(out: Any) -> Any:
    if isinstance(out, dict):
        return {name: _plain(part) for name, part in out.items()}
    if isinstance(out, (list, tuple)):
        return [_plain(part) for part in out]
    array = np.asarray(out)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        # JSON has no NaN: null stands for it
        array = np.where(np.isfinite(array), array.astype(object), None)
    return array.tolist()


def _classes(out: Any, levels: Optional[list]) -> list:
    if isinstance(out, (dict, list, tuple)) or np.ndim(out) != 2:
        raise DataError(
            '`type` can be "class" only for a model with one output of one row a sample.',
            argument="type",
        )
    out = np.asarray(out)
    numbers = (out[:, 0] > 0.5).astype(int) if out.shape[1] == 1 else out.argmax(axis=1)
    return [levels[n] for n in numbers] if levels else [int(n) for n in numbers]


def describe(model: Any) -> dict:
    """What a client needs to know: columns or inputs, levels, the name of the model."""
    schema = attached.schema_of(model)
    inputs = tables.model_inputs(model) or []
    out: dict = {
        "model": model.name,
        "inputs": [{"name": n, "shape": list(shape), "dtype": d} for n, shape, d in inputs],
    }
    if schema is not None:
        out["columns"] = [
            {"name": c.name, "kind": c.kind, **({"levels": c.levels} if c.levels else {})}
            for c in schema.columns.values()
        ]
        if schema.target is not None and schema.target.levels:
            out["levels"] = list(schema.target.levels)
    return out
