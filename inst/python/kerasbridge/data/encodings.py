"""How one column becomes numbers, by choice: what is learnt from training data, as plain data.

An encoding is a dict: `how`, options, and what was learnt. `features.py` makes Keras layers of it.

| how       | for                | options            | becomes                                       |
|-----------|--------------------|--------------------|-----------------------------------------------|
| none      | numbers            |                    | the number as it is                           |
| normalize | numbers            |                    | mean 0, standard deviation 1                  |
| rescale   | numbers            |                    | 0 to 1 over the training range                |
| bucketize | numbers            | bins or boundaries | one-hot of the interval it falls in           |
| one_hot   | factors, text      |                    | a column of 0 and 1 for each level            |
| ordinal   | factors, text      |                    | 0 to 1 by the position of the level           |
| embedding | factors, text      | dim                | a trained vector for each level               |
| hash      | factors, text      | bins               | one-hot of a hash of the text                 |
| text      | text               | max_tokens, mode   | words that occur ("multi_hot") or their count |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from kerasbridge.data.schema import Checked, Column, Schema
from kerasbridge.errors import ArgumentError
from kerasbridge.runtime.starting import check_tensorflow

NUMBERS = ("none", "normalize", "rescale", "bucketize")
TEXTS = ("one_hot", "ordinal", "embedding", "hash", "text")
ANY_TEXT = ("hash", "text")  # encodings that need no list of levels
_OPTIONS = {
    "bucketize": {"bins": 10, "boundaries": None},
    "embedding": {"dim": None},
    "hash": {"bins": 64},
    "text": {"max_tokens": 1000, "mode": "multi_hot"},
}
MANY_LEVELS = 20  # from here on an embedding instead of one column a level
VERY_MANY_LEVELS = 1000  # of text: from here on hashed


def default_how(kind: str, levels: int) -> str:
    """The encoding of a column for which none was chosen."""
    if kind == "ordered":
        return "ordinal"
    if kind == "string" and levels > VERY_MANY_LEVELS:
        return "hash"
    if kind in ("factor", "string"):
        return "embedding" if levels > MANY_LEVELS else "one_hot"
    return "none" if kind == "logical" else "normalize"


def chosen(given: Any, name: str) -> dict:
    """An encoding with its options from a name or a dict of `how` and options.

    Raises:
        ArgumentError: names the column; an unknown encoding or option, or a bad value.
    """
    options = dict(given) if isinstance(given, Mapping) else {"how": given}
    how = options.pop("how", None)
    if how not in NUMBERS + TEXTS:
        raise ArgumentError(
            f"Column '{name}' has the encoding {how!r}, which does not exist.",
            hint=f"Encodings: {', '.join(NUMBERS + TEXTS)}.",
            argument="encodings",
        )
    known = _OPTIONS.get(how, {})
    for option, value in options.items():
        if option not in known:
            raise ArgumentError(
                f"The encoding '{how}' of column '{name}' has no option '{option}'.",
                hint=f"Options: {', '.join(known) or 'none'}.",
                argument="encodings",
            )
        if option in ("bins", "dim", "max_tokens"):
            whole = isinstance(value, (int, float)) and int(value) == value and value >= 1
            if not whole:
                raise ArgumentError(
                    f"`{option}` of column '{name}' must be a whole number of at least 1.",
                    argument="encodings",
                )
            options[option] = int(value)
        if option == "mode" and value not in ("multi_hot", "count"):
            raise ArgumentError(
                f"`mode` of column '{name}' must be 'multi_hot' or 'count', not {value!r}.",
                argument="encodings",
            )
    return {"how": how, **known, **options}


def learn(column: Column, values: np.ndarray, given: Optional[dict]) -> dict:
    """The encoding of one column with what it needs of its checked training values.

    Raises:
        ArgumentError: an encoding for the other sort of column.
    """
    size = len(column.levels or [])
    encoding = given or chosen(default_how(column.kind, size), column.name)
    how = encoding["how"]
    if how not in (TEXTS if column.levelled else NUMBERS):
        raise ArgumentError(
            f"The encoding '{how}' does not go with column '{column.name}', which holds "
            f"{column.describe()}.",
            hint=f"It can have: {', '.join(TEXTS if column.levelled else NUMBERS)}.",
            argument="encodings",
        )
    if how in ("normalize", "rescale", "bucketize"):
        encoding = {**encoding, **_learn_numbers(encoding, np.asarray(values, dtype=np.float64))}
    if how == "embedding" and encoding["dim"] is None:
        # a rule of thumb: grows with the fourth root of the number of levels
        encoding["dim"] = int(min(50, max(2, round(4 * size**0.25))))
    if how == "text":
        encoding["vocabulary"] = _words(values, encoding["max_tokens"])
    return encoding


def _learn_numbers(encoding: dict, values: np.ndarray) -> dict:
    low, high = float(values.min()), float(values.max())
    if encoding["how"] == "normalize":
        return {"mean": float(values.mean()), "variance": float(values.var()) or 1.0}
    if encoding["how"] == "rescale":
        scale = 1.0 / (high - low) if high > low else 1.0
        return {"scale": scale, "offset": -low * scale}
    given = encoding["boundaries"]
    if given is None:
        steps = np.linspace(0, 1, encoding["bins"] + 1)[1:-1]
        given = np.quantile(values, steps) if len(steps) else []
    return {"boundaries": sorted({float(x) for x in np.atleast_1d(given)})}


def word_counter(max_tokens: int) -> Any:
    """A layer that learns which words occur, and its vocabulary of at most `max_tokens` with it.

    Raises:
        InstallError: TensorFlow is not there, which counts the words on every backend.
    """
    import keras

    check_tensorflow('The encoding "text"')
    return keras.layers.TextVectorization(max_tokens=max_tokens)


def _words(texts: np.ndarray, max_tokens: int) -> list:
    layer = word_counter(max_tokens)
    layer.adapt(np.asarray(texts, dtype=object))
    return [str(word) for word in layer.get_vocabulary(include_special_tokens=False)]


def learn_all(schema: Schema, checked: Checked, given: Any) -> dict:
    """An encoding for each column; `given` is one for all or a dict by column ("" for the others)."""
    by_name = by_column(given, schema.names)
    return {
        name: learn(
            column,
            checked.values[name],
            None if by_name[name] is None else chosen(by_name[name], name),
        )
        for name, column in schema.columns.items()
    }


def by_column(given: Any, names: list) -> dict:
    if isinstance(given, Mapping) and "how" not in given:
        for name in given:
            if name != "" and name not in names:
                raise ArgumentError(
                    f"`encodings` names the column '{name}', which is not used.",
                    hint=f"Columns: {', '.join(names[:20])}.",
                    argument="encodings",
                )
        return {name: given.get(name, given.get("")) for name in names}
    if given is not None:
        raise ArgumentError(
            "`encodings` must name columns, such as {'city': 'embedding'}.", argument="encodings"
        )
    return dict.fromkeys(names)


def open_columns(given: Any, names: list) -> list:
    """Columns whose chosen encoding takes any text."""
    return [
        name
        for name, one in by_column(given, names).items()
        if one is not None and chosen(one, name)["how"] in ANY_TEXT
    ]
