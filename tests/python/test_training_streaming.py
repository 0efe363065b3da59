"""Training, evaluation and prediction on sources give what the same data in memory give."""

from __future__ import annotations

import importlib.util
import threading

import keras
import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.data.sources import FunctionSource, NpySource, TextSource
from kerasbridge.errors import ArgumentError, DataError, InstallError

ROWS = 1003  # the last batch is short
TENSORFLOW = keras.config.backend() == "tensorflow"  # Keras' own loops run on other backends


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int32")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    return x, y, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")


def model(seed=1, **compiling):
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("adam", loss, metrics=["accuracy"], **compiling)
    return made


def threads():
    return [t for t in threading.enumerate() if t.name == "kerasbridge-prefetch"]


@pytest.mark.parametrize(
    ("engine", "buffer"), [("graph", None), ("graph", 128), ("xla", 128), ("keras", None)]
)
def test_in_order_a_source_trains_like_its_arrays(data, engine, buffer):
    x, y, a, b = data
    source = NpySource(a, b, shuffle=False, buffer_size=buffer, batch_size=32)
    ours, theirs = model(), model()
    history = training.fit(ours, source, epochs=3, validation_split=0.2, verbose=0, engine=engine)
    plain = theirs.fit(x, y, epochs=3, validation_split=0.2, shuffle=False, verbose=0)
    assert history.engine == (engine if TENSORFLOW else "keras")
    assert history.params["samples"] == 802
    for name, values in plain.history.items():
        np.testing.assert_allclose(history.metrics[name], values, rtol=2e-4)
    for one, other in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert not threads()


def test_shuffled_epochs_see_every_row_and_repeat_by_seed(data):
    _, _, a, b = data
    results = []
    for engine in ("graph", "graph", "keras"):
        source = NpySource(a, b, seed=7, buffer_size=256)
        made = model()
        training.fit(made, source, epochs=2, verbose=0, engine=engine)
        results.append(made.get_weights())
        assert source.epoch == 2
    for one, other, by_keras in zip(*results):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, by_keras, rtol=1e-4, atol=1e-6)  # batches in the same order


def test_steps_weights_classes_and_batch_size(data):
    x, y, a, b = data
    source = NpySource(a, b, shuffle=False)
    ours, theirs = model(), model()
    options = dict(epochs=2, verbose=0, batch_size=100, class_weight={0: 1.0, 1: 3.0})
    history = training.fit(ours, source, **options)
    plain = theirs.fit(x, y, shuffle=False, **options)
    np.testing.assert_allclose(history.metrics["loss"], plain.history["loss"], rtol=1e-4)
    assert history.params["steps"] == 11
    stepped = training.fit(model(), source, epochs=3, steps_per_epoch=10, verbose=0)
    assert len(stepped.metrics["loss"]) == 3 and stepped.params["steps"] == 10
    with pytest.raises(ArgumentError, match="`y` can't be given beside a source"):
        training.fit(model(), source, y, verbose=0)


def test_validation_by_any_mixture(data):
    x, y, a, b = data
    source = NpySource(a, b, validation_split=0.3, seed=1)
    own = training.fit(model(), source, epochs=1, verbose=0)
    rest = training.fit(model(), source, epochs=1, validation_data=(x[702:], y[702:]), verbose=0)
    third = training.fit(
        model(), x[:702], y[:702], epochs=1, validation_data=source.validation, verbose=0
    )
    few = "single steps: only 22 steps"
    assert third.engine_reason == (
        few if TENSORFLOW else f"the backend is {keras.config.backend()}"
    )
    assert own.params["validation_samples"] == len(x) - 702
    for history in (own, rest, third):
        assert np.isfinite(history.metrics["val_loss"]).all()
    made = model()
    again = training.fit(made, source, epochs=1, verbose=0)
    known = made.evaluate(x[702:], y[702:], verbose=0)
    np.testing.assert_allclose(again.metrics["val_loss"], known[0], rtol=1e-4)


