"""How much sooner the training engine is done than plain Keras.

Both run in this process on models built alike, by turns, so that whatever else the machine does
hits both. The ratio is that of the medians; two witnesses stand beside it: the ratio of the fastest
runs and that of the processor time of all threads. A first run is that of a fresh model, compilation
included; each side goes first once and its faster run counts.
`python bench/training.py [name ...] [--seconds N]` runs all rows, or those named; all of them take
about five minutes on two idle cores.
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


ROWS = {
    # name: (verb, model, epochs of a timed fit, epochs of the fit before, bar)
    "mlp fit": ("fit", mlp, 1, 10, 20.0),
    "mlp 2 hidden + accuracy fit": ("fit", mlp_two_hidden, 1, 10, 12.0),
    "mlp dropout fit": ("fit", mlp_dropout, 1, 1, 0.95),
    "lstm fit": ("fit", lstm, 1, 20, 2.5),
    "cnn fit": ("fit", cnn, 1, 1, 1.1),
    "resnet fit": ("fit", resnet, 1, 1, 1.0),
    "wide fit": ("fit", wide, 1, 1, 0.95),
    "tiny fit": ("fit", tiny, 20, 40, 0.95),
    "mlp predict": ("predict", mlp, None, None, 15.0),
    "cnn predict": ("predict", cnn, None, None, 0.95),
    "resnet predict": ("predict", resnet, None, None, 0.95),
    "lstm predict": ("predict", lstm, None, None, 0.95),
    "mlp evaluate": ("evaluate", mlp, None, None, 10.0),
    "mlp 2 hidden evaluate": ("evaluate", mlp_two_hidden, None, None, 10.0),
    "cnn evaluate": ("evaluate", cnn, None, None, 0.95),
}
FIRST = 0.95  # bar of a first run, compilation included
LEAST, MOST = 5, 40  # timed repeats of a row


class Side:
    """One model and the way it is run: by plain Keras or by the engine."""

    def __init__(self, ours, verb, make):
        self.ours, self.verb = ours, verb
        self.model, self.x, self.y = make()
        self.wall, self.cpu, self.engine = [], [], ""

    def run(self, epochs, keep=True):
        """Run once; (seconds, processor seconds)."""
        options = {"verbose": 0} if epochs is None else {"verbose": 0, "epochs": epochs}
        data = (self.x,) if self.verb == "predict" else (self.x, self.y)
        function = getattr(training if self.ours else keras.Model, self.verb)
        wall, cpu = time.perf_counter(), time.process_time()
        result = function(self.model, *data, **options)
        found = time.perf_counter() - wall, time.process_time() - cpu
        self.engine = getattr(result, "engine", "")
        if keep:
            self.wall.append(found[0])
            self.cpu.append(found[1])
        return found


def by_turns(sides, epochs, seconds):
    """Timed runs by turns, the order changing, for about so many seconds."""
    end = time.perf_counter() + seconds
    for repeat in range(MOST):
        if repeat >= LEAST and time.perf_counter() > end:
            break
        for side in sides if repeat % 2 else sides[::-1]:
            side.run(epochs)


def measure(name, seconds):
    verb, make, epochs, before, bar = ROWS[name]
    # first runs of fresh models, each side first once
    first = {True: [], False: []}
    for order in ((False, True), (True, False)):
        for ours in order:
            keras.utils.clear_session()
            side = Side(ours, verb, make)
            first[ours].append(side.run(epochs, keep=False)[0])
    sides = [Side(False, verb, make), Side(True, verb, make)]
    for side in sides:
        side.run(epochs, keep=False)
    if before:
        sides[1].run(before, keep=False)  # a longer habit than one epoch, as in real use
    by_turns(sides, epochs, seconds)
    plain, ours = sides
    ratio = statistics.median(plain.wall) / statistics.median(ours.wall)
    return {
        "plain": statistics.median(plain.wall),
        "ours": statistics.median(ours.wall),
        "ratio": ratio,
        "least": min(plain.wall) / min(ours.wall),
        "cpu": statistics.median(plain.cpu) / max(1e-6, statistics.median(ours.cpu)),
        "first": min(first[False]) / min(first[True]),
        "bar": bar,
        "engine": ours.engine,
        "repeats": len(plain.wall),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="rows to run, e.g. 'mlp fit'")
    parser.add_argument("--seconds", type=float, default=8.0, help="timed runs of a row")
    options = parser.parse_args()
    import tensorflow as tf

    # what a process pays once must not fall on whoever comes first
    for ours in (False, True):
        for verb in ("fit", "evaluate", "predict"):
            Side(ours, verb, tiny).run(1 if verb == "fit" else None)
    print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}, {os.cpu_count()} cores")
    print(
        f"{'':30} {'Keras':>9} {'ours':>9} {'ratio':>8} {'fastest':>8} {'cpu':>7} {'bar':>6} "
        f"{'1st run':>8} {'runs':>5}  engine"
    )
    missed = []
    for name in options.names or ROWS:
        r = measure(name, options.seconds)
        short = [
            word for word, bad in (("", r["ratio"] < r["bar"]), (" 1st", r["first"] < FIRST)) if bad
        ]
        missed += [name + word for word in short]
        print(
            f"{name:30} {r['plain']:8.3f}s {r['ours']:8.3f}s {r['ratio']:7.2f}x {r['least']:7.2f}x "
            f"{r['cpu']:6.2f}x {r['bar']:5.2f}x {r['first']:7.2f}x {r['repeats']:5}  {r['engine']}"
            + ("  MISSED" if short else ""),
            flush=True,
        )
        keras.utils.clear_session()
    print("every bar is met" if not missed else "missed: " + ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
