"""What a batch of a generator costs the thread that trains, on JAX: ours, plain Keras' fit and its train_on_batch.

python bench/jax_steps.py; medians of 7 runs of 1,000 batches by turns, processor time of the thread.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path

if importlib.util.find_spec("jax") is None:
    print("The package jax is not installed.")
    sys.exit(0)
os.environ["KERAS_BACKEND"] = "jax"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inst" / "python"))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from kerasbridge.training.pulling import fit_pulled  # noqa: E402

STEPS, RUNS = 1000, 7
X = np.random.default_rng(0).normal(size=(32, 10)).astype("float32")
Y = X[:, :1]


def model():
    made = keras.Sequential(
        [keras.layers.Input((10,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)]
    )
    made.compile("adam", "mse")
    return made


def batches():
    while True:
        yield X, Y


def ours(made):
    fit_pulled(made, lambda: (X, Y), STEPS, verbose=0)


def keras_fit(made):
    made.fit(batches(), steps_per_epoch=STEPS, verbose=0)


def keras_loop(made):
    for _ in range(STEPS):
        made.train_on_batch(X, Y)


ways = {run: model() for run in (ours, keras_fit, keras_loop)}
took: dict = {run: [] for run in ways}
for turn in range(RUNS + 1):
    for run, made in ways.items():
        clock, thread = time.perf_counter(), time.thread_time()
        run(made)
        if turn:  # the first one compiles
            took[run].append((time.thread_time() - thread, time.perf_counter() - clock))
for run, pairs in took.items():
    thread, clock = (1000 * statistics.median(values) / STEPS for values in zip(*pairs))
    print(
        f"{run.__name__:10} {thread:.3f} ms of the thread's time a batch, {clock:.3f} ms by the clock"
    )
