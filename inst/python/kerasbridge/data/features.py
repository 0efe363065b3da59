"""Raw columns to numbers by Keras' preprocessing layers: ahead of a model, or as a part of it.

A model that holds them takes raw columns wherever it is loaded, in plain Keras too: a dict of text,
numbers and logicals (rows,) or (rows, 1), by column name. Dates are days since 1970-01-01, points
in time seconds since the column's `origin`, time spans seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import keras
import numpy as np

from kerasbridge.data import encodings, tables
from kerasbridge.data.attached import attach_schema
from kerasbridge.data.frames import array_column, as_frame
from kerasbridge.data.schema import Column, Schema, learn_column
from kerasbridge.errors import ArgumentError, DataError, UnsupportedError
from kerasbridge.runtime.keras_version import keras_before

FORMAT = 1
_LAYERS = keras.layers
_CHUNK = 16384  # rows encoded at once


class Features:
    """A schema with an encoding for each column, and crosses of columns.

    Attributes:
        encodings: by column, what `encodings.learn` returns.
        crosses: dicts of `columns` and `bins`; the combination of values is hashed into one-hot bins.
    """

    def __init__(self, schema: Schema, encoding: Mapping, crosses: Sequence = ()):
        self.schema = schema
        self.encodings = {name: dict(encoding[name]) for name in schema.names}
        self.crosses = [dict(cross) for cross in crosses]

    @classmethod
    def learn(
        cls,
        table: Any,
        *,
        encoding: Optional[Mapping] = None,
        crosses: Sequence = (),
        missing: Any = None,
        unknown: Any = None,
        target: Optional[Column] = None,
    ) -> Features:
        """Levels, ranges, means and words of a training table.

        Args:
            table: anything `frames.as_frame` takes, predictors only.
            encoding: by column, the name of an encoding or a dict of `how` and options.
            crosses: sequences of column names, or dicts of `columns` and `bins` (32).
            missing, unknown: as in `Schema.learn`.
            target: what is predicted.
        """
        frame = as_frame(table)
        open = set(encodings.open_columns(encoding, frame.names))
        # text of very many different values is hashed unless another encoding was chosen
        chosen = encodings.by_column(encoding, frame.names)
        open |= {
            name
            for name, seen in frame.columns.items()
            if chosen[name] is None
            and seen.kind == "string"
            and encodings.default_how("string", len(seen.levels)) in encodings.ANY_TEXT
        }
        schema = Schema.learn(frame, missing=missing, unknown=unknown, open=open, target=target)
        checked = schema.check(frame)
        given = {
            name: "hash" if name in open and chosen[name] is None else chosen[name]
            for name in frame.names
        }
        found = encodings.learn_all(schema, checked, given)
        schema.inside = True
        return cls(schema, found, [cross_of(cross, schema) for cross in crosses])

    # ---- plain data ------------------------------------------------------------------------------

    def get_config(self) -> dict:
        return {
            "format": FORMAT,
            "schema": self.schema.get_config(),
            "encodings": self.encodings,
            "crosses": self.crosses,
        }

    @classmethod
    def from_config(cls, config: Mapping) -> Features:
        if not isinstance(config, Mapping) or not {"format", "schema", "encodings"} <= set(config):
            raise DataError("This is not the description of a feature space.", argument="features")
        if config["format"] > FORMAT:
            raise DataError(
                f"The feature space has format {config['format']}; this version reads up to {FORMAT}.",
                hint="Update the package.",
                argument="features",
            )
        schema = Schema.from_config(config["schema"])
        return cls(schema, config["encodings"], config.get("crosses", ()))

    def to_json(self) -> str:
        return json.dumps(self.get_config(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Features:
        return cls.from_config(json.loads(text))

    # ---- layers ----------------------------------------------------------------------------------

    def build(self) -> tuple[dict, dict]:
        """(inputs, encoded): symbolic tensors by column, and by column, indicator or cross.

        Raises:
            UnsupportedError: text on another backend than TensorFlow.
            DataError: a column whose name Keras does not take for an input.
        """
        self._check_backend()
        for name in self.schema.names:
            if "/" in name:
                raise DataError(
                    f"Column '{name}' can't be an input of a model: Keras' names hold no '/'.",
                    hint="Rename the column, here and in the data to predict from.",
                    details={"column": name},
                )
        inputs = {
            name: keras.Input((1,), name=name, dtype="string" if column.levelled else "float32")
            for name, column in self.schema.columns.items()
        }
        encoded: dict = {}
        for name, column in self.schema.columns.items():
            tensor = inputs[name]
            if not column.levelled and column.missing != "refuse":
                gone = keras.ops.isnan(tensor)
                if column.indicator:
                    encoded[f"{name}_missing"] = keras.ops.cast(gone, "float32")
                tensor = keras.ops.where(gone, np.float32(column.fill - column.origin), tensor)
            make = _encode_text if column.levelled else _encode_number
            encoded[name] = make(column, self.encodings[name], tensor)
        for cross in self.crosses:
            label = "_X_".join(cross["columns"])
            layer = _LAYERS.HashedCrossing(
                cross["bins"], output_mode="one_hot", name=_layer_name("cross", label)
            )
            encoded[label] = layer(tuple(inputs[name] for name in cross["columns"]))
        return inputs, encoded

    def _check_backend(self) -> None:
        backend = keras.config.backend()
        text = [name for name, column in self.schema.columns.items() if column.levelled]
        if text and backend != "tensorflow":
            raise UnsupportedError(
                f"Column '{text[0]}' holds text, which Keras handles on TensorFlow only; "
                f"the backend is {backend}.",
                hint="Choose the TensorFlow backend, or encode such columns ahead of the model.",
                details={"columns": text},
            )

    def concatenated(self) -> tuple[dict, Any]:
        """(inputs, one tensor (rows, width)): `build()` side by side."""
        inputs, encoded = self.build()
        parts = list(encoded.values())
        if len(parts) == 1:
            return inputs, parts[0]
        return inputs, _LAYERS.Concatenate(name="features")(parts)

    def names(self) -> list:
        """Names of the columns of `encode()`, in order."""
        found: list = []
        for name, column in self.schema.columns.items():
            if not column.levelled and column.indicator:
                found.append(f"{name}_missing")
            found += _column_names(column, self.encodings[name])
        for cross in self.crosses:
            label = "_X_".join(cross["columns"])
            found += [f"{label}_{i}" for i in range(cross["bins"])]
        return found

    def encode(self, table: Any) -> np.ndarray:
        """The encoded table as float32 (rows, width), ahead of a model.

        Raises:
            ArgumentError: an embedding, which only a model can train.
        """
        trained = [name for name, one in self.encodings.items() if one["how"] == "embedding"]
        if trained:
            raise ArgumentError(
                f"Column '{trained[0]}' has an embedding, which is trained as a part of a model.",
                hint="Choose another encoding, such as 'one_hot', 'ordinal' or 'hash', "
                "or put the feature space into the model.",
                argument="features",
            )
        x, rows = self.raw(table)
        if rows == 0:
            return np.zeros((0, len(self.names())), dtype="float32")
        model = keras.Model(*self.concatenated())
        # called outright: a compiled graph for one pass would cost more than it saves
        parts = []
        for at in range(0, rows, _CHUNK):
            part = {
                name: keras.ops.convert_to_tensor(values[at : at + _CHUNK])
                for name, values in x.items()
            }
            parts.append(keras.ops.convert_to_numpy(model(part, training=False)))
        return np.concatenate(parts)

    def raw(self, table: Any) -> tuple[dict, int]:
        """The columns of a checked table as the inputs take them, and the number of rows."""
        checked = self.schema.check(table)
        return (
            {
                name: tables.raw_input(column, checked)
                for name, column in self.schema.columns.items()
            },
            checked.rows,
        )


def cross_of(given: Any, schema: Schema) -> dict:
    """A cross as plain data, its columns looked up in `schema`."""
    cross = (
        {"columns": given, "bins": 32} if not isinstance(given, Mapping) else {"bins": 32, **given}
    )
    cross["columns"] = [str(name) for name in cross["columns"]]
    cross["bins"] = int(cross["bins"])
    if len(cross["columns"]) < 2:
        raise ArgumentError("A cross takes two columns or more.", argument="crosses")
    for name in cross["columns"]:
        column = schema.columns.get(name)
        if column is None:
            raise ArgumentError(
                f"A cross names the column '{name}', which is not used.", argument="crosses"
            )
        if not column.levelled:
            raise ArgumentError(
                f"A cross of column '{name}' needs levels; it holds {column.describe()}.",
                hint="Make intervals of the numbers first, as a factor.",
                argument="crosses",
            )
    return cross


def _layer_name(what: str, name: str) -> str:
    """A layer name of plain characters; two columns may not get the same one by chance."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if plain != name:
        plain += f"_{sum(ord(c) * (i + 1) for i, c in enumerate(name)) % 99991}"
    return f"{what}_{plain}"


