"""Whether a fit of a few steps, of a fresh model, can lose against plain Keras.

What a short fit costs is compilation. Each row is one model and a number of steps; plain Keras and the
engine go by turns, each time with a model made anew, and medians of wall and processor time are
compared (bar 0.95x). The last columns are what the choice of an engine rests on: the seconds that
XLA's compilation was expected to take, those it took, and how much faster its steps are.
`python bench/short_fits.py [name ...] [--steps 1 10 100] [--repeats 5] [--xla]`
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import keras
import training as rows  # the models of bench/training.py
from kerasbridge import training

L = keras.layers


def gru_stack():
    model = keras.Sequential(
        [L.Input((20, 8)), L.GRU(16, return_sequences=True), L.GRU(16), L.Dense(1)]
    )
    model.compile("adam", "mse")
    x = rows.RNG.normal(size=(6_400, 20, 8)).astype("float32")
    return model, x, x.sum(axis=(1, 2))[:, None]


def attention():
    entry = L.Input((16, 8))
    hidden = L.MultiHeadAttention(2, 8)(entry, entry)
    model = keras.Model(
        entry, L.Dense(1)(L.GlobalAveragePooling1D()(L.LayerNormalization()(hidden)))
    )
    model.compile("adam", "mse")
    x = rows.RNG.normal(size=(6_400, 16, 8)).astype("float32")
    return model, x, x.sum(axis=(1, 2))[:, None]


MODELS = {
    "tiny": rows.tiny,
    "mlp": rows.mlp,
    "mlp 2 hidden": rows.mlp_two_hidden,
    "lstm": rows.lstm,
    "gru stack": gru_stack,
    "attention": attention,
    "cnn": rows.cnn,
    "resnet": rows.resnet,
    "wide": rows.wide,
}
BATCH = 32


def once(ours, make, steps):
    """(seconds, processor seconds, engine) of one fit of a fresh model."""
    keras.utils.clear_session()
    model, x, y = make()
    epochs = max(1, -(-steps * BATCH // len(x)))
    count = min(len(x), steps * BATCH)
    x, y = x[:count], y[:count]
    wall, cpu = time.perf_counter(), time.process_time()
    if ours:
        engine = training.fit(model, x, y, batch_size=BATCH, epochs=epochs, verbose=0).engine
    else:
        engine = ""
        model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    return time.perf_counter() - wall, time.process_time() - cpu, engine


def xla_facts(make):
    """(expected seconds of compilation, seconds it took, pace of the graph over that of XLA)."""
    from kerasbridge.training.loops import step_loop
    from kerasbridge.training.placing import place
    from kerasbridge.training.resident import Rows, make_chooser

    keras.utils.clear_session()
    model, x, y = make()
    data = place((x[:3200], y[:3200]))
    started = time.perf_counter()
    loop = step_loop(model, "train", data)
    loop.timings["trace"] = time.perf_counter() - started
    held = Rows(data, BATCH, False, None)
    held.start_epoch()
    chooser = make_chooser(loop, held, "auto", 1)

    def seconds(xla, count=20):
        began = time.perf_counter()
        logs = loop.run(held.tensors, held.order, 0, count, BATCH, xla)
        next(iter(logs.values())).numpy()
        return time.perf_counter() - began

    seconds(False)
    graph = min(seconds(False) for _ in range(5))
    if chooser.xla_refusal:
        return chooser.compile_estimate, float("nan"), float("nan")
    took = seconds(True)
    xla = min(seconds(True) for _ in range(5))
    return chooser.compile_estimate, took - xla, graph / xla


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models, e.g. 'mlp'")
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--xla", action="store_true", help="what the choice rests on, only")
    options = parser.parse_args()
    for ours in (False, True):  # what a process pays once falls on neither
        once(ours, rows.tiny, 2)
    missed = []
    for name in options.names or MODELS:
        if options.xla:
            expected, took, gain = xla_facts(MODELS[name])
            print(
                f"{name:14} XLA expected {expected:5.1f}s took {took:5.1f}s gain {gain:5.1f}x",
                flush=True,
            )
            continue
        for steps in options.steps:
            found = {False: [], True: []}
            for repeat in range(options.repeats):
                for ours in (False, True) if repeat % 2 else (True, False):
                    found[ours].append(once(ours, MODELS[name], steps))
            wall, cpu = (
                statistics.median(one[i] for one in found[False])
                / statistics.median(one[i] for one in found[True])
                for i in (0, 1)
            )
            plain = statistics.median(one[0] for one in found[False])
            engine = found[True][-1][2]
            bad = wall < 0.95
            missed += [f"{name} {steps}"] if bad else []
            print(
                f"{name:14} {steps:5} steps  Keras {plain:6.2f}s  {wall:5.2f}x  cpu {cpu:5.2f}x  {engine}"
                + ("  MISSED" if bad else ""),
                flush=True,
            )
    print("missed: " + ", ".join(missed) if missed else "no row below 0.95x")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
