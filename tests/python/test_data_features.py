"""Encodings inside a model: plain Keras loads it and takes raw columns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kerasbridge.data import tables
from kerasbridge.data.attached import attach_schema, schema_of
from kerasbridge.data.features import Features, learn_target, tabular_model, usual_loss
from kerasbridge.data.schema import Column, Schema
from kerasbridge.errors import ArgumentError, DataError

keras = pytest.importorskip("keras")
if keras.config.backend() != "tensorflow":
    pytest.skip("text needs the TensorFlow backend", allow_module_level=True)
pd = pytest.importorskip("pandas")


def frame(rows: int = 200):
    rng = np.random.default_rng(1)
    table = {
        "age b": rng.normal(50, 10, rows),
        "income": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
        "é": rng.choice(["cook", "pilot"], rows).astype(object),
        "size": pd.Categorical(rng.choice(["s", "m"], rows), ["s", "m", "l"], ordered=True),
        "city": rng.choice([f"c{i}" for i in range(30)], rows).astype(object),
        "words": rng.choice(["good day", "bad night"], rows).astype(object),
        "member": rng.random(rows) < 0.5,
    }
    table["é"][5] = None
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def features():
    return Features.learn(
        frame(),
        encoding={"words": {"how": "text", "mode": "count"}, "age b": "rescale"},
        crosses=[("é", "size"), {"columns": ["é", "city"], "bins": 7}],
        missing={"income": "mean", "é": "level"},
        unknown={"city": "slot"},
        target=Column("y", "number"),
    )


def test_features_are_plain_data(features):
    again = Features.from_json(json.dumps(json.loads(features.to_json())))
    assert again.get_config() == features.get_config()
    how = {name: one["how"] for name, one in features.encodings.items()}
    assert how == {
        "age b": "rescale",
        "income": "normalize",
        "é": "one_hot",
        "size": "ordinal",
        "city": "embedding",
        "words": "text",
        "member": "none",
    }
    with pytest.raises(DataError, match="not the description"):
        Features.from_config({"format": 1})
    with pytest.raises(DataError, match="format 9"):
        Features.from_config({**features.get_config(), "format": 9})


def test_plain_keras_loads_the_model_and_takes_raw_columns(features, tmp_path, run_python):
    keras.utils.set_random_seed(1)
    model = tabular_model(features, hidden=[8], mean=100.0, deviation=5.0)
    assert schema_of(model) == features.schema
    table = frame(20)
    table.loc[3, "city"] = "new"
    prepared = tables.prepare(model, table, schema_of(model))
    expected = model.predict(prepared.x, verbose=0)
    assert expected.shape == (20, 1) and 50 < expected.mean() < 150
    model.save(tmp_path / "m.keras")
    raw = {name: table[name].tolist() for name in table}
    raw["é"] = ["(missing)" if v is None or v != v else v for v in raw["é"]]
    (tmp_path / "raw.json").write_text(json.dumps(raw))
    done = run_python(
        f"""
import json, sys, keras, numpy as np
model = keras.saving.load_model({str(tmp_path / "m.keras")!r})
raw = json.load(open({str(tmp_path / "raw.json")!r}))
raw = {{n: np.array(v, object if isinstance(v[0], str) else "float32") for n, v in raw.items()}}
assert not any(name.startswith("kerasbridge") for name in sys.modules)
print(json.dumps(model.predict(raw, verbose=0).tolist()))
raw["size"][4] = "xl"
try:
    model.predict(raw, verbose=0)
except Exception as error:
    print(type(error).__name__)
