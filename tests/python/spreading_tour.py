"""Training on several virtual processors against one, in one process: a line "name: outcome" each.

Run with KERAS_BACKEND set to tensorflow or jax; arguments name some of the steps.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
import traceback
from pathlib import Path

if os.environ["KERAS_BACKEND"] == "jax":
    sys.modules["tensorflow"] = None  # JAX has to do without it

from kerasbridge.runtime import device_settings, devices, spreading, starting

device_settings.configure(virtual=4)
keras = starting.start(by="the tour")

import numpy as np  # noqa: E402
from kerasbridge import training  # noqa: E402
from kerasbridge.data.sources import (  # noqa: E402
    CsvSource,
    FunctionSource,
    Hdf5Source,
    ImageSource,
    NpySource,
    ParquetSource,
    TextSource,
    TimeseriesSource,
)
from kerasbridge.errors import ArgumentError, TooLateError, UnsupportedError  # noqa: E402
from kerasbridge.runtime.keras_version import keras_before  # noqa: E402
from kerasbridge.training.pulling import evaluate_pulled, fit_pulled, predict_pulled  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")
STEPS = {}


def step(function):
    STEPS[function.__name__] = function
    return function


@contextlib.contextmanager
def on(count, **options):
    """Models of the block are on `count` devices; JAX trains inside, too."""
    if count == 1:
        yield
        return
    spread = spreading.Spread(count, **options)
    spread.enter()
    try:
        yield
    finally:
        spread.leave()


def model(*more, optimizer="adam"):
    keras.utils.set_random_seed(3)
    made = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Dense(4, "relu", kernel_regularizer="l2"),
            *more,
            keras.layers.Dense(1),
        ]
    )
    training.compile(made, optimizer=optimizer, loss="mse", metrics=["mae"])
    return made


def close(one, other):
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-5)


def equal_runs(run, counts=(2, 4)):
    """`run(count)` gives a history or metrics, and weights: the same on each number of devices."""
    reported, weights = run(1)
    for count in counts:
        other, others = run(count)
        assert sorted(other) == sorted(reported)
        for name, values in reported.items():
            close(other[name], values)
        for a, b in zip(others, weights):
            close(a, b)


@step
def the_devices_are_there():
    names = [row["device"] for row in devices.running()]
    assert names == [f"CPU:{i}" for i in range(4)], names
    assert spreading.chosen("all") == ["cpu:0", "cpu:1", "cpu:2", "cpu:3"]
    for wrong in (9, 0, ["gpu:0"], ["cpu:0", "cpu:0"]):
        try:
            spreading.chosen(wrong)
        except ArgumentError as error:
            assert "devices" in str(error)
        else:
            raise AssertionError(wrong)


@step
def a_setting_that_is_late_names_the_start():
    try:
        device_settings.configure(virtual=2)
    except TooLateError as error:
        assert "started by the tour" in error.message and error.argument == "virtual"
    else:
        raise AssertionError("it went through")
    assert device_settings.configure(virtual=4)["virtual"] == 4  # nothing changes


@step
def arrays_of_any_length():
    for rows in (96, 75, 65) if keras.config.backend() == "tensorflow" else (96, 75):

        def run(count, rows=rows):
            with on(count):
                made = model()
                history = training.fit(
                    made, X[:rows], Y[:rows], epochs=2, verbose=0, shuffle=False,
                    validation_data=(X[: rows // 4], Y[: rows // 4]),
                )  # fmt: skip
                scores = training.evaluate(made, X[:rows], Y[:rows], verbose=0)
                predicted = training.predict(made, X[:rows], verbose=0)
            assert predicted.shape == (rows, 1)
            return {**history.metrics, **scores}, [*made.get_weights(), predicted]

        equal_runs(run, (4,) if rows == 96 else (2, 4))


@step
def uneven_batches_of_every_kind():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            rows = slice(index * 31, index * 31 + 31)
            return X[:70][rows], Y[:70][rows], np.arange(1, 71, dtype="float32")[rows]

    source = FunctionSource(lambda i: (X[i], Y[i]), 65)
    cases = [
        ({"x": Batches(workers=1)}, {"validation_data": source}),
        ({"x": X[:64], "y": Y[:64], "batch_size": 31}, {"validation_split": 0.1}),
    ]

    def run(some):
        distribution = keras.distribution.distribution()
        given = vars(distribution).copy() if distribution is not None else None
        made = model(keras.layers.BatchNormalization())
        reported = {}
        for at, (data, more) in enumerate(some):
            history = training.fit(made, **data, **more, shuffle=False, verbose=0)
            reported.update({f"{name} {at}": value for name, value in history.metrics.items()})
        scores = training.evaluate(made, **some[0][0], verbose=0)
        outputs = [training.predict(made, x, verbose=0) for x in (X[:65], some[0][0]["x"])]
        assert len(outputs[0]) == 65 and len(outputs[1]) == (70 if some is cases else 64)
        assert distribution is None or vars(distribution) == given
        return {**reported, **scores}, [*made.get_weights(), *outputs]

    def inside(count):
        with on(count):
            return run(cases)

    def with_keras_own(count):
        if count == 1:
            return run(cases[1:2])
        names = [f"cpu:{number}" for number in range(count)]
        with keras.distribution.DataParallel(devices=names).scope():
            return run(cases[1:2])

    if keras.config.backend() == "jax":
        equal_runs(inside, (4,))
        equal_runs(with_keras_own, (2,))
        with on(2), spreading.any_rows((65, 64)):  # what can be cut is cut
            distribution = keras.distribution.distribution()
            for rows, mine in ((64, 32), (33, 33)):
                layout = distribution.get_data_layout((rows, 3))
                whole = keras.distribution.distribute_tensor(X[:rows], layout)
                for batch in (spreading.cut((whole, None)), *spreading.cut(iter([(whole, None)]))):
                    shards = batch[0].addressable_shards
                    assert [len(one.data) for one in shards] == [mine, mine] and batch[1] is None


@step
def shuffled_rows_and_class_weights():
    def run(count):
        labels = (Y[:, 0] > 0).astype("int64")
        with on(count):
            keras.utils.set_random_seed(3)
            made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, "softmax")])
            training.compile(made, optimizer="sgd", loss="sparse_categorical_crossentropy")
            keras.utils.set_random_seed(4)
            history = training.fit(
                made, X, labels, class_weight={0: 1, 1: 5}, verbose=0, epochs=2, engine="keras"
            )
        return history.metrics, made.get_weights()

    equal_runs(run, (2,))


@step
def a_function_makes_batches():
    def run(count):
        at = [0]

        def pull():
            at[0] += 1
            return X[: 33 - at[0]], Y[: 33 - at[0]]

        with on(count):
            made = model()
            history = fit_pulled(
                made, pull, 3, epochs=2, verbose=0, validation_data=pull, validation_steps=1
            )
            at[0] = 0
            scores = evaluate_pulled(made, pull, 2, verbose=0)
            at[0] = 0
            predicted = predict_pulled(made, pull, 2, verbose=0)
        assert predicted.shape == (63, 1)
        return {**history.metrics, **scores}, [*made.get_weights(), predicted]

    equal_runs(run, (2,))


@step
def targets_with_and_without_their_last_axis():
    def run(count):
        with on(count):
            made = model()
            first = training.fit(made, X, Y[:, 0], verbose=0, shuffle=False).metrics
            fit_pulled(made, lambda: (X[:32], Y[:32]), 2, verbose=0)
            last = training.fit(made, X, Y[:, 0], verbose=0, shuffle=False).metrics
            scores = training.evaluate(made, X, Y[:, 0], verbose=0)
        return {**scores, "first": first["loss"], "last": last["loss"]}, made.get_weights()

    equal_runs(run, (2,))


def files_of(rows):
    """Sources of the same `rows` rows by format, each with the layers that take it."""
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    folder = Path(tempfile.mkdtemp())
    x, y = X[:rows], Y[:rows]
    table = np.concatenate([x, y], axis=1)
    np.savetxt(folder / "rows.csv", table, delimiter=",", header="a,b,c,y", comments="")
    columns = dict(zip("abcy", table.T))
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=20)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    with h5py.File(folder / "rows.h5", "w") as file:
        file["x"], file["y"] = x, y
    for row in range(rows):
        kind = folder / "images" / f"class{row % 2}"
        kind.mkdir(parents=True, exist_ok=True)
        pixels = (np.arange(48).reshape(4, 4, 3) * (row + 1) % 256).astype("uint8")
        Image.fromarray(pixels).save(kind / f"{row:02}.png")
    (folder / "texts").mkdir()
    texts = [str(folder / "texts" / f"{row:02}.txt") for row in range(rows)]
    for row, file in enumerate(texts):
        Path(file).write_text("ab"[row % 2] * (1 + row % 5))
    flat = [keras.layers.Flatten(), keras.layers.Dense(1)]
    made = {
        "csv": (CsvSource, [str(folder / "rows.csv")], {"y": "y"}, (3,)),
        "parquet": (ParquetSource, [str(folder / "rows.parquet")], {"y": "y"}, (3,)),
        "npy": (NpySource, [str(folder / "x.npy"), str(folder / "y.npy")], {}, (3,)),
        "hdf5": (Hdf5Source, [str(folder / "rows.h5")], {"y": "y"}, (3,)),
        "function": (FunctionSource, [lambda i: (x[i], y[i]), rows], {}, (3,)),
        "timeseries": (
            TimeseriesSource, [np.concatenate([x, x[:3]]), y], {"sequence_length": 4}, (4, 3),
        ),
        "images": (
            ImageSource, [str(folder / "images")], {"target_size": (4, 4), "rescale": 1 / 255},
            (4, 4, 3),
        ),
    }  # fmt: skip
    if keras.config.backend() == "jax":  # all go one way there: some of each kind are enough
        made = {name: made[name] for name in ("csv", "hdf5", "images")}
    else:
        words = keras.layers.TextVectorization(output_sequence_length=3, split="character")
        words.adapt(["ab"])
        options = {"labels": np.arange(rows) % 2, "vectorize": words}
        made["text"] = (TextSource, [texts], options, (3,))
    for name, (source, given, options, shape) in made.items():
        middle = [keras.layers.Dense(4, "relu"), *flat]
        yield (
            name,
            functools.partial(source, *given, **options, batch_size=32, seed=5),
            shape,
            middle,
        )


@step
def every_source_in_its_random_order():
    rows = 75
    for name, make, shape, layers in files_of(rows):

        def run(count, make=make, shape=shape, layers=layers):
            with on(count):
                keras.utils.set_random_seed(3)
                again = [type(layer).from_config(layer.get_config()) for layer in layers]
                made = keras.Sequential([keras.layers.Input(shape), *again])
                training.compile(made, optimizer="adam", loss="mse")
                source = make()
                assert source.samples == rows
                history = training.fit(made, source, verbose=0, epochs=2)
                predicted = training.predict(made, source, verbose=0)
            assert predicted.shape == (rows, 1)
            return history.metrics, [*made.get_weights(), predicted]

        try:
            equal_runs(run, (2,))
        except Exception as error:
            raise AssertionError(f"source of {name}") from error


@step
def evaluation_of_a_source():
    rows = 75

    def run(count):
        source = FunctionSource(lambda i: (X[i], Y[i]), rows, batch_size=32, seed=5)
        with on(count):
            made = model()
            scores = training.evaluate(made, source, verbose=0)
            history = training.fit(made, source, validation_data=source, verbose=0)
        return {**history.metrics, **scores}, made.get_weights()

    equal_runs(run, (2,))


@step
def one_batch():
    def run(count):
        with on(count):
            made = model()
            logs = training.train_on_batch(made, X, Y)
            more = training.test_on_batch(made, X, Y)
            shape = np.shape(training.predict_on_batch(made, X))
        assert shape == (96, 1)
        return {"first": logs["loss"], "second": more["loss"]}, made.get_weights()

    equal_runs(run, (2,))
    old = keras.config.backend() == "jax" and keras_before(3, 15)
    with on(2):
        try:
            assert spreading.weights_on_devices([Y, None], None) is None and not old
        except UnsupportedError as error:
            assert old and "Keras 3.15" in error.hint and error.argument == "y"


@step
def statistics_of_batches_stay_finite():
    with on(4):
        made = model(keras.layers.BatchNormalization())
        rows = 65
        history = training.fit(made, X[:rows], Y[:rows], epochs=1, verbose=0)
    assert np.isfinite(history.metrics["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in made.get_weights())


@step
def weights_cut_over_devices():
    if keras.config.backend() != "jax":
        return

    def run(count):
        options = {"layout": {".*dense.*kernel": [None, "model"]}} if count > 1 else {}
        keras.backend.clear_session()
        with on(count, **options):
            keras.utils.set_random_seed(3)
            made = keras.Sequential(
                [keras.layers.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4)]
            )
            training.compile(made, optimizer="adam", loss="mse")
            history = training.fit(made, X, np.tile(Y, 4), epochs=2, verbose=0, shuffle=False)
            sharding = str(made.layers[0].kernel.value.sharding)
        assert count == 1 or "model" in sharding, sharding
        return history.metrics, made.get_weights()

    equal_runs(run)


if __name__ == "__main__":
    assert keras.config.backend() == os.environ["KERAS_BACKEND"]
    for name in sys.argv[1:] or STEPS:
        try:
            STEPS[name]()
            print(f"{name}: ok", flush=True)
        except Exception:
            print(f"{name}: {traceback.format_exc().strip()}", flush=True)
    # JAX 0.6 hung while the interpreter shut down after work on several devices (seen 2026-11-25)
    sys.stdout.flush()
    os._exit(0)
