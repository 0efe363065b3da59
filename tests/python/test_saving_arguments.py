"""Arguments of losses and metrics that Keras' own configurations leave out."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
from kerasbridge.saving import load_model, save_model
from kerasbridge.saving.architecture import model_from_json, model_to_json
from kerasbridge.saving.arguments import arguments_kept, left_out
from kerasbridge.saving.configs import from_config, get_config
from kerasbridge.saving.models import model_from_bytes, model_to_bytes

X = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
Y = X[:, :2] * 3


def compiled(loss, metrics):
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="out")])
    model.compile("sgd", loss, metrics=metrics)
    return model


def numbers(model):
    return model.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("reader", [load_model, keras.saving.load_model])
def test_a_file_keeps_what_a_loss_was_made_with(tmp_path, ending, reader):
    metric = keras.metrics.CosineSimilarity(axis=0, name="cosine")
    model = compiled(keras.losses.Huber(0.3), [metric])
    path = str(tmp_path / f"m{ending}")
    save_model(model, path)
    np.testing.assert_allclose(numbers(reader(path)), numbers(model), rtol=1e-6)
    assert "get_config" not in vars(model.loss) and "get_config" not in vars(metric)
    # the numbers depend on what would be lost
    assert abs(numbers(compiled(keras.losses.Huber(), [metric]))[0] - numbers(model)[0]) > 0.01


def test_losses_by_output_and_a_loss_in_two_places(tmp_path):
    inputs = keras.Input((3,))
    dense = keras.layers.Dense
    model = keras.Model(inputs, {"a": dense(2, name="a")(inputs), "b": dense(2, name="b")(inputs)})
    huber = keras.losses.Huber(0.2)
    model.compile("sgd", {"a": huber, "b": huber})
    save_model(model, tmp_path / "m.keras")
    back = load_model(tmp_path / "m.keras")
    assert [left_out(loss) for loss in back.loss.values()] == [{"delta": 0.2}] * 2
    assert "get_config" not in vars(huber)


def test_json_and_configurations_keep_them_too():
    model = compiled(keras.losses.CosineSimilarity(axis=0), [])
    assert '"axis": 0' in model_to_json(model)
    assert left_out(model_from_json(model_to_json(model)).loss) == {"axis": 0}
    told = get_config(keras.losses.Huber(0.3))
    assert told["config"]["delta"] == 0.3
    again = from_config(told["config"], told["serialized"])
    assert from_config(told).get_config() == again.get_config()
    assert float(again(np.zeros((1, 1)), np.full((1, 1), 10.0))) == pytest.approx(0.3 * (10 - 0.15))


def test_nothing_else_changes():
    for loss in (
        keras.losses.MeanSquaredError(),
        keras.losses.BinaryCrossentropy(True),
        "mse",
        None,
    ):
        before = loss.get_config() if isinstance(loss, keras.Loss) else None
        with arguments_kept(loss):
            assert left_out(loss) == {}
            assert before is None or loss.get_config() == before

    class Mine(keras.losses.Loss):
        def __init__(self, width, name="mine"):
            super().__init__(name=name)
            self._fn_kwargs = {"width": width}

        def call(self, y_true, y_pred):
            return y_pred

    assert "width" in inspect.signature(Mine).parameters and left_out(Mine(2)) == {}


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_file_keeps_how_the_results_of_a_dense_layer_are_regularized(tmp_path, ending):
    dense = keras.layers.Dense(2, activity_regularizer=keras.regularizers.L2(0.5), name="inner")
    inner = keras.Sequential([keras.Input((3,)), dense])
    model = keras.Sequential([keras.Input((3,)), inner])
    model.compile("sgd", "mse")
    save_model(model, tmp_path / f"m{ending}")
    assert "get_config" not in vars(dense)
    back = load_model(tmp_path / f"m{ending}")
    assert back.layers[0].layers[0].activity_regularizer.get_config() == {"l2": 0.5}
    np.testing.assert_allclose(numbers(back), numbers(model), rtol=1e-6)
    again = model_from_bytes(model_to_bytes(compiled(keras.losses.Huber(0.3), [])))
    assert left_out(again.loss) == {"delta": 0.3}
