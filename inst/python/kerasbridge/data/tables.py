"""From a checked table to what a model takes: one block of numbers, or a column for each input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from kerasbridge.data.blocks import row_block
from kerasbridge.data.frames import Frame, as_frame, column_error
from kerasbridge.data.schema import Checked, Column, Schema, learn_column
from kerasbridge.errors import DataError
from kerasbridge.runtime.starting import tensorflow

_ENCODE = (
    "Encode it: `feature_space()` does, before the model or as a part of it, "
    "and so does `keras_model_tabular()`."
)


@dataclass
class Prepared:
    """A table on its way into a model: `x` is an array (rows, width) or a dict of arrays."""

    x: Any
    schema: Schema
    rows: int
    notes: list = field(default_factory=list)
    warnings: list = field(default_factory=list)

    @property
    def schema_json(self) -> str:
        return self.schema.to_json()


def block_names(schema: Schema) -> list:
    """Names of the columns of a block, indicators of missing values included."""
    names = []
    for name, column in schema.columns.items():
        names += [name, f"{name}_missing"] if column.indicator else [name]
    return names


def block(schema: Schema, checked: Checked, dtype: str = "float32") -> np.ndarray:
    """One row-major block (rows, width) of a checked table.

    Ordered factors are positions of their level from 0; unordered ones and text are refused.

    Raises:
        DataError: names the columns that need an encoding, or the one whose number the type can't hold.
    """
    text = [n for n, c in schema.columns.items() if c.levelled and c.kind != "ordered"]
    if text:
        listed = ", ".join(f"'{name}'" for name in text[:10])
        raise DataError(
            f"Column{'s' if len(text) > 1 else ''} {listed} "
            f"hold{'' if len(text) > 1 else 's'} text or categories, which this model can't take.",
            hint=_ENCODE if len(text) == 1 else _ENCODE.replace("it:", "them:"),
            details={"columns": text},
        )
    columns = []
    for name, column in schema.columns.items():
        columns.append(checked.values[name])
        if column.indicator:
            columns.append(checked.missing[name])
    try:
        return row_block(columns, dtype)
    except DataError as error:
        for name, values in zip(block_names(schema), columns):
            with np.errstate(over="ignore", invalid="ignore"):
                large = np.isinf(np.asarray(values).astype(dtype)) & np.isfinite(values)
            if large.any():
                problem = f"has a number too large for {np.dtype(dtype)}"
                raise column_error(name, problem, int(np.argmax(large)), error.hint) from error
        raise


def model_inputs(model: Any) -> Optional[list]:
    """(name, shape, dtype) of each input of a model that declares them, else None."""
    try:
        tensors = model.inputs
    except (AttributeError, ValueError):
        return None
    return [(t.name, tuple(t.shape), str(t.dtype)) for t in tensors] if tensors else None


def prepare(
    model: Any, table: Any, schema: Optional[Schema] = None, pass_missing: bool = False
) -> Prepared:
    """A table as the inputs of `model`, after the check against `schema` (or its own, without one).

    A model with one input gets one block of numbers; a model whose inputs are called as columns
    gets a dict of them: numbers, text for inputs of type "string", codes of levels (from 0) for
    inputs of whole numbers. `pass_missing` is that of `Schema.check`.

    Raises:
        DataError: as `Schema.check`; the model's inputs are not columns; another width.
    """
    frame = as_frame(table)
    warnings = []
    inputs = model_inputs(model)
    if schema is None or not schema.columns:
        learnt = learn_or_empty(frame, pass_missing)
        target = schema.target if schema is not None else None
        schema = Schema(learnt.columns.values(), target)
        warnings += [
            f"Column '{name}' holds one value only: there is nothing to learn from it."
            for name in schema.constants()
        ]
    checked = schema.check(frame, pass_missing)
    by_name = inputs is not None and all(name in schema.columns for name, _, _ in inputs)
    if by_name and (len(inputs) > 1 or len(schema.columns) == 1):
        x = {
            name: _input(schema.columns[name], checked, shape, dtype)
            for name, shape, dtype in inputs
        }
        unused = [name for name in schema.names if name not in x]
        if unused:
            checked.notes.append(
                "Columns that are no inputs of the model: "
                + ", ".join(f"'{name}'" for name in unused[:10])
                + "."
            )
        used = set(x)
        if len(x) == 1 and not isinstance(getattr(model, "input", None), dict):
            x = next(iter(x.values()))  # Keras warns of a dict for a single input
    elif inputs is not None and len(inputs) > 1:
        raise DataError(
            "The model's inputs are not columns of the data.\n" + _side_by_side(inputs, schema),
            hint="Name the columns as the inputs, or give a list with one array for each input.",
            argument="x",
        )
    else:
        x = block(schema, checked)
        used = set(schema.columns)
        _check_width(inputs, schema, x)
    warnings += [
        f"Column '{name}' has whole numbers beyond 16,777,216, which are rounded in float32."
        for name in schema.inexact()
        if name in used and checked.rows
    ]
    return Prepared(x, schema, checked.rows, checked.notes, warnings)


def learn_or_empty(frame: Frame, pass_missing: bool = False) -> Schema:
    """The schema of a table, which may have no rows: then names and kinds only."""
    if frame.rows or not frame.names:
        return Schema.learn(frame, pass_missing=pass_missing)
    return Schema(learn_column(seen) for seen in frame.columns.values())


def _input(column: Column, checked: Checked, shape: tuple, dtype: str) -> np.ndarray:
    """The values (rows, 1) of the column for one input of the model."""
    values = checked.values[column.name]
    if len(shape) > 2 or (len(shape) == 2 and shape[1] not in (None, 1)):
        wanted = ", ".join("any" if d is None else str(d) for d in shape)
        raise DataError(
            f"Column '{column.name}' holds one value a row; the input of that name takes "
            f"shape ({wanted}).",
            hint="Give this input as an array, in a list by name.",
            argument="x",
            details={"column": column.name},
        )
    if dtype == "string":
        if not column.levelled:
            raise column_error(
                column.name, f"holds {column.describe()}; the model's input takes text"
            )
        return raw_input(column, checked)
    if column.levelled:
        if column.levels is None or (
            column.kind != "ordered" and not dtype.startswith(("int", "uint"))
        ):
            raise DataError(
                f"Column '{column.name}' holds {column.describe()}; the model's input takes "
                f"{dtype} numbers.",
                hint=_ENCODE,
                argument="x",
                details={"column": column.name},
            )
        return values.astype(dtype)[:, None]
    return np.asarray(values, dtype=dtype)[:, None]


def raw_input(column: Column, checked: Checked) -> Any:
    """A checked column (rows, 1) as it was given: float32, or text as a TensorFlow tensor.

    Missing text is the column's own level for it. Keras takes text as an array of objects only
    where it has one axis, and text at all only on TensorFlow.
    """
    if not column.levelled:
        return np.asarray(checked.values[column.name], dtype=np.float32)[:, None]
    tf = tensorflow("A column of text")
    texts = checked.frame.columns[column.name].texts()
    if column.missing_level is not None:
        texts[checked.missing[column.name]] = column.missing_level
    return tf.constant(texts[:, None], dtype=tf.string)


def outside(vocabulary: list) -> str:
    """A text that is no level: what a level not seen in training becomes."""
    text = "(unknown)"
    while text in vocabulary:
        text += "_"
    return text


def _check_width(inputs: Optional[list], schema: Schema, x: np.ndarray) -> None:
    if not inputs or len(inputs[0][1]) != 2:
        return
    width = inputs[0][1][1]
    if width is None or width == x.shape[1]:
        return
    names = block_names(schema)
    raise DataError(
        f"The data make {x.shape[1]} columns of numbers; the model takes {width}.",
        hint="Columns: " + ", ".join(names[:20]) + (", ..." if len(names) > 20 else "."),
        argument="x",
        details={"given": x.shape[1], "expected": width},
    )


def _side_by_side(inputs: list, schema: Schema) -> str:
    """Two columns of text: what the model takes, what the data have."""
    wanted = [
        f"{name} ({', '.join('any' if d is None else str(d) for d in shape[1:])}) {dtype}"
        for name, shape, dtype in inputs
    ]
    given = [f"{name}: {column.describe()}" for name, column in schema.columns.items()]
    return side_by_side(wanted, given)


def side_by_side(wanted: list, given: list) -> str:
    """Two lists as two columns of text, "expected" and "got", at most 12 lines."""
    width = max(len(text) for text in ["expected", *wanted]) + 2
    lines = ["expected".ljust(width) + "got"]
    for i in range(min(12, max(len(wanted), len(given)))):
        left = wanted[i] if i < len(wanted) else ""
        right = given[i] if i < len(given) else ""
        lines.append(left.ljust(width) + right)
    if max(len(wanted), len(given)) > 12:
        lines.append("...")
    return "\n".join(lines)