"""
    )
    assert done.returncode == 0, done.stderr
    values, refusal = done.stdout.strip().splitlines()[-2:]
    np.testing.assert_allclose(json.loads(values), expected, rtol=1e-6)
    assert refusal == "InvalidArgumentError"


def test_encoding_ahead_of_a_model():
    table = frame(50).drop(columns="words")
    found = Features.learn(
        table,
        encoding={"city": {"how": "hash", "bins": 5}},
        missing={"income": "mean", "é": "level"},
    )
    out = found.encode(table)
    assert out.dtype == np.float32 and out.shape == (50, len(found.names()))
    named = dict(zip(found.names(), out.T))
    np.testing.assert_array_equal(named["income_missing"], table["income"].isna())
    np.testing.assert_array_equal(named["é_pilot"], table["é"] == "pilot")
    np.testing.assert_array_equal(named["member"], table["member"])
    np.testing.assert_allclose(named["size"], table["size"].cat.codes / 2)
    assert abs(named["age b"].mean()) < 1e-5 and abs(named["age b"].std() - 1) < 1e-3
    assert found.encode(table[:0]).shape == (0, len(found.names()))


def test_text_trains_on_the_resident_path_as_on_keras_own(features):
    from kerasbridge import training

    rows = frame(100)
    y = rows["age b"].to_numpy("float32")
    losses = {}
    for engine in ("keras", "graph"):
        keras.utils.set_random_seed(1)
        model = tabular_model(features, hidden=[8])
        model.compile("adam", "mse")
        x = tables.prepare(model, rows, schema_of(model)).x
        history = training.fit(
            model, x, y, epochs=2, verbose=0, engine=engine, shuffle=False, validation_split=0.2
        )
        assert history.engine == engine
        losses[engine] = [history.history["loss"], history.history["val_loss"]]
    np.testing.assert_allclose(losses["graph"], losses["keras"], rtol=1e-4)


def test_a_table_of_unlike_inputs_shows_both_sides():
    inputs = [keras.Input((1,), name="a"), keras.Input((2,), name="b")]
    model = keras.Model(inputs, keras.layers.Concatenate()(inputs))
    with pytest.raises(DataError, match=r"expected +got\na \(1\) float32 +x: numbers"):
        tables.prepare(model, {"x": [1.0], "y": [2.0]})
    with pytest.raises(DataError, match=r"one value a row.*shape \(any, 2\)"):
        tables.prepare(model, {"a": [1.0], "b": [2.0]})


def test_targets_decide_output_and_loss():
    schema = Schema([Column("x", "number", minimum=0.0, maximum=1.0)])
    encodings = {"x": {"how": "none"}}
    for levels, loss, units in (
        (["a", "b", "c"], "sparse_categorical_crossentropy", 3),
        (["a", "b"], "binary_crossentropy", 1),
        (None, "mean_squared_error", 1),
    ):
        schema.target = Column("y", "factor" if levels else "number", levels)
        found = Features(schema, encodings)
        assert usual_loss(found)[0] == loss
        assert tabular_model(found, hidden=[]).output_shape == (None, units)
    column, codes = learn_target("y", ["b", "a", "b"])
    assert column.levels == ["a", "b"] and codes.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="'y' has 1 missing values .first in row 2."):
        learn_target("y", [1.0, None])


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"encoding": {"nope": "hash"}}, "'nope', which is not used"),
        ({"encoding": {"city": "wild"}}, "'wild', which does not exist"),
        ({"encoding": {"city": "rescale"}}, "does not go with column 'city'"),
        ({"encoding": {"city": {"how": "hash", "bins": 0.5}}}, "whole number"),
        ({"encoding": {"words": {"how": "text", "mode": "x"}}}, "'multi_hot' or 'count'"),
        ({"crosses": [("city", "member")]}, "needs levels"),
        ({"crosses": [("city",)]}, "two columns or more"),
        ({"crosses": [("city", "nope")]}, "'nope', which is not used"),
    ],
)
def test_what_can_not_be_encoded(options, pattern):
    rules = {"income": "mean", "é": "level"}
    with pytest.raises(ArgumentError, match=pattern):
        Features.learn(frame(), missing=rules, **options)


def test_names_that_keras_does_not_take():
    with pytest.raises(DataError, match="'a/b' can't be an input"):
        Features.learn({"a/b": [1.0, 2.0]}).build()


def test_a_schema_can_be_taken_away():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    attach_schema(model, Schema([Column("a", "number")]).to_json())
    assert schema_of(model).names == ["a"]
    attach_schema(model, None)
    assert schema_of(model) is None


def test_intervals_are_one_column_each(tmp_path):
    features = Features.learn(
        {"age": np.arange(8, dtype="float32")},
        encoding={"age": {"how": "bucketize", "boundaries": [2.0, 5.0]}},
        target=Column("y", "number"),
    )
    model = tabular_model(features, hidden=[4])
    model.compile("sgd", "mse")
    model.fit({"age": np.arange(8.0)[:, None]}, np.ones((8, 1)), verbose=0)
    assert [w.shape for w in model.weights][0] == (3, 4)
    model.save(tmp_path / "m.keras")
    back = keras.saving.load_model(tmp_path / "m.keras")
    values = {"age": np.array([[0.0], [3.0], [7.0]], "float32")}
    np.testing.assert_allclose(
        back.predict(values, verbose=0), model.predict(values, verbose=0), rtol=1e-6
    )