def _encode_number(column: Column, encoding: Mapping, tensor: Any) -> Any:
    how, name = encoding["how"], column.name
    if how == "normalize":
        layer = _LAYERS.Normalization(
            axis=None,
            mean=encoding["mean"],
            variance=encoding["variance"],
            name=_layer_name("normalize", name),
        )
        return layer(tensor)
    if how == "rescale":
        layer = _LAYERS.Rescaling(
            encoding["scale"], encoding["offset"], name=_layer_name("rescale", name)
        )
        return layer(tensor)
    if how == "bucketize":
        # before Keras 3.14 the layer's own "one_hot" has other axes than it says
        apart = keras_before(3, 14)
        layer = _LAYERS.Discretization(
            bin_boundaries=encoding["boundaries"],
            output_mode="int" if apart else "one_hot",
            name=_layer_name("bucketize", name),
        )
        if not apart:
            return layer(tensor)
        number = keras.ops.cast(keras.ops.squeeze(layer(tensor), -1), "int32")
        return keras.ops.one_hot(number, len(encoding["boundaries"]) + 1)
    return tensor


def _lookup(column: Column, tensor: Any, mode: str) -> Any:
    vocabulary = column.vocabulary()
    layer = _LAYERS.StringLookup(
        vocabulary=vocabulary,
        num_oov_indices=1 if column.unknown == "slot" else 0,
        oov_token=tables.outside(vocabulary),
        output_mode=mode,
        name=_layer_name("lookup", column.name),
    )
    return layer(tensor)


