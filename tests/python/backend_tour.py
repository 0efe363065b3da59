"""What a backend other than TensorFlow has to do, in one process: run with KERAS_BACKEND set.

Every line printed is "name: outcome"; a name without "ok" says what went wrong. TensorFlow is made
impossible to import, so that nothing needs it in secret.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

sys.modules["tensorflow"] = None

import keras  # noqa: E402
import numpy as np  # noqa: E402
from kerasbridge import saving, training  # noqa: E402
from kerasbridge.data import tables  # noqa: E402
from kerasbridge.data.sources import CsvSource, FunctionSource, NpySource  # noqa: E402
from kerasbridge.errors import KerasBridgeError  # noqa: E402
from kerasbridge.training.pulling import evaluate_pulled, fit_pulled, predict_pulled  # noqa: E402

assert keras.config.backend() == os.environ["KERAS_BACKEND"]
FOLDER = Path(tempfile.mkdtemp())
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")
STEPS = {}


def step(function):
    STEPS[function.__name__] = function
    return function


def model(**options):
    keras.utils.set_random_seed(3)
    made = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    )
    training.compile(made, optimizer="adam", loss="mse", metrics=["mae"], **options)
    return made


def same(one, other):
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-4, atol=1e-5)


@step
def arrays_equal_keras():
    ours, plain = model(), model()
    history = training.fit(ours, X, Y, epochs=2, verbose=0, shuffle=False, validation_split=0.2)
    expected = plain.fit(X, Y, epochs=2, verbose=0, shuffle=False, validation_split=0.2).history
    assert history.engine == "keras" and keras.config.backend() in history.engine_reason
    assert sorted(history.metrics) == sorted(expected)
    for name, values in expected.items():
        same(history.metrics[name], values)
    same(
        training.evaluate(ours, X, Y, verbose=0)["loss"],
        plain.evaluate(X, Y, verbose=0, return_dict=True)["loss"],
    )
    predicted = training.predict(ours, X, verbose=0)
    assert isinstance(predicted, np.ndarray) and predicted.shape == (90, 1)
    same(predicted, plain.predict(X, verbose=0))


@step
def no_rows():
    assert training.predict(model(), X[:0], verbose=0).shape == (0, 1)


@step
def one_batch():
    made = model()
    before = training.test_on_batch(made, X, Y)
    assert set(before) == {"loss", "mae"}
    training.train_on_batch(made, X, Y)
    assert training.test_on_batch(made, X, Y)["loss"] < before["loss"]
    assert np.shape(training.predict_on_batch(made, X)) == (90, 1)
    training.warm_up(made)


@step
def weights_and_callbacks():
    made, seen = model(), []
    labels = (Y[:, 0] > 0).astype("int64")
    keras.utils.set_random_seed(3)
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, "softmax")])
    training.compile(made, optimizer="sgd", loss="sparse_categorical_crossentropy")
    every = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    training.fit(made, X, labels, class_weight={0: 1, 1: 5}, callbacks=[every], verbose=0)
    training.fit(made, X, labels, sample_weight=np.ones(90), verbose=0)
    assert seen == [0, 1, 2]


@step
def a_function_makes_batches():
    made, at = model(), [0]

    def pull():
        at[0] += 1
        return X[:30], Y[:30]

    history = fit_pulled(made, pull, steps_per_epoch=3, epochs=2, verbose=0)
    assert at[0] == 6 and len(history.epoch) == 2
    assert history.metrics["loss"][1] < history.metrics["loss"][0]
    assert set(evaluate_pulled(made, pull, steps=2, verbose=0)) == {"loss", "mae"}
    same(predict_pulled(made, pull, steps=1, verbose=0), training.predict(made, X[:30], verbose=0))


@step
def a_function_makes_the_steps_of_keras():
    """Draws, moving averages, weights of rows, a shorter batch; the function sees the weights of its step."""
    from kerasbridge.training import overlap

    def make():
        keras.utils.set_random_seed(5)
        layers = [keras.layers.Dense(8, "relu"), keras.layers.BatchNormalization()]
        rate = 0.4 if keras.config.backend() == "jax" else 0.0  # elsewhere a build draws, too
        layers += [keras.layers.Dropout(rate), keras.layers.Dense(1)]
        made = keras.Sequential([keras.layers.Input((3,)), *layers])
        training.compile(made, optimizer="adam", loss="mse", weighted_metrics=["mae"])
        return made

    weights = np.linspace(0.5, 2, 90)
    batches = [(X[i], Y[i], weights[i]) for i in (slice(30), slice(30, 60), slice(60, 77))] * 2
    ours, plain, single, at, seen = make(), make(), make(), [0], []

    def pull():
        at[0] += 1
        seen.append(ours.get_weights()[0])
        return batches[at[0] - 1]

    calls = []
    by_keras = overlap.Steps._first
    overlap.Steps._first = lambda *given: calls.append(1) or by_keras(*given)
    history = fit_pulled(ours, pull, steps_per_epoch=3, epochs=2, verbose=0)
    overlap.Steps._first = by_keras
    assert len(calls) == (2 if keras.config.backend() == "jax" else 6)  # of each shape one
    expected = plain.fit((one for one in batches), steps_per_epoch=3, epochs=2, verbose=0).history
    for name in expected:
        same(history.metrics[name], expected[name])
    for index, batch in enumerate(batches):
        same(seen[index], single.get_weights()[0])
        single.train_on_batch(*batch)
    for one, other, third in zip(ours.get_weights(), plain.get_weights(), single.get_weights()):
        same(one, other)
        same(one, third)
    for one, other in zip(ours.optimizer.variables, plain.optimizer.variables):
        same(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


@step
def sources():
    rows = np.concatenate([X, Y], axis=1)
    path = FOLDER / "rows.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,c,y", comments="")
    np.save(FOLDER / "x.npy", X)
    np.save(FOLDER / "y.npy", Y)
    reference = training.fit(model(), X, Y, verbose=0, shuffle=False).metrics["loss"]
    for source in (
        CsvSource(str(path), y="y", batch_size=32, shuffle=False),
        NpySource(str(FOLDER / "x.npy"), y=str(FOLDER / "y.npy"), batch_size=32, shuffle=False),
        FunctionSource(lambda i: (X[i], Y[i]), 90, batch_size=32, shuffle=False),
    ):
        made = model()
        same(training.fit(made, source, verbose=0).metrics["loss"], reference)
        same(training.predict(made, source, verbose=0), training.predict(made, X, verbose=0))
        same(
            training.evaluate(made, source, verbose=0)["loss"],
            training.evaluate(made, X, Y, verbose=0)["loss"],
        )
        training.fit(made, source, epochs=2, verbose=0, validation_split=0.2)


@step
def tables_of_columns():
    frame = {name: X[:, i].astype("float64") for i, name in enumerate("abc")}
    made = model()
    prepared = tables.prepare(made, frame)
    same(prepared.x, X)
    training.fit(made, prepared.x, Y, verbose=0)
    backwards = {name: frame[name] for name in "cba"}
    again = tables.prepare(made, backwards, prepared.schema)
    same(training.predict(made, again.x, verbose=0), training.predict(made, X, verbose=0))


@step
def sparse_rows():
    import scipy.sparse

    wide = scipy.sparse.random(60, 3, density=0.4, format="csr", random_state=1, dtype="float32")
    ours, plain = model(), model()
    training.fit(ours, wide, Y[:60], verbose=0, shuffle=False)
    training.fit(plain, wide.toarray(), Y[:60], verbose=0, shuffle=False)
    same(
        training.predict(ours, wide, verbose=0), training.predict(plain, wide.toarray(), verbose=0)
    )


@step
def files():
    made = model()
    training.fit(made, X, Y, verbose=0)
    expected = training.predict(made, X, verbose=0)
    for ending in (".keras", ".h5"):
        path = str(FOLDER / f"model{ending}")
        saving.save_model(made, path)
        same(training.predict(saving.load_model(path), X, verbose=0), expected)
    path = str(FOLDER / "only.weights.h5")
    saving.save_weights(made, path)
    fresh = model()
    saving.load_weights(fresh, path)
    same(training.predict(fresh, X, verbose=0), expected)


@step
def trainable_as_compiled():
    made = model()
    made.layers[0].trainable = False
    training.compile(made, optimizer="sgd", loss="mse")
    made.layers[0].trainable = True
    before = [np.array(w) for w in made.get_weights()]
    training.fit(made, X, Y, verbose=0)
    after = made.get_weights()
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[2], after[2])


@step
def a_stop_keeps_the_weights():
    import threading

    made, stop = model(), threading.Event()
    late = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epoch == 1 and stop.set()
    )
    history = training.fit(made, X, Y, epochs=9, verbose=0, callbacks=[late], stop=stop)
    assert history.interrupted and 1 <= len(history.epoch) <= 2


@step
def a_loss_that_is_not_finite():
    import warnings

    made = model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.fit(made, X, np.full_like(Y, np.nan), verbose=0)
    assert any("The loss is nan from epoch 1 on" in str(one.message) for one in caught)


def refused(run, *words):
    try:
        run()
    except KerasBridgeError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(f"it went through: {words}")


@step
def what_would_go_wrong_in_silence_is_refused():
    labels = np.repeat([0, 3], 45)
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, "softmax")])
    training.compile(made, optimizer="sgd", loss="sparse_categorical_crossentropy")
    source = FunctionSource(lambda i: (X[i], labels[i]), 90, batch_size=32)
    wrong = "`y` has labels from 0 to 3"
    refused(lambda: training.fit(made, source, verbose=0), wrong)
    refused(lambda: training.train_on_batch(made, X, labels), wrong)
    refused(lambda: training.test_on_batch(made, X, labels), wrong)
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Embedding(4, 2)])
    made.add(keras.layers.Flatten())
    training.compile(made, optimizer="sgd", loss="mse")
    ids = np.full((5, 3), 4.0)
    pull, wrong = (lambda: (ids, np.zeros((5, 6)))), "ids from 4 to 4, but the embedding"
    refused(lambda: fit_pulled(made, pull, 2, verbose=0), wrong)
    refused(lambda: evaluate_pulled(made, pull, 2, verbose=0), wrong)
    refused(lambda: predict_pulled(made, lambda: (ids,), 2, verbose=0), wrong)
    refused(lambda: training.predict_on_batch(made, ids), wrong)
    refused(lambda: training.train_on_batch(made, *pull()), wrong)
    entry = keras.layers.Input(batch_shape=(5, 3, 1))
    layer = keras.layers.GRU(1, stateful=True, name="memory")
    made, x = keras.Model(entry, layer(entry)), X[:5, :, None]
    if keras.config.backend() == "jax":
        refused(lambda: training.predict(made, x, verbose=0), "the stateful layer 'memory'")
        assert np.abs(np.asarray(made(x)) - np.asarray(made(x))).max() > 0
        own = type("Own", (keras.Sequential,), {"train_step": lambda self, data: {}})([layer])
        training.compile(own, loss="mse")
        refused(lambda: training.fit(own, x, x, verbose=0), "train_step() takes the data alone")
    else:
        first = training.predict(made, x, verbose=0)
        assert np.abs(training.predict(made, x, verbose=0) - first).max() > 0


@step
def what_needs_tensorflow_says_so():
    from kerasbridge.data.adapting import adapt
    from kerasbridge.data.features import Features

    space = keras.utils.FeatureSpace(features={"a": "float"})
    for run in (
        lambda: adapt(space, {"a": X[:, 0]}),
        lambda: saving.export_saved_model(model(), str(FOLDER / "exported")),
        lambda: CsvSource(str(FOLDER / "rows.csv"), y="y").dataset(),
        lambda: Features.learn({"a": ["u", "v"]}).build(),
        lambda: Features.learn({"a": ["u v", "v w"]}, encoding={"a": "text"}),
    ):
        refused(run, "TensorFlow")


for name, function in STEPS.items():
    try:
        function()
        print(f"{name}: ok", flush=True)
    except Exception:
        print(f"{name}: {traceback.format_exc().strip()}", flush=True)