def test_evaluate_and_predict_take_rows_as_they_lie(data):
    x, y, a, b = data
    source, made = NpySource(a, b, buffer_size=200, seed=1), model()
    known = made.evaluate(x, y, verbose=0)
    for options in ({}, {"batch_size": 100}, {"engine": "keras"}):
        found = training.evaluate(made, source, verbose=0, **options)
        np.testing.assert_allclose([found["loss"], found["accuracy"]], known, rtol=1e-5)
        predicted = training.predict(made, source, verbose=0, **options)
        np.testing.assert_allclose(predicted, made.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert training.predict(made, source, steps=2, verbose=0).shape == (64, 2)
    assert not threads()


def test_keras_own_fit_takes_a_source(data):
    _, _, a, b = data
    source = NpySource(a, b, validation_split=0.2, seed=1)
    made = model()
    history = made.fit(source, epochs=2, validation_data=source.validation, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all() and source.epoch >= 2
    if importlib.util.find_spec("tensorflow") is None:
        with pytest.raises(InstallError, match="tf.data.Dataset needs TensorFlow"):
            source.dataset()
        return
    on_dataset = made.fit(source.dataset(), epochs=1, verbose=0)
    assert np.isfinite(on_dataset.history["loss"]).all()


def test_several_inputs_by_name(data, tmp_path):
    x, y, a, b = data
    one, two = keras.Input((4,), name="one"), keras.Input((4,), name="two")
    made = keras.Model([one, two], keras.layers.Dense(1)(keras.layers.Add()([one, two])))
    made.compile("sgd", "mse")
    source = NpySource({"one": a, "two": a}, b, shuffle=False)
    history = training.fit(made, source, epochs=2, verbose=0)
    assert history.engine in (("graph", "xla") if TENSORFLOW else ("keras",))
    np.testing.assert_allclose(
        training.predict(made, source, verbose=0),
        made.predict({"one": x, "two": x}, verbose=0),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.skipif(not TENSORFLOW, reason="Keras computes with text on TensorFlow alone")
def test_text_goes_through_a_model_that_takes_text(tmp_path):
    for name, word in (("bad", "awful"), ("good", "fine")):
        (tmp_path / name).mkdir()
        for i in range(12):
            (tmp_path / name / f"{i}.txt").write_text(f"{word} film {i}")
    source = TextSource(tmp_path, batch_size=4, seed=1, validation_split=0.25)
    words = keras.layers.TextVectorization(output_mode="multi_hot", max_tokens=10)
    words.adapt(["awful fine film"])
    made = keras.Sequential([keras.Input((), dtype="string"), words, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    history = training.fit(made, source, epochs=10, verbose=0)
    assert history.engine == "graph" and history.metrics["val_accuracy"][-1] == 1
    assert training.evaluate(made, source.validation, verbose=0)["accuracy"] == 1
    found = training.predict(made, source.validation, verbose=0)
    assert found.argmax(axis=1).tolist() == [0] * 3 + [1] * 3


def test_trouble_in_the_middle_ends_training_and_its_threads(data):
    x, y, _, _ = data

    def sample(i):
        if i == 900:
            raise RuntimeError("disk gone")
        return x[i], y[i]

    source = FunctionSource(sample, ROWS, shuffle=False, buffer_size=64)
    with pytest.raises(DataError, match="sample 901: RuntimeError: disk gone"):
        training.fit(model(), source, epochs=1, verbose=0)
    wrong = NpySource(data[2], data[3])
    small = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    small.compile("sgd", "mse")
    many = model()
    many.pop()
    many.add(keras.layers.Dense(1))
    for engine in ("auto", "keras"):
        with pytest.raises(
            DataError, match=r"`x` has shape \(\d+, 4\); the model takes \(any, 3\)"
        ):
            training.fit(small, wrong, epochs=1, verbose=0, engine=engine)
        # JAX by itself takes a class number beyond the classes, and trains on nothing
        with pytest.raises(
            DataError, match="`y` has labels from 0 to 1, but the output has 1 unit"
        ):
            training.fit(many, wrong, epochs=1, verbose=0, engine=engine)
        with pytest.raises(DataError, match="`y` has labels from 0 to 1"):
            training.evaluate(many, wrong, verbose=0, engine=engine)
    assert wrong.look is None and not threads()


def test_a_person_can_stop(data):
    source = NpySource(data[2], data[3], buffer_size=64)
    stop = threading.Event()
    ending = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: stop.set())
    history = training.fit(model(), source, epochs=50, verbose=0, callbacks=[ending], stop=stop)
    assert history.interrupted and len(history.epoch) == 1
    assert not threads()


def test_memory_stays_flat_however_large_the_file(run_python, tmp_path):
    # 1.5 GB of which the disk holds nothing: a file with a hole; anonymous memory is limited too
    result = run_python(
        f"""
import resource
import numpy as np
import keras
from kerasbridge import training
from kerasbridge.data.sources import NpySource

def peak():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines["VmHWM"].split()[0]) >> 10

path = {str(tmp_path / "large.npy")!r}
rows, width = 60_000, 6_000
np.lib.format.open_memmap(path, mode="w+", dtype="float32", shape=(rows, width))
np.save(path + ".y.npy", np.zeros(rows, "float32"))
small = path + ".small.npy"
np.save(small, np.zeros((2000, width), "float32"))
np.save(small + ".y.npy", np.zeros(2000, "float32"))
model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
options = dict(epochs=1, verbose=0, engine="graph")
training.fit(model, NpySource(small, small + ".y.npy", batch_size=500), **options)
before = peak()
resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
history = training.fit(model, NpySource(path, path + ".y.npy", batch_size=500), **options)
assert history.params["samples"] == rows
assert history.engine == ("graph" if keras.config.backend() == "tensorflow" else "keras")
print("grown by", peak() - before)
""",
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout.split()[-1]) < 300