def _encode_text(column: Column, encoding: Mapping, tensor: Any) -> Any:
    how, name = encoding["how"], column.name
    if how == "one_hot":
        return _lookup(column, tensor, "one_hot")
    if how == "ordinal":
        codes = _lookup(column, tensor, "int")
        size = _size(column)
        return _LAYERS.Rescaling(
            1.0 / max(1, size - 1), dtype="float32", name=_layer_name("ordinal", name)
        )(codes)
    if how == "embedding":
        codes = _lookup(column, tensor, "int")
        layer = _LAYERS.Embedding(
            _size(column), encoding["dim"], name=_layer_name("embedding", name)
        )
        return _LAYERS.Flatten(name=_layer_name("flatten", name))(layer(codes))
    if how == "hash":
        layer = _LAYERS.Hashing(
            encoding["bins"], output_mode="one_hot", name=_layer_name("hash", name)
        )
        return layer(tensor)
    layer = _LAYERS.TextVectorization(
        output_mode=encoding["mode"],
        vocabulary=encoding["vocabulary"],
        name=_layer_name("words", name),
    )
    return _LAYERS.Flatten(name=_layer_name("flatten", name))(layer(tensor))


def _size(column: Column) -> int:
    return len(column.vocabulary()) + (column.unknown == "slot")


