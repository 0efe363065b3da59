"""Tables of any make, the schema learnt from them, and what it refuses later."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest
from kerasbridge.data.frames import KINDS, as_frame, from_columns
from kerasbridge.data.schema import Column, Schema
from kerasbridge.errors import ArgumentError, DataError

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


def of_all_kinds():
    return {
        "number": [1.5, None, 3.0],
        "integer": np.array([1, -2, 3]),
        "logical": [True, False, True],
        "factor": pd.Categorical(["b", "a", None], categories=["b", "a"]),
        "ordered": pd.Categorical(["l", "h", "l"], categories=["l", "m", "h"], ordered=True),
        "string": ["née", None, "x" * 70_000],
        "date": [datetime.date(1970, 1, 2), datetime.date(1969, 12, 31), None],
        "datetime": pd.to_datetime(["1970-01-01 00:00:10", None, "1970-01-01 00:00:05"]),
        "duration": pd.to_timedelta([90, None, 1], unit="s"),
    }


EXPECTED = {
    "number": [1.5, np.nan, 3],
    "integer": [1, -2, 3],
    "logical": [1, 0, 1],
    "factor": [0, 1, -1],
    "ordered": [0, 2, 0],
    "string": [0, -1, 1],
    "date": [1, -1, np.nan],
    "datetime": [10, np.nan, 5],
    "duration": [90, np.nan, 1],
}


@pytest.mark.parametrize("make", ["dict", "pandas", "arrow"])
def test_every_make_of_table_gives_the_same_columns(make):
    columns = of_all_kinds()
    table = columns if make == "dict" else pd.DataFrame(columns)
    if make == "arrow":
        table = pa.Table.from_pandas(table)
    frame = as_frame(table)
    assert frame.names == list(KINDS) and len(frame) == 3
    for name, column in frame.columns.items():
        expected = np.array(EXPECTED[name], dtype=float)
        gaps = np.isnan(expected) | (expected == -1) * (column.levels is not None)
        assert column.kind == name
        assert (column.missing is None) == (not gaps.any())
        if gaps.any():
            np.testing.assert_array_equal(column.missing, gaps)
        keep = ~gaps
        np.testing.assert_allclose(column.values[keep].astype(float), expected[keep])
    assert frame.columns["factor"].levels == ["b", "a"]
    assert frame.columns["ordered"].levels == ["l", "m", "h"]
    assert list(frame.columns["string"].texts()) == ["née", None, "x" * 70_000]


def test_columns_from_r_keep_missing_values_apart():
    whole = np.array([5, np.iinfo(np.int64).min], dtype=np.int64)
    frame = from_columns(
        [
            {"name": "big", "kind": "integer64", "values": whole.view(np.float64)},
            {"name": "i", "kind": "integer", "values": np.array([np.nan, 2.0])},
            {"name": "f", "kind": "factor", "values": np.array([-1, 0]), "levels": ["a"]},
        ]
    )
    assert frame.columns["big"].values.tolist() == [5, 0]
    for name, gap in (("big", [False, True]), ("i", [True, False]), ("f", [True, False])):
        assert frame.columns[name].missing.tolist() == gap


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        ([[1], [2, 3], [4]], "'c' holds list values .first in row 1."),
        (["a", 1, "b"], "'c' mixes text with int values .first in row 2."),
        (np.zeros((3, 2)), r"'c' has shape \(3, 2\)"),
        (np.zeros(3, dtype=complex), "'c' holds complex128 values"),
    ],
)
def test_a_column_without_a_meaning_is_named(values, pattern):
    with pytest.raises(DataError, match=pattern) as caught:
        as_frame({"c": values})
    assert caught.value.details["column"] == "c"


def test_what_is_no_table_is_refused():
    with pytest.raises(DataError, match="not list"):
        as_frame([1, 2])
    with pytest.raises(DataError, match="'b' has 3 rows, the first one 2"):
        as_frame({"a": [1, 2], "b": [1, 2, 3]})
    with pytest.raises(DataError, match="Two columns are called 'a'"):
        as_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.fixture
def schema():
    table = of_all_kinds()
    rules = {"number": "mean", "factor": "level", "string": "level", "date": 7.0}
    rules.update({"datetime": "median", "duration": {"how": "median", "indicator": False}})
    return Schema.learn(table, missing=rules, unknown={"string": "slot"})


def test_a_schema_is_plain_data(schema):
    again = Schema.from_json(json.dumps(json.loads(schema.to_json())))
    assert again == schema and again.names == list(KINDS)
    assert Schema([Column("a", "number")]) != schema
    with pytest.raises(DataError, match="format 99"):
        Schema.from_config({**schema.get_config(), "format": 99})
    for nonsense in ({}, {"format": 1, "columns": [{"nope": 1}]}):
        with pytest.raises(DataError, match="not the description"):
            Schema.from_config(nonsense)


def test_rules_and_levels(schema):
    checked = schema.check(of_all_kinds())
    numbers = {name: values.astype(float).tolist() for name, values in checked.values.items()}
    assert numbers["number"] == [1.5, 2.25, 3] and numbers["date"] == [1, -1, 7]
    assert numbers["factor"] == [0, 1, 2] and numbers["ordered"] == [0, 2, 0]
    assert numbers["datetime"] == [5, 2.5, 0] and numbers["duration"] == [90, 45.5, 1]
    assert schema.columns["string"].vocabulary() == ["née", "x" * 70_000, "(missing)"]
    assert numbers["string"] == [0, 2, 1]
    assert checked.missing["number"].tolist() == [False, True, False]
    assert schema.columns["number"].indicator and not schema.columns["duration"].indicator
    nothing = schema.check({**of_all_kinds(), "string": [None] * 3, "number": [None] * 3})
    assert nothing.values["string"].tolist() == [2, 2, 2]
    assert nothing.values["number"].tolist() == [2.25] * 3
    other = {**of_all_kinds(), "string": ["new", "née", None], "further": [1, 2, 3]}
    later = schema.check(dict(reversed(other.items())))
    assert later.values["string"].tolist() == [3, 0, 2]
    assert "further" in later.notes[0]


@pytest.mark.parametrize(
    ("name", "values", "pattern"),
    [
        ("number", ["1", "2", "3"], "'number' holds text; the model was trained on numbers"),
        ("number", [1, np.inf, 2], "'number' has an infinite value .first in row 2."),
        ("integer", [1, None, None], "'integer' has 2 missing values, and no rule.*row 2"),
        ("integer", [None, None, None], "'integer' holds nothing but missing values"),
        ("logical", [0, 1, 2], "'logical' was logical.*row 3"),
        ("factor", ["a", "b", "c"], "'factor' has the level 'c', which training did not have .*3"),
        ("factor", [0, 1, 1], "'factor' holds whole numbers; the model was trained on a factor"),
        ("date", [1, 2, 3], "'date' holds whole numbers"),
        ("datetime", ["a", "b", "c"], "'datetime' holds text"),
    ],
)
def test_later_tables_are_refused_by_column_and_row(schema, name, values, pattern):
    with pytest.raises(DataError, match=pattern) as caught:
        schema.check({**of_all_kinds(), name: values})
    assert caught.value.details["column"] == name


def test_missing_columns_are_listed(schema):
    table = of_all_kinds()
    del table["date"], table["logical"]
    with pytest.raises(DataError, match="lack the columns 'logical', 'date'") as caught:
        schema.check(table)
    assert caught.value.details["missing"] == ["logical", "date"]


@pytest.mark.parametrize(
    ("rules", "pattern"),
    [
        ({"nope": "mean"}, "names the column 'nope'"),
        ("sometimes", "'sometimes'"),
        ({"factor": "mean"}, "does not go with column 'factor'"),
        ({"number": "level"}, "does not go with column 'number'"),
    ],
)
def test_rules_that_do_not_fit(rules, pattern):
    with pytest.raises(ArgumentError, match=pattern):
        Schema.learn(of_all_kinds(), missing=rules)


def test_what_training_can_not_use():
    with pytest.raises(DataError, match="'a' has 1 missing value, and no rule for it.*row 2"):
        Schema.learn({"a": [1, None]})
    with pytest.raises(DataError, match="no rows"):
        Schema.learn({"a": []})
    with pytest.raises(DataError, match="'a' has no value to take the mean of"):
        Schema.learn({"a": [None, None]}, missing="mean")
    found = Schema.learn({"a": [1, 1], "b": ["x", "x"], "c": [1, 2**25]})
    assert found.constants() == ["a", "b"] and found.inexact() == ["c"]
