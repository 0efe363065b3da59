"""Batches made beside the step: which way steps run, in what order things happen, how they end."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
from kerasbridge.errors import DataError
from kerasbridge.runtime import threads
from kerasbridge.training import overlap, pulling

TENSORFLOW = keras.config.backend() == "tensorflow"


def small_model(**more):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **more)
    return model


def source(calls=None, rows=lambda i: 4, fail_at=None):
    count = 0

    def pull():
        nonlocal count
        count += 1
        if calls is not None:
            calls.append((count, threading.get_ident()))
        if count == fail_at:
            raise DataError("out of petrol")
        rng = np.random.default_rng(count)
        x = rng.normal(size=(rows(count), 2)).astype("float32")
        return x, x.sum(axis=1, keepdims=True)

    return pull


class EveryBatch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, threading.get_ident(), logs["loss"]))


def test_a_loop_over_a_queue_and_single_steps_give_the_same():
    calls, every = [], EveryBatch()
    looped = small_model()
    one = pulling.fit_pulled(looped, source(calls), 6, epochs=2, verbose=0)
    single = small_model()
    two = pulling.fit_pulled(single, source(), 6, epochs=2, verbose=0, callbacks=[every])
    assert (one.engine, two.engine) == ("graph" if TENSORFLOW else "keras", "keras")
    assert two.engine_reason == "single steps: a callback wants every batch"
    np.testing.assert_allclose(one.metrics["loss"], two.metrics["loss"], rtol=1e-5)
    for a, b in zip(looped.get_weights(), single.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    main = threading.main_thread().ident
    assert calls == [(i, main) for i in range(1, 13)]
    assert [(batch, thread) for batch, thread, _ in every.seen] == 2 * [(i, main) for i in range(6)]


@pytest.mark.parametrize("every", [False, True])
def test_an_error_comes_after_the_steps_before_it(every):
    callbacks = [EveryBatch()] if every else []
    model = small_model()
    with pytest.raises(DataError, match="out of petrol"):
        pulling.fit_pulled(model, source(fail_at=5), 9, verbose=0, callbacks=callbacks)
    whole = small_model()
    pulling.fit_pulled(whole, source(), 4, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], whole.get_weights()[0], rtol=1e-5)
    assert not threads.busy()


def test_no_more_batches_wait_than_asked_for():
    ahead = []

    class Slow(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            ahead.append(calls[-1][0] - batch)

    calls: list = []
    pulling.fit_pulled(
        small_model(), source(calls), 30, verbose=0, callbacks=[Slow()], max_queue_size=2
    )
    assert len(calls) == 30
    assert max(ahead) <= 3  # the batch of the step itself, and two


def test_batches_that_change_their_form_go_on_singly():
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.GlobalAveragePooling1D()])
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    lengths = iter([3, 3, 5, 4, 7, 7])

    def pull():
        x = np.ones((2, next(lengths), 2), "float32")
        return x, np.ones((2, 1), "float32")

    history = pulling.fit_pulled(model, pull, 6, verbose=0)
    assert np.isfinite(history.metrics["loss"]).all()
    why = "the batches differ in form" if TENSORFLOW else "the step can't leave its thread"
    assert history.engine_reason == f"single steps: {why}"


@pytest.mark.skipif(not TENSORFLOW, reason="the steps of other backends stay on their thread")
def test_a_step_runs_while_the_next_batch_is_made():
    """The step of this model waits in the backend's own code, as on a graphics card."""
    import tensorflow as tf

    endless = tf.data.Dataset.range(1 << 40)
    slow = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(endless),
        sleep_microseconds=tf.constant(60_000, tf.int64),
        output_types=[tf.int64],
        output_shapes=[tf.TensorShape([])],
    )
    waits = iter(tf.data.experimental.from_variant(slow, endless.element_spec))

    class Waiting(keras.Sequential):
        def train_step(self, data):
            x, y = data[:2]
            return super().train_step((x + 0.0 * tf.cast(next(waits), tf.float32), y))

    model = Waiting([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    plain = source()
    pulling.fit_pulled(model, plain, 2, verbose=0)
    for callbacks in ([], [EveryBatch()]):
        pulling.fit_pulled(model, plain, 2, verbose=0, callbacks=callbacks)
        before = int(model.optimizer.iterations.numpy())
        unfinished = []

        def pull():
            done = int(model.optimizer.iterations.numpy()) - before  # noqa: B023
            unfinished.append(len(unfinished) - done)  # noqa: B023
            return plain()

        pulling.fit_pulled(model, pull, 6, verbose=0, callbacks=callbacks)
        assert unfinished[0] == 0 and max(unfinished) > 0


def test_kinds_become_free_on_the_axes_that_differ():
    kinds = overlap._Kinds()
    batch = lambda *shape: overlap._kind_of((np.ones(shape), {"a": np.ones(shape[0])}, None))  # noqa: E731
    kinds.add(batch(4, 2))
    assert batch(4, 2) in kinds and batch(3, 2) not in kinds
    kinds.add(batch(3, 2))
    assert batch(9, 2) in kinds and batch(9, 3) not in kinds
    kinds.add(batch(3, 5))
    assert batch(1, 1) in kinds
    assert overlap._kind_of((np.ones((3, 2)), None, None)) not in kinds
