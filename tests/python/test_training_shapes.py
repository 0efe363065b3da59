"""Shapes that don't fit are named before anything runs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.errors import DataError, UnsupportedError
from kerasbridge.training import evaluate, fit, predict, pulling


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
    with pytest.raises(
        DataError, match=r"`y` has shape \(4, 3\); the output '.*' gives \(any, 2\)"
    ):
        fit(model, np.zeros((4, 3)), np.zeros((4, 3)), verbose=0)
    with pytest.raises(DataError) as info:
        evaluate(
            dense(3, loss="categorical_crossentropy"), np.zeros((4, 3)), np.zeros(4), verbose=0
        )
    assert "sparse_categorical_crossentropy" in info.value.hint


def test_columns_that_one_unit_would_be_trained_on_at_once_are_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="price")])
    model.compile("sgd", "mse")
    x, two, one = np.zeros((4, 3)), np.zeros((4, 2)), np.zeros((4, 1))
    told = r"`y` has shape \(4, 2\); the output 'price' gives \(any, 1\) for the loss 'mse'"
    for verb in (fit, evaluate):
        with pytest.raises(DataError, match=told) as info:
            verb(model, x, two, verbose=0)
        assert "the last layer 2 units" in info.value.hint
        assert info.value.details == {"given": [4, 2], "expected": [None, 1]}
    with pytest.raises(DataError, match=r"`validation_data\[1\]` has shape \(4, 2\)"):
        fit(model, x, one, validation_data=(x, two), verbose=0)
    assert fit(model, x, one[:, 0], validation_data=(x, one), verbose=0).metrics["loss"] == [0]
    # one target for several units is repeated, as Keras does; classes are not
    assert fit(dense(units=2), x, one, verbose=0).epoch == [0]
    with pytest.raises(DataError, match=r"\(4, 1\).*'binary_crossentropy'"):
        fit(dense(units=2, loss="binary_crossentropy"), x, one, verbose=0)


def test_targets_of_several_outputs_are_checked_by_their_names():
    entry = keras.Input((3,))
    outputs = [keras.layers.Dense(1, name="a")(entry), keras.layers.Dense(2, name="b")(entry)]
    x, one, two = np.zeros((4, 3)), np.zeros((4, 1)), np.zeros((4, 2))

    def model(loss):
        made = keras.Model(entry, outputs)
        made.compile("sgd", loss)
        return made

    for loss in ("mse", ["mse", "mae"], {"b": "mae", "a": "mse"}):
        assert fit(model(loss), x, [one, two], verbose=0).epoch == [0]
        with pytest.raises(DataError, match=r"`y\[0\]` has shape \(4, 2\); the output 'a'"):
            fit(model(loss), x, [two, two], verbose=0)
    with pytest.raises(DataError, match=r"`y\['a'\]` has shape \(4, 2\); the output 'a'"):
        fit(model("mse"), x, {"b": two, "a": two}, verbose=0)
    own = {"a": lambda t, p: keras.ops.mean(t) + keras.ops.mean(p), "b": "mse"}
    assert fit(model(own), x, [two, two], verbose=0).epoch == [0]


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


def stateful(size=5):
    entry = keras.Input(batch_shape=(size, 3, 2))
    model = keras.Model(entry, keras.layers.Dense(1)(keras.layers.GRU(4, stateful=True)(entry)))
    model.compile("sgd", "mse")
    return model


def test_a_fixed_batch_is_taken_and_what_does_not_go_into_it_refused():
    model = stateful()
    x, y = np.ones((20, 3, 2), "float32"), np.ones((20, 1), "float32")
    if keras.config.backend() == "torch":
        for run in (training.fit, training.train_on_batch):
            with pytest.raises(UnsupportedError, match="on PyTorch can't train .* layer 'gru"):
                run(model, x[:5], y[:5])
        model.layers[1].stateful = False
    if keras.config.backend() == "jax":
        rows = lambda: (x[:5], y[:5])  # noqa: E731
        for verb, run in (
            ("fit", lambda: training.fit(model, x, y, verbose=0)),
            ("evaluate", lambda: training.evaluate(model, x, y, verbose=0)),
            ("predict", lambda: training.predict(model, x, verbose=0)),
            ("fit", lambda: pulling.fit_pulled(model, rows, 2, verbose=0)),
            ("evaluate", lambda: pulling.evaluate_pulled(model, rows, 2, verbose=0)),
            ("predict", lambda: pulling.predict_pulled(model, rows, 2, verbose=0)),
            ("train_on_batch", lambda: training.train_on_batch(model, *rows())),
            ("test_on_batch", lambda: training.test_on_batch(model, *rows())),
            ("predict_on_batch", lambda: training.predict_on_batch(model, x[:5])),
        ):
            with pytest.raises(
                UnsupportedError, match=f"`{verb}` on JAX begins .* layer 'gru"
            ) as e:
                run()
            assert "model(x), keeps its state" in e.value.hint
        model.layers[1].stateful = False
    history = training.fit(model, x, y, epochs=1, shuffle=False, verbose=0)
    assert (history.params["batch_size"], history.params["steps"]) == (5, 4)
    assert training.predict(model, x, verbose=0).shape == (20, 1)
    assert set(training.evaluate(model, x, y, verbose=0)) == {"loss"}
    for run in (
        lambda **a: training.fit(model, x, y, verbose=0, **a),
        lambda **a: training.evaluate(model, x, y, verbose=0, **a),
        lambda **a: training.predict(model, x, verbose=0, **a),
    ):
        with pytest.raises(DataError, match="`batch_size` is 4; .* batches of 5 rows"):
            run(batch_size=4)
    with pytest.raises(DataError, match="18 rows are no whole number of batches of 5") as caught:
        training.fit(model, x[:18], y[:18], verbose=0)
    assert "`fit` on 15 of them" in caught.value.hint


def test_missing_parts_are_named():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    with pytest.raises(DataError, match="`x` is missing"):
        training.fit(model, None, y, verbose=0)
    with pytest.raises(DataError, match="`x` is missing"):
        training.evaluate(model, None, y, verbose=0)
    with pytest.raises(DataError, match="`y` is missing, which the loss needs"):
        training.fit(model, x, verbose=0)
    with pytest.raises(DataError, match="`y` is missing"):
        training.evaluate(model, x, verbose=0)


def test_named_targets_are_those_of_outputs():
    entry = keras.Input((2,))
    model = keras.Model(entry, keras.layers.Dense(1, name="price")(entry))
    model.compile("sgd", "mse")
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    assert len(training.fit(model, x, {"price": y}, epochs=1, verbose=0).epoch) == 1
    with pytest.raises(DataError, match="`y` names 'out', which is no output") as caught:
        training.fit(model, x, {"out": y}, verbose=0)
    assert "'price'" in caught.value.hint


@pytest.mark.parametrize("engine", ["auto", "keras"])
def test_numbers_beyond_float32_are_refused(engine):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match="too large for float32"):
        training.fit(model, np.full((4, 2), 1e39), np.ones(4), verbose=0, engine=engine)
    with pytest.raises(DataError, match="too large for float32"):
        training.fit(model, np.ones((4, 2)), np.array([1, 2, 3, -1e39]), verbose=0, engine=engine)
    check = (np.full((4, 2), -1e39), np.ones(4))
    with pytest.raises(DataError, match="too large for float32"):
        training.fit(
            model, np.ones((4, 2)), np.ones(4), validation_data=check, verbose=0, engine=engine
        )
    weights = [np.asarray(w) for w in model.get_weights()]
    assert all(np.isfinite(w).all() for w in weights)
