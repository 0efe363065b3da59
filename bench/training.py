"""How much sooner the training engine is done than plain Keras.

Both run in this process on models built alike, by turns, so that whatever else the machine does
hits both; the table shows medians after a first run of each, which compiles.
`python bench/training.py [name ...] [--repeats N]` runs all rows, or those named.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "inst", "python"))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from kerasbridge import training  # noqa: E402

L = keras.layers
RNG = np.random.default_rng(0)


def table(rows=100_000, columns=10):
    x = RNG.normal(size=(rows, columns)).astype("float32")
    return x, x.sum(axis=1, keepdims=True).astype("float32")


def mlp():
    model = keras.Sequential([L.Input((10,)), L.Dense(32, activation="relu"), L.Dense(1)])
    model.compile("adam", "mse")
    return model, *table()


def mlp_two_hidden():
    model = keras.Sequential(
        [
            L.Input((10,)),
            L.Dense(32, activation="relu"),
            L.Dense(32, activation="relu"),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y = table()
    return model, x, (y > 0).astype("float32")


def mlp_dropout():
    model = keras.Sequential(
        [L.Input((10,)), L.Dense(32, activation="relu"), L.Dropout(0.3), L.Dense(1)]
    )
    model.compile("adam", "mse")
    return model, *table()


def lstm():
    model = keras.Sequential([L.Input((20, 8)), L.LSTM(32), L.Dense(1)])
    model.compile("adam", "mse")
    x = RNG.normal(size=(10_000, 20, 8)).astype("float32")
    return model, x, x.sum(axis=(1, 2))[:, None]


def cnn():
    model = keras.Sequential(
        [
            L.Input((28, 28, 1)),
            L.Conv2D(16, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(32, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = RNG.normal(size=(6_000, 28, 28, 1)).astype("float32")
    return model, x, RNG.integers(0, 10, size=6_000)


def resnet():
    entry = L.Input((32, 32, 3))
    hidden = L.Conv2D(16, 3, padding="same")(entry)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        short = L.Conv2D(filters, 1, strides=stride)(hidden)
        hidden = L.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(hidden)
        hidden = L.ReLU()(L.BatchNormalization()(hidden))
        hidden = L.Conv2D(filters, 3, padding="same", use_bias=False)(hidden)
        hidden = L.ReLU()(L.Add()([L.BatchNormalization()(hidden), short]))
    out = L.Dense(10, activation="softmax")(L.GlobalAveragePooling2D()(hidden))
    model = keras.Model(entry, out)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = RNG.normal(size=(1_600, 32, 32, 3)).astype("float32")
    return model, x, RNG.integers(0, 10, size=1_600)


def wide():
    """A step that is mostly matrix products: little to gain, nothing to lose."""
    model = keras.Sequential(
        [L.Input((512,)), L.Dense(1024, activation="relu"), L.Dense(1024, "relu"), L.Dense(10)]
    )
    model.compile("adam", "mse")
    x = RNG.normal(size=(6_000, 512)).astype("float32")
    return model, x, RNG.normal(size=(6_000, 10)).astype("float32")


def tiny():
    """150 rows, 20 epochs: what is not training counts most."""
    model = keras.Sequential([L.Input((4,)), L.Dense(8, activation="relu"), L.Dense(3)])
    model.compile("adam", "mse")
    return model, *(RNG.normal(size=(150, n)).astype("float32") for n in (4, 3))


def runner(verb, make, first, **arguments):
    """(plain, ours): functions that run once and return seconds; `first` for the first of each."""

    def build(ours):
        model, x, y = make()

        def run(**more):
            options = {**arguments, **more, "verbose": 0}
            started = time.perf_counter()
            if verb == "predict":
                result = (training.predict if ours else keras.Model.predict)(model, x, **options)
            else:
                function = getattr(training if ours else keras.Model, verb)
                result = function(model, x, y, **options)
            seconds = time.perf_counter() - started
            return seconds, getattr(result, "engine", "") if ours else ""

        run(**first)
        return run

    return build


ROWS = {
    # name: (verb, model, arguments of the first run, arguments of a timed run, bar)
    "mlp fit": ("fit", mlp, {"epochs": 1}, {"epochs": 1}, 20.0),
    "mlp 2 hidden + accuracy fit": ("fit", mlp_two_hidden, {"epochs": 1}, {"epochs": 1}, 12.0),
    "mlp dropout fit": ("fit", mlp_dropout, {"epochs": 1}, {"epochs": 1}, 0.95),
    "lstm fit": ("fit", lstm, {"epochs": 1}, {"epochs": 1}, 2.5),
    "cnn fit": ("fit", cnn, {"epochs": 1}, {"epochs": 1}, 1.1),
    "resnet fit": ("fit", resnet, {"epochs": 1}, {"epochs": 1}, 1.0),
    "wide fit": ("fit", wide, {"epochs": 1}, {"epochs": 1}, 0.95),
    "tiny fit": ("fit", tiny, {"epochs": 20}, {"epochs": 20}, 0.95),
    "mlp predict": ("predict", mlp, {}, {}, 15.0),
    "cnn predict": ("predict", cnn, {}, {}, 0.95),
    "resnet predict": ("predict", resnet, {}, {}, 0.95),
    "lstm predict": ("predict", lstm, {}, {}, 0.95),
    "mlp evaluate": ("evaluate", mlp, {}, {}, 10.0),
    "mlp 2 hidden evaluate": ("evaluate", mlp_two_hidden, {}, {}, 10.0),
    "cnn evaluate": ("evaluate", cnn, {}, {}, 0.95),
}


def measure(name, repeats):
    verb, make, first, timed, bar = ROWS[name]
    build = runner(verb, make, first, **timed)
    started = time.perf_counter()
    plain = build(False)
    first_plain = time.perf_counter() - started
    started = time.perf_counter()
    ours = build(True)
    first_ours = time.perf_counter() - started
    if verb == "fit":
        ours(epochs=10 * timed["epochs"])  # a longer habit than one epoch, as in real use
    times = {"plain": [], "ours": []}
    engine = ""
    for _ in range(repeats):
        times["plain"].append(plain()[0])
        seconds, engine = ours()
        times["ours"].append(seconds)
    a, b = (statistics.median(times[who]) for who in ("plain", "ours"))
    return a, b, a / b, bar, engine, first_plain / first_ours


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="rows to run, e.g. 'mlp fit'")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    import tensorflow as tf

    print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}, {os.cpu_count()} cores")
    print(f"{'':30} {'Keras':>9} {'ours':>9} {'ratio':>7} {'bar':>6} {'1st run':>8}  engine")
    missed = []
    for name in options.names or ROWS:
        a, b, ratio, bar, engine, first = measure(name, options.repeats)
        mark = "" if ratio >= bar else "  MISSED"
        missed += [name] if mark else []
        print(
            f"{name:30} {a:8.3f}s {b:8.3f}s {ratio:6.2f}x {bar:5.2f}x {first:7.2f}x"
            f"  {engine}{mark}",
            flush=True,
        )
        keras.utils.clear_session()
    print("every bar is met" if not missed else "missed: " + ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
