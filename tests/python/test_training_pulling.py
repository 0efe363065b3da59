"""Batches pulled one by one give what Keras' own fit gives on the same batches."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge.errors import ArgumentError, DataError, UnsupportedError
from kerasbridge.training import pulling


def table(rows=50, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype("float32")
    return x, (x.sum(axis=1, keepdims=True) > 0).astype("float32")


def small_model(**more):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", "auc"], **more)
    return model


class Rows:
    """Batches of 12 rows of 50 (the last one smaller), over and over."""

    def __init__(self, limit=None, weights=False):
        self.x, self.y = table()
        self.calls, self.limit, self.weights = 0, limit, weights

    def __call__(self):
        if self.limit is not None and self.calls >= self.limit:
            return None
        start = self.calls % 5 * 12
        self.calls += 1
        rows = slice(start, start + 12)
        weight = (np.arange(50)[rows] % 3 + 1.0,) if self.weights else ()
        return (self.x[rows], self.y[rows], *weight)


@pytest.mark.parametrize("weights", [False, True])
def test_every_epoch_equals_that_of_keras(weights):
    x, y = table()
    held = table(24, seed=5)  # batches of one size: Keras 3.0 and 3.1 take the mean over batches
    weight = np.arange(50) % 3 + 1.0 if weights else None
    theirs = small_model().fit(
        x, y, batch_size=12, epochs=3, shuffle=False, verbose=0, sample_weight=weight,
        validation_data=held,
    )  # fmt: skip
    source = Rows(weights=weights)
    ours = pulling.fit_pulled(
        small_model(), source, steps_per_epoch=5, epochs=3, verbose=0, validation_data=held
    )
    assert source.calls == 15
    assert ours.epoch == [0, 1, 2] and set(ours.metrics) == set(theirs.history)
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.metrics[name], values, rtol=1e-5, atol=1e-6)


def test_evaluation_and_prediction_equal_those_of_keras():
    x, y = table()
    model = small_model()
    theirs = model.evaluate(x, y, batch_size=12, verbose=0, return_dict=True)
    ours = pulling.evaluate_pulled(model, Rows(), 5, verbose=0)
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name] == pytest.approx(theirs[name], rel=1e-5)
    out = pulling.predict_pulled(model, Rows(), 5, verbose=0)
    np.testing.assert_allclose(out, model.predict(x, verbose=0), rtol=1e-5)


def test_validation_by_a_function_equals_that_by_arrays():
    by_function = pulling.fit_pulled(
        small_model(), Rows(), 5, epochs=2, verbose=0, validation_data=Rows(), validation_steps=5
    )
    by_arrays = pulling.fit_pulled(
        small_model(), Rows(), 5, epochs=2, verbose=0, validation_data=table()
    )
    np.testing.assert_allclose(
        by_function.metrics["val_loss"], by_arrays.metrics["val_loss"], rtol=1e-5
    )
    with pytest.raises(ArgumentError, match="validation_steps"):
        pulling.fit_pulled(small_model(), Rows(), 5, verbose=0, validation_data=Rows())
    with pytest.raises(DataError, match="ended after 2 batches; 5"):
        pulling.fit_pulled(
            small_model(), Rows(), 5, verbose=0, validation_data=Rows(2), validation_steps=5
        )


def test_class_weights_equal_those_of_keras():
    x, y = table()
    weights = {0: 1.0, 1: 4.0}
    theirs = small_model().fit(
        x, y, batch_size=12, epochs=2, shuffle=False, verbose=0, class_weight=weights
    )
    ours = pulling.fit_pulled(
        small_model(), Rows(), 5, epochs=2, verbose=0, class_weight={"0": 1.0, "1": 4.0}
    )
    np.testing.assert_allclose(ours.metrics["loss"], theirs.history["loss"], rtol=1e-5)


def test_callbacks_run_in_keras_order_and_can_stop():
    seen = []

    class Log(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs)))
            self.model.stop_training = epoch == 1

        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

        def on_train_end(self, logs=None):
            seen.append("end")

    source = Rows()
    history = pulling.fit_pulled(small_model(), source, 2, epochs=9, verbose=0, callbacks=[Log()])
    names = ["accuracy", "auc", "loss"]
    assert seen == [0, 1, (0, names), 0, 1, (1, names), "end"]
    assert source.calls == 4 and history.epoch == [0, 1]


def test_a_generator_that_ends_says_so():
    source = Rows(limit=7)
    history = pulling.fit_pulled(small_model(), source, 5, epochs=3, verbose=0)
    assert history.params["ended"] == (
        "The generator ended after 7 batches; 15 were asked for (3 epochs of 5 steps)."
    )
    assert history.epoch == [0, 1]
    with pytest.raises(DataError, match="no batch at all"):
        pulling.fit_pulled(small_model(), Rows(limit=0), 5, verbose=0)
    with pytest.raises(DataError, match="after 3 batches; 5"):
        pulling.predict_pulled(small_model(), Rows(limit=3), 5, verbose=0)
    with pytest.raises(DataError, match="after 3 batches; 5"):
        pulling.evaluate_pulled(small_model(), Rows(limit=3), 5, verbose=0)


def second(batch):
    batches = iter([Rows()(), batch])
    return lambda: next(batches)


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        ((np.zeros((3, 5)), np.zeros((3, 1))), r"Batch 2 .*`x` has shape \(3, 5\).*rows, 4"),
        ((np.zeros((3, 4)), np.zeros((2, 1))), r"Batch 2 .*`x` has 3 rows, `y` 2"),
        ((np.zeros((3, 4)), np.zeros((3, 1, 1))), r"Batch 2 .*`y` has 3 axes"),
        ((np.zeros((3, 4)),), r"Batch 2 .*parts x; the first batch had x, y"),
        ((np.zeros((0, 4)), np.zeros((0, 1))), r"Batch 2 .*no rows"),
        ((np.zeros((3, 4)), "a"), r"Batch 2 .*`y` is not an array"),
    ],
)
def test_a_wrong_batch_is_named(batch, text):
    with pytest.raises(DataError, match=text):
        pulling.fit_pulled(small_model(), second(batch), 2, verbose=0)


def test_dropped_axes_come_back():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = pulling.fit_pulled(model, lambda: (np.ones(6), np.ones(6)), 2, verbose=0)
    assert np.isfinite(history.metrics["loss"]).all()
    x, y = table()
    pulling.fit_pulled(small_model(), lambda: (x[3], y[3]), 2, verbose=0)


def test_what_can_not_work_is_refused_before_the_first_batch():
    source = Rows()
    with pytest.raises(UnsupportedError, match="steps_per_execution"):
        pulling.fit_pulled(small_model(steps_per_execution=2), source, 2, verbose=0)
    with pytest.raises(ArgumentError, match="steps_per_epoch"):
        pulling.fit_pulled(small_model(), source, None, verbose=0)
    assert source.calls == 0
