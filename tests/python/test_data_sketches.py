"""A feature space learnt in chunks is that of the whole table."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pandas as pd
import pytest
from kerasbridge import training
from kerasbridge.data import sketches
from kerasbridge.data.features import Features, tabular_model
from kerasbridge.data.schema import Column
from kerasbridge.data.sources import CsvSource
from kerasbridge.errors import ArgumentError, DataError, InstallError, UnsupportedError

TENSORFLOW = keras.config.backend() == "tensorflow"


@pytest.fixture
def people():
    rng = np.random.default_rng(4)
    n = 700
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "income": rng.lognormal(3, 1, n),
            "city": rng.choice(["Rom", "Ulm", "Bonn"], n),
            "job": pd.Categorical(rng.choice(["cook", "pilot"], n), ["pilot", "cook"]),
            "said": rng.choice(["good day", "bad day", "good night"], n),
            "spent": rng.normal(50, 9, n),
        }
    )


def chunks(table, size=64):
    return (table.iloc[at : at + size] for at in range(0, len(table), size))


def both(table, names, **options):
    target = options.pop("target", None)
    streamed, sketch = sketches.learn_features(chunks(table), names, target=target, **options)
    whole = Features.learn(table[names], **options)
    return streamed, whole, sketch


def same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            same(a, b)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-9)
    else:
        assert one == other


def test_every_encoding_is_the_same(people):
    names = ["age", "income", "city", "job", "said"]
    encoding = {"income": {"how": "bucketize", "bins": 4}, "said": "text", "city": "embedding"}
    if importlib.util.find_spec("tensorflow") is None:  # which counts words on every backend
        with pytest.raises(InstallError, match='The encoding "text" needs TensorFlow'):
            both(people, names, target="spent", encoding=encoding)
        encoding["said"] = "one_hot"
    streamed, whole, sketch = both(
        people,
        names,
        target="spent",
        encoding=encoding,
        crosses=[("city", "job")],
        unknown={"city": "slot"},
    )
    same(streamed.encodings, whole.encodings)
    assert streamed.crosses == whole.crosses
    config, expected = streamed.schema.get_config(), whole.schema.get_config()
    assert config.pop("target")["name"] == "spent" and expected.pop("target") is None
    same(config, expected)
    assert sketch.mean == pytest.approx(people["spent"].mean())
    assert sketch.variance == pytest.approx(people["spent"].var(ddof=0))


@pytest.mark.parametrize("how", ["normalize", "rescale", "bucketize"])
@pytest.mark.parametrize("rule", ["mean", "median", 7, 1000.0])
def test_missing_numbers_count_as_what_stands_for_them(people, how, rule):
    table = people[["income", "city"]].copy()
    table.loc[::9, "income"] = np.nan
    table.loc[::7, "city"] = None
    streamed, whole, _ = both(
        table,
        ["income", "city"],
        encoding={"income": how},
        missing={"income": rule, "city": "level"},
    )
    assert streamed.schema.columns["income"].fill == pytest.approx(
        whole.schema.columns["income"].fill
    )
    same(streamed.encodings, whole.encodings)
    assert streamed.schema.columns["city"] == whole.schema.columns["city"]


def test_more_rows_than_the_sample_holds(monkeypatch):
    monkeypatch.setattr(sketches, "SAMPLE", 2000)
    values = np.random.default_rng(0).normal(10, 2, 30_000)
    found = sketches.sketches(({"a": part} for part in np.split(values, 60)), ["a"])["a"]
    assert found.rows == found.present == 30_000 and len(found.sample) == 2000
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.variance == pytest.approx(values.var(), rel=1e-9)
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    # every part of the stream is in the sample, and its quantiles are those of all
    early = np.isin(found.sample, values[:15_000]).mean()
    assert 0.4 < early < 0.6
    np.testing.assert_allclose(
        np.quantile(found.sample, [0.1, 0.5, 0.9]), np.quantile(values, [0.1, 0.5, 0.9]), atol=0.3
    )


def test_text_of_very_many_values_is_hashed():
    texts = [f"customer {i}" for i in range(1500)]
    streamed, _ = sketches.learn_features(({"id": [t]} for t in texts), ["id"])
    assert streamed.encodings["id"]["how"] == "hash"
    assert streamed.schema.columns["id"].levels is None


def test_what_can_not_be_learnt_is_named(people):
    def learn(table, names, **options):
        return sketches.learn_features(chunks(table), names, **options)

    table = people.copy()
    table.loc[[3, 99], "income"] = np.nan
    with pytest.raises(DataError, match="'income' has 2 missing values, and no rule"):
        learn(table, ["income"])
    table["income"] = np.where(np.arange(700) == 300, np.inf, 1.0)
    with pytest.raises(DataError, match="'income' has an infinite value"):
        learn(table, ["income"])
    with pytest.raises(DataError, match="no rows"):
        learn(table.iloc[:0], ["age"])
    mixed = [{"a": [1.0, 2.0]}, {"a": ["x"]}]
    with pytest.raises(DataError, match="'a' holds string values from row 3 on"):
        sketches.sketches(mixed, ["a"])
    with pytest.raises(DataError, match="lacks the column 'b'"):
        sketches.sketches(mixed[:1], ["b"])
    table.loc[5, "spent"] = np.nan
    with pytest.raises(DataError, match="response `spent` has 1 missing value"):
        learn(table, ["age"], target="spent")


def test_a_model_learns_and_trains_on_files(people, tmp_path):
    for i, part in enumerate((people[:200], people[200:450], people[450:])):
        part.to_csv(tmp_path / f"part-{i}.csv", index=False)
    names, crosses = ["age", "income", "city", "job"], [("city", "job")]
    if not TENSORFLOW:
        text = Features.learn(people[names])
        with pytest.raises(UnsupportedError, match="'city' holds text, .* on TensorFlow only"):
            tabular_model(text)
        names, crosses = names[:2], []
    source = CsvSource(
        str(tmp_path / "part-*.csv"),
        y="spent",
        x=names,
        encode="columns",
        buffer_size=96,
        seed=1,
        validation_split=0.2,
    )
    features, sketch = sketches.learn_features(
        source.chunks([*names, "spent"]), names, target="spent", crosses=crosses
    )
    assert features.schema.target == Column("spent", "number")
    keras.utils.set_random_seed(2)
    model = tabular_model(features, hidden=[8], mean=sketch.mean, deviation=sketch.variance**0.5)
    training.compile(model, optimizer="adam", loss="mse")
    history = training.fit(model, source, epochs=3, verbose=0)
    assert history.engine == ("graph" if TENSORFLOW else "keras"), history.engine_reason
    assert set(history.metrics) == {"loss", "val_loss"}
    raw = {name: features.raw(people[names])[0][name] for name in names}
    expected = training.predict(model, raw, verbose=0)
    whole = CsvSource(str(tmp_path / "part-*.csv"), y="spent", x=names, encode="columns")
    np.testing.assert_allclose(training.predict(model, whole, verbose=0), expected, rtol=1e-5)
    loss = training.evaluate(model, whole, verbose=0)["loss"]
    assert loss == pytest.approx(float(np.mean((expected[:, 0] - people["spent"]) ** 2)), rel=1e-4)
    with pytest.raises(ArgumentError, match="no column 'nope'"):
        list(source.chunks(["nope"]))
