"""Properties of tables, schemas and blocks over random data (hypothesis)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kerasbridge.data.blocks import row_block
from kerasbridge.data.frames import as_frame, coded, from_columns
from kerasbridge.data.schema import Schema
from kerasbridge.errors import DataError

hypothesis = pytest.importorskip("hypothesis")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

quick = settings(max_examples=40, deadline=None, database=None)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
limits = st.sampled_from([-(2**63) + 1, -(2**31), -1, 0, 1, 2**31 - 1, 2**53 + 1, 2**63 - 1])
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 12))

    def column(values):
        return draw(st.lists(values, min_size=rows, max_size=rows))

    levels = draw(st.lists(texts, min_size=1, max_size=5, unique=True))
    codes = st.integers(-1, len(levels) - 1)
    table = {
        "number": np.array(column(st.one_of(finite, st.just(np.nan))), dtype=float),
        "whole": np.array(column(limits), dtype=np.int64),
        "logical": np.array(column(st.booleans())),
        "text": np.array([draw(texts), *column(st.one_of(texts, st.none()))[1:]], dtype=object),
        "level": pd.Categorical.from_codes(column(codes), levels, ordered=draw(st.booleans())),
    }
    return {name: table[name] for name in draw(st.permutations(list(table)))}


RULES = {"number": 0.0, "text": "level", "level": "level"}


def same(one, other):
    assert one.names == other.names and one.rows == other.rows
    for name in one.names:
        a, b = one.columns[name], other.columns[name]
        assert a.kind == b.kind
        gone = np.zeros(one.rows, bool) if a.missing is None else a.missing
        np.testing.assert_array_equal(
            gone, np.zeros(one.rows, bool) if b.missing is None else b.missing
        )
        if a.levels is None:
            np.testing.assert_array_equal(a.values[~gone], b.values[~gone])
        else:
            assert list(a.texts()) == list(b.texts())


@quick
@given(tables())
def test_every_make_of_table_says_the_same(table):
    frame = as_frame(table)
    same(frame, as_frame(pd.DataFrame(table)))
    same(frame, as_frame(pa.Table.from_pandas(pd.DataFrame(table))))


@quick
@given(tables(), st.randoms(use_true_random=False))
def test_order_of_columns_and_levels_changes_nothing(table, random):
    schema = Schema.learn(table, missing=RULES)
    assert Schema.from_json(json.dumps(json.loads(schema.to_json()))) == schema
    checked = schema.check(table)
    levels = list(table["level"].categories)
    random.shuffle(levels)
    other = dict(reversed(list(table.items())), level=table["level"].set_categories(levels))
    again = schema.check({**other, "more": np.zeros(len(table["whole"]))})
    for name, values in checked.values.items():
        np.testing.assert_array_equal(values, again.values[name])
    assert list(checked.values) == schema.names == list(table)


@quick
@given(tables(), texts)
def test_levels_go_by_name_and_unknown_ones_are_refused(table, text):
    schema = Schema.learn(table, missing=RULES)
    column = schema.columns["text"]
    new = {**table, "text": [text] * len(table["whole"])}
    if text in column.levels:
        assert (schema.check(new).values["text"] == column.levels.index(text)).all()
    else:
        with pytest.raises(DataError, match="which training did not have .first in row 1."):
            schema.check(new)
        open = Schema.learn(table, missing=RULES, unknown={"text": "slot"})
        slot = len(open.columns["text"].vocabulary())
        assert (open.check(new).values["text"] == slot).all()


@quick
@given(st.integers(0, 40), st.integers(1, 20), st.integers(1, 3), st.randoms(use_true_random=False))
def test_a_block_is_the_columns_side_by_side(rows, width, threads, random):
    kinds = ["float64", "float32", "int32", "int64", "bool", "uint8"]
    rng = np.random.default_rng(random.randrange(2**32))
    columns = [(rng.normal(size=rows) * 100).astype(random.choice(kinds)) for _ in range(width)]
    block = row_block(columns, threads=threads)
    expected = np.stack([c.astype("float32") for c in columns], axis=1)
    assert block.dtype == np.float32 and block.flags.c_contiguous
    np.testing.assert_array_equal(block, expected)
    for order in "CF":
        matrix = np.asarray(np.stack([c.astype("float64") for c in columns], axis=1), order=order)
        np.testing.assert_array_equal(row_block(matrix, threads=threads), expected)


@quick
@given(st.lists(st.one_of(st.none(), limits), min_size=1))
def test_whole_numbers_of_64_bits_cross_in_the_bytes_of_doubles(values):
    whole = np.array([-(2**63) if v is None else v for v in values], dtype=np.int64)
    column = from_columns(
        [{"name": "a", "kind": "integer64", "values": whole.view(np.float64)}]
    ).columns["a"]
    gone = [v is None for v in values]
    assert (column.missing is not None) == any(gone)
    assert [v for v in column.values[~np.array(gone)]] == [v for v in values if v is not None]


@quick
@given(st.lists(texts, min_size=1, unique=True), st.data())
def test_codes_and_levels_are_texts_again(levels, data):
    codes = data.draw(st.lists(st.integers(-1, len(levels) - 1)))
    column = coded("a", "factor", np.array(codes, dtype=int), levels)
    assert list(column.texts()) == [None if c < 0 else levels[c] for c in codes]
