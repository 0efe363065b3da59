"""Ctrl-C and errors leave a model its values on JAX, which takes them for each step."""

from __future__ import annotations

import importlib.util
import sys

import pytest

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("jax") is None, reason="the package jax is not installed"
    ),
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]

# `Press` presses Ctrl-C while the backend runs step number `at`, which has taken the values by then
_START = """
import os, signal, time
import jax, keras, numpy as np
from kerasbridge import training
from kerasbridge.training.pulling import fit_pulled, predict_pulled

class Press(keras.layers.Layer):
    at, count = None, 0
    def call(self, x):
        def run(value):
            Press.count += 1
            if Press.count == Press.at:
                os.kill(os.getpid(), signal.SIGINT)
        jax.debug.callback(run, x[0, 0])
        return x

def model():
    keras.utils.set_random_seed(3)
    Press.count, Press.at = 0, None
    made = keras.Sequential([keras.layers.Input((3,)), Press(), keras.layers.Dense(1)])
    training.compile(made, optimizer="adam", loss="mse")
    return made

def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights()))

X = np.random.default_rng(0).normal(size=(96, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
"""


def _lines(run_python, code):
    done = run_python(_START + code, timeout=120, KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_a_press_in_a_step_of_fit_ends_it_with_the_values_of_that_step(run_python):
    found = _lines(
        run_python,
        """
for at in (1, 5):
    made, plain = model(), model()
    Press.count, Press.at = 0, at
    history = training.fit(made, X, Y, epochs=9, shuffle=False, verbose=0)
    Press.at = None
    for i in range(at):
        rows = slice(i % 3 * 32, i % 3 * 32 + 32)
        plain.train_on_batch(X[rows], Y[rows])
    again = training.fit(made, X, Y, verbose=0)
    training.fit(plain, X, Y, verbose=0)
    print(history.interrupted, len(history.epoch), int(made.optimizer.iterations), len(again.epoch),
          made.train_function.__name__ == plain.train_function.__name__,
          signal.getsignal(signal.SIGINT) is signal.default_int_handler)
made, plain = model(), model()
Press.count, Press.at = 0, 5
training.fit(made, X, Y, epochs=9, shuffle=False, verbose=0)
for i in range(5):
    rows = slice(i % 3 * 32, i % 3 * 32 + 32)
    plain.train_on_batch(X[rows], Y[rows])
print(same(made, plain))
made = model()
Press.at = 5
history = fit_pulled(made, lambda: (X[:32], Y[:32]), steps_per_epoch=3, epochs=9, verbose=0)
print(history.interrupted, len(history.epoch), int(made.optimizer.iterations))
""",
    )
    assert found == ["True 0 4 1 True True", "True 1 8 1 True True", "True", "True 1 5"]


def test_a_press_or_an_error_in_evaluate_or_predict_changes_nothing(run_python):
    found = _lines(
        run_python,
        """
class Failing(keras.callbacks.Callback):
    def on_test_batch_end(self, batch, logs=None):
        raise OSError("no more data")
    on_predict_batch_end = on_test_batch_end

failing = [Failing()]
for run, press in (
    (lambda m: training.evaluate(m, X, Y, verbose=0), True),
    (lambda m: training.predict(m, X, verbose=0), True),
    (lambda m: training.test_on_batch(m, X, Y), True),
    (lambda m: training.predict_on_batch(m, X), True),
    (lambda m: predict_pulled(m, lambda: (X,), steps=3, verbose=0), True),
    (lambda m: training.evaluate(m, X, Y, verbose=0, callbacks=failing), False),
    (lambda m: training.predict(m, X, verbose=0, callbacks=failing), False),
):
    made, plain = model(), model()
    Press.at = 1 if press else None
    try:
        run(made)
    except BaseException as error:
        print(type(error).__name__, same(made, plain))
    Press.at = None
    assert np.array_equal(training.predict(made, X, verbose=0), plain.predict(X, verbose=0))
""",
    )
    assert found == ["KeyboardInterrupt True"] * 5 + ["OSError True"] * 2


def test_a_press_between_steps_and_one_while_the_step_is_traced_keep_the_values(run_python):
    found = _lines(
        run_python,
        """
class Tracing(keras.layers.Layer):
    on = False
    def call(self, x):
        if Tracing.on:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)  # longer than a press waits for the end of a step
        return x

Tracing.on = False
keras.utils.set_random_seed(3)
made = keras.Sequential([keras.layers.Input((3,)), Tracing(), keras.layers.Dense(1)])
training.compile(made, optimizer="adam", loss="mse")
before = made.get_weights()
Tracing.on = True
history = training.fit(made, X, Y, verbose=0)
Tracing.on = False
print(history.interrupted, all(map(np.array_equal, made.get_weights(), before)))


class Late(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            os.kill(os.getpid(), signal.SIGINT)

made, plain = model(), model()
history = training.fit(made, X[:32], Y[:32], batch_size=8, callbacks=[Late()], shuffle=False, verbose=0)
plain.fit(X[:32], Y[:32], batch_size=8, shuffle=False, verbose=0)
print(history.interrupted, int(made.optimizer.iterations), same(made, plain))
""",
    )
    assert found == ["True True", "True 4 True"]
