"""Batches that fit in memory: found by trying, and gradients added up to the batch that was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.errors import ArgumentError, OutOfMemoryError, UnsupportedError
from kerasbridge.training import within_memory

X = np.random.default_rng(0).normal(size=(96, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")


def model(optimizer="adam"):
    keras.utils.set_random_seed(3)
    made = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    )
    training.compile(made, optimizer=optimizer, loss="mse", metrics=["mae"])
    return made


def close(one, other):
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-5)


def greedy():
    """A model whose step asks TensorFlow for 40 TB and more where a batch has over 8 rows."""
    import tensorflow as tf

    class Greedy(keras.layers.Layer):
        def call(self, x):
            rows = tf.shape(x)[0]
            wide = tf.tile(x[:, :1, None], [1, tf.where(rows > 8, 10**9, 1), 10**4])
            return x * tf.reduce_mean(wide, axis=[1, 2])[:, None]

        def compute_output_shape(self, shape):
            return shape

    made = keras.Sequential([keras.layers.Input((3,)), Greedy(), keras.layers.Dense(1)])
    training.compile(made, optimizer="sgd", loss="mse")
    return made


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="an operation of TensorFlow")
def test_a_step_that_runs_out_is_told_and_a_smaller_one_found():
    # in a process whose allocator refuses at once: that of oneDNN waits ten seconds for memory each time
    child = subprocess.run(
        [sys.executable, "-c", "import test_training_memory_auto as t; t.run_out('keras'); t.run_out('auto')"],
        env={
            **os.environ,
            "TF_ENABLE_ONEDNN_OPTS": "0",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-3000:]


def run_out(engine):
    made = greedy()
    with pytest.raises(OutOfMemoryError, match="ran out: a float tensor of shape") as caught:
        training.fit(made, X, Y, batch_size=32, verbose=0, engine=engine)
    told = caught.value.details
    assert (told["batch_size"], told["proposed_batch_size"]) == (32, 16)
    assert told["shape"] == [32, 10**9, 10**4] and told["bytes_wanted"] == 4 * 32 * 10**13
    assert told["bytes_free"] > 0 and told["device"] == "CPU:0"
    assert 'batch_size = 16, or batch_size = "auto"' in caught.value.hint
    with pytest.raises(OutOfMemoryError, match="ran out") as caught:
        training.evaluate(made, X, Y, batch_size=32, verbose=0, engine=engine)
    assert caught.value.details["batch_size"] == 32
    with pytest.raises(OutOfMemoryError, match="ran out"):
        training.predict(made, X, batch_size=32, verbose=0, engine=engine)
    history = training.fit(made, X, Y, batch_size="auto", verbose=0, engine=engine)
    assert history.params["batch_size"] == 8 and np.isfinite(history.metrics["loss"]).all()
    assert history.notes[-1] == "Batch size 8 (the largest that fits: 16 does not fit)."


@pytest.fixture
def bounded(monkeypatch):
    """`fit` that runs out with more than 16 rows a step, after it has changed a weight."""

    def bound(made):
        real = made.fit

        def fit(*arguments, batch_size=None, **named):
            if batch_size > 16:
                made.layers[0].bias.assign([9.0] * 4)
                raise MemoryError("OOM when allocating tensor with shape[99,3] and type float")
            return real(*arguments, batch_size=batch_size, **named)

        monkeypatch.setattr(made, "fit", fit)
        return made

    return bound


def test_the_model_is_put_back_before_the_next_try(bounded, capsys):
    made, plain = bounded(model()), model()
    history = training.fit(made, X, Y, batch_size="auto", shuffle=False, engine="keras", verbose=1)
    training.fit(plain, X, Y, batch_size=16, shuffle=False, engine="keras", verbose=0)
    assert history.params["batch_size"] == history.params["effective_batch_size"] == 16
    for one, other in zip(made.get_weights(), plain.get_weights()):
        close(one, other)
    assert "Batch size 16 (the largest that fits: 32 does not fit)." in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_gradients_of_several_steps_make_the_update_of_one_batch(optimizer, engine):
    parts, whole = model(optimizer), model(optimizer)
    own = parts.optimizer
    for _ in range(2):  # the optimizer's state goes on from one fit to the next
        history = training.fit(
            parts, X, Y, batch_size=8, effective_batch_size=32, epochs=2, shuffle=False, verbose=0,
            engine=engine,
        )  # fmt: skip
        expected = training.fit(whole, X, Y, batch_size=32, epochs=2, shuffle=False, verbose=0)
    assert parts.optimizer is own
    assert int(keras.ops.convert_to_numpy(own.iterations)) == 12
    assert int(keras.ops.convert_to_numpy(whole.optimizer.iterations)) == 12
    for one, other in zip(parts.get_weights(), whole.get_weights()):
        close(one, other)
    assert history.params["batch_size"] == 8 and history.params["effective_batch_size"] == 32
    assert history.notes == ["Batch size 8; 4 steps make one update, as of 32 rows."]
    assert sorted(history.metrics) == sorted(expected.metrics)


def test_auto_keeps_the_batch_that_was_meant(bounded):
    parts, whole = bounded(model()), model()
    history = training.fit(
        parts,
        X,
        Y,
        batch_size="auto",
        effective_batch_size=48,
        shuffle=False,
        engine="keras",
        verbose=0,
    )
    training.fit(whole, X, Y, batch_size=48, shuffle=False, engine="keras", verbose=0)
    assert history.params["batch_size"] == 16
    assert "3 steps make one update, as of 48 rows" in history.notes[0]
    for one, other in zip(parts.get_weights(), whole.get_weights()):
        close(one, other)


def test_what_can_not_be_found():
    made = model()
    with pytest.raises(ArgumentError, match="no multiple of `batch_size` = 24"):
        training.fit(made, X, Y, batch_size=24, effective_batch_size=32, verbose=0)
    with pytest.raises(ArgumentError, match="known number of rows"):
        training.fit(made, iter([(X, Y)]), batch_size="auto", verbose=0)
    older = tuple(map(int, keras.__version__.split(".")[:2])) < (3, 5)
    with pytest.raises(UnsupportedError, match="needs Keras 3.5" if older else "adds gradients up"):
        adding = keras.optimizers.SGD(gradient_accumulation_steps=2)
        training.fit(model(adding), X, Y, batch_size=8, effective_batch_size=32, verbose=0)


def test_nothing_fits(monkeypatch):
    made = model()

    def fit(*arguments, **named):
        raise MemoryError(
            "Unable to allocate 1 TiB for an array with shape (9, 9) and data type float32"
        )

    monkeypatch.setattr(made, "fit", fit)
    with pytest.raises(OutOfMemoryError, match=r"batch_size = 1\)") as caught:
        training.fit(made, X, Y, batch_size="auto", engine="keras", verbose=0)
    assert caught.value.details["proposed_batch_size"] is None


def test_sizes_to_try_and_what_is_expected_to_fit(monkeypatch):
    assert within_memory._sizes("auto", None, 10**6)[:2] == [4096, 2048]
    assert within_memory._sizes("auto", None, 100) == [32, 16, 8, 4, 2, 1]
    assert within_memory._sizes("auto", None, 5) == [4, 2, 1]
    assert within_memory._sizes("auto", 48, 10**6) == [48, 24, 16, 12, 8, 6, 4, 3, 2, 1]
    made = model()
    assert within_memory._row_bytes(made) == 4 * 3 * (
        3 + 4 + 1 + 1
    )  # its input and its output are counted
    monkeypatch.setattr(within_memory.memory, "free_bytes", lambda device="CPU": 20_000)
    assert within_memory._expected_to_fit(made, 100) and not within_memory._expected_to_fit(
        made, 1000
    )