def _column_names(column: Column, encoding: Mapping) -> list:
    how, name = encoding["how"], column.name
    if how == "one_hot":
        unknown = [tables.outside(column.vocabulary())] if column.unknown == "slot" else []
        return [f"{name}_{level}" for level in [*unknown, *column.vocabulary()]]
    if how == "bucketize":
        return [f"{name}_{i}" for i in range(len(encoding["boundaries"]) + 1)]
    if how == "hash":
        return [f"{name}_{i}" for i in range(encoding["bins"])]
    if how == "embedding":
        return [f"{name}_{i}" for i in range(encoding["dim"])]
    if how == "text":
        return [f"{name}_{word}" for word in ["(unknown)", *encoding["vocabulary"]]]
    return [name]


# ---- a whole model -----------------------------------------------------------------------------------


def feature_space(table: Any, **options: Any) -> Features:
    """`Features.learn(table, ...)`."""
    return Features.learn(table, **options)


def learn_target(name: str, values: Any) -> tuple[Column, np.ndarray]:
    """(target column, y) from a response: class numbers for levels, float32 numbers else."""
    from kerasbridge.data.schema import check_levels

    seen = array_column(name, values) if not hasattr(values, "kind") else values
    if seen.missing is not None:
        raise DataError(
            f"The response '{name}' has {int(seen.missing.sum())} missing values "
            f"(first in row {seen.first_missing() + 1}).",
            hint="Remove these rows.",
            argument="y",
        )
    column = learn_column(seen)
    if column.levelled:
        return column, check_levels(column, seen)
    return column, np.asarray(seen.values, dtype="float32")


def tabular_model(
    features: Features,
    *,
    hidden: Sequence[int] = (64, 64),
    activation: str = "relu",
    dropout: float = 0.0,
    outputs: int = 1,
    mean: Optional[float] = None,
    deviation: Optional[float] = None,
    network: Any = None,
    name: Optional[str] = None,
) -> keras.Model:
    """A model that takes raw columns: encodings, dense layers, and an output for the target.

    The target's kind decides the output: a number (Dense, in the target's units through `mean` and
    `deviation`), two levels or a logical (sigmoid), several levels (softmax).

    Args:
        hidden: units of the dense layers.
        dropout: share of units dropped after each of them.
        outputs: numbers predicted, for a target that has several.
        network: None, or a function from the encoded tensor (rows, width) to the last hidden one, in
            place of `hidden`.

    Returns:
        The model, not compiled, with the schema attached.
    """
    inputs, x = features.concatenated()
    if network is not None:
        x = network(x)
    else:
        for units in hidden:
            x = _LAYERS.Dense(int(units), activation=activation)(x)
            if dropout:
                x = _LAYERS.Dropout(dropout)(x)
    target = features.schema.target
    classes = len(target.levels) if target is not None and target.levels else 0
    if classes > 2:
        x = _LAYERS.Dense(classes, activation="softmax", name="class")(x)
    elif classes or (target is not None and target.kind == "logical"):
        x = _LAYERS.Dense(1, activation="sigmoid", name="probability")(x)
    else:
        x = _LAYERS.Dense(outputs, name="number")(x)
        if mean is not None and deviation:
            x = _LAYERS.Rescaling(deviation, mean, name="units")(x)
    model = keras.Model(inputs, x, name=name)
    attach_schema(model, features.schema)
    return model


def usual_loss(features: Features) -> tuple[str, str]:
    """(loss, metric) that go with the target."""
    target = features.schema.target
    if target is not None and target.levels and len(target.levels) > 2:
        return "sparse_categorical_crossentropy", "accuracy"
    if target is not None and (target.levels or target.kind == "logical"):
        return "binary_crossentropy", "accuracy"
    return "mean_squared_error", "mae"
