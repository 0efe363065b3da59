"""Shapes that don't fit are named before anything runs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge.errors import DataError
from kerasbridge.training import evaluate, fit, predict


def dense(units=2, features=3, loss="mse"):
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(units)])
    model.compile("sgd", loss)
    return model


def test_x_of_another_width_is_refused():
    model = dense()
    with pytest.raises(DataError, match=r"`x` has shape \(4, 5\); the model takes \(any, 3\)"):
        predict(model, np.zeros((4, 5)), verbose=0)
    with pytest.raises(DataError, match="`x` has shape"):
        fit(model, np.zeros((4, 5)), np.zeros((4, 2)), verbose=0)


def test_a_missing_axis_is_pointed_out():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    with pytest.raises(DataError, match="the model takes") as info:
        predict(model, np.zeros((4, 8)), verbose=0)
    assert info.value.argument == "x"
    with pytest.raises(DataError) as info:
        predict(dense(), np.zeros(3), verbose=0)
    assert "batch of one" in info.value.hint
    # Keras adds a single last axis by itself
    assert predict(model, np.zeros((4, 8, 8)), verbose=0).shape == (4, 64)


def test_y_of_another_width_is_refused():
    model = dense(units=2)
    with pytest.raises(DataError, match=r"`y` has shape \(4, 3\); the model gives \(any, 2\)"):
        fit(model, np.zeros((4, 3)), np.zeros((4, 3)), verbose=0)
    with pytest.raises(DataError) as info:
        evaluate(
            dense(3, loss="categorical_crossentropy"), np.zeros((4, 3)), np.zeros(4), verbose=0
        )
    assert "sparse_categorical_crossentropy" in info.value.hint


def test_several_inputs_are_matched_by_name_and_number():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], keras.layers.Concatenate()([a, b]))
    x, y = np.zeros((4, 2)), np.zeros((4, 3))
    assert predict(model, [x, y], verbose=0).shape == (4, 5)
    assert predict(model, {"b": y, "a": x}, verbose=0).shape == (4, 5)
    with pytest.raises(DataError, match="one array; the model has 2 inputs"):
        predict(model, x, verbose=0)
    with pytest.raises(DataError, match="has 1 part; the model has 2 inputs"):
        predict(model, [x], verbose=0)
    with pytest.raises(DataError, match=r"`x\['b'\]` has shape"):
        predict(model, {"a": x, "b": x}, verbose=0)
    with pytest.raises(DataError, match="lacks the input 'b'.\nexpected +got"):
        predict(model, {"a": x}, verbose=0)
    with pytest.raises(
        DataError, match=r"inputs 'a', 'b'.\nexpected +got\na \(any, 2\) float32 +c"
    ):
        predict(model, {"c": x, "d": y}, verbose=0)


def test_custom_losses_are_left_alone():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", lambda y_true, y_pred: keras.ops.mean(y_pred) + 0 * keras.ops.mean(y_true))
    fit(model, np.zeros((4, 3)), np.zeros((4, 7)), verbose=0)
