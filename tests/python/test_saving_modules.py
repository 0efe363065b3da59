"""Operations in models (`x[:, 1]`, `x + 1`, `ops.mean(x)`): every format keeps them, also plain Keras' `.h5`."""

from __future__ import annotations

import copy

import keras
import numpy as np
import pytest
from keras import layers, ops
from kerasbridge.errors import FileError
from kerasbridge.saving import inspect_model, load_model, save_model
from kerasbridge.saving.architecture import load_config, save_config
from kerasbridge.saving.configs import from_config
from kerasbridge.saving.modules import operation_modules
from kerasbridge.saving.safety.names import OPERATIONS

pytestmark = pytest.mark.skipif(
    tuple(int(part) for part in keras.__version__.split(".")[:2]) < (3, 3),
    reason="Keras 3.0 itself reads no index of several axes, in any format",
)

# PyTorch takes no slice that goes backwards
BACKWARDS = slice(None, None, 2 if keras.config.backend() == "torch" else -1)


def same(one, other):
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))


def many_operations(ellipsis=True):
    """Operations that share a name with a layer or a metric, take constants, slices, axes; one model in another."""
    if keras.__version__.startswith("3.0."):
        pytest.skip("Keras 3.0 does not read the index of a slice back, and no model is repeated")
    x = keras.Input((4, 6), name="x")
    inner = keras.Model(x, layers.Dense(3)(x[:, BACKWARDS, 1:4]) * 2)
    parts = [
        inner(x),
        layers.Add()([x[:, :, :3], x[:, :, 3:] + 1.5]),
        ops.reshape(x, (-1, 8, 3)),
        ops.expand_dims(ops.mean(x, axis=(0, 2))[None, :3], 1) + x[:, :, :3] ** 2,
        ops.sum(x, axis=1, keepdims=True)[:, :, ::2],
        ops.where(x > 0.5, x, 0.0)[:, 1:, -3:] - np.arange(3, dtype="float32"),
        layers.UnitNormalization(axis=[1, 2])(ops.take(x, [0, 2, 4], axis=2)),
        layers.Attention()([x, x[:, 1:]])[:, :, :3],
        layers.TimeDistributed(layers.Dense(3))(1 / (x + 1)),
    ]
    if ellipsis:
        parts.append(x[..., None, :3][:, :, 0])
    return keras.Model(x, ops.concatenate(parts, axis=1))


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).random((2, 4, 6), "float32")


@pytest.mark.parametrize("ending", [".keras", ".h5", ".json", ".yaml"])
def test_every_format_keeps_operations(tmp_path, data, ending):
    model, path = many_operations(), str(tmp_path / f"m{ending}")
    if ending in (".keras", ".h5"):
        save_model(model, path)
        back = load_model(path)
    else:
        save_config(model, path)
        back = load_config(path)
        back.set_weights(model.get_weights())
    same(back(data), model(data))


def test_plain_keras_reads_our_h5_and_the_other_way_round(tmp_path, data):
    model = many_operations()
    model.save(tmp_path / "keras.h5")
    same(load_model(tmp_path / "keras.h5")(data), model(data))
    # Keras' reader of .h5 turns the ellipsis of an index into a value that it can't read
    model = many_operations(ellipsis=False)
    save_model(model, tmp_path / "ours.h5")
    back = keras.saving.load_model(tmp_path / "ours.h5")
    same(back(data), model(data))


def test_operations_are_no_custom_classes(tmp_path):
    many_operations().save(tmp_path / "m.h5")
    facts = inspect_model(tmp_path / "m.h5")
    assert facts["custom"] == []
    assert facts["verdict"].startswith("safe:")
    assert not set(operation_modules()) - OPERATIONS


def test_a_class_of_the_name_of_an_operation_is_still_missing(tmp_path):
    class Norm(keras.layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((2,)), Norm()]).save(tmp_path / "m.h5")
    with pytest.raises(FileError, match="class 'Norm'"):
        load_model(tmp_path / "m.h5")
    back = load_model(tmp_path / "m.h5", custom_objects={"Norm": Norm})
    assert isinstance(back.layers[0], Norm)


def test_a_functional_model_from_its_configuration_alone(data):
    model = many_operations()
    back = from_config(model.get_config())
    assert type(back) is type(model)
    back.set_weights(model.get_weights())
    same(back(data), model(data))


def test_plain_keras_compiles_what_our_h5_says_in_short_names(tmp_path):
    x = np.random.default_rng(0).random((8, 3), "float32")
    y = {"a": x[:, :1], "b": x[:, 1:2]}
    inputs = keras.Input((3,))
    outputs = {name: layers.Dense(1, "sigmoid", name=name)(inputs) for name in y}
    model = keras.Model(inputs, outputs)
    metrics = {"a": ["MAE", "cosine_similarity", "accuracy"], "b": "mse"}
    model.compile("adam", {"a": "mse", "b": "KLD"}, metrics=metrics, weighted_metrics={"a": "bce"})
    model.fit(x, y, verbose=0)
    save_model(model, tmp_path / "m.h5")
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    for load in (keras.saving.load_model, load_model):
        back = load(tmp_path / "m.h5")
        assert back.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(expected)
        assert int(keras.ops.convert_to_numpy(back.optimizer.iterations)) == 1


def test_a_layer_whose_class_has_another_name_than_the_public_one(tmp_path):
    x = keras.Input((4, 6))
    made = layers.GroupQueryAttention(head_dim=2, num_query_heads=2, num_key_value_heads=1)(x, x)
    keras.Model(x, made).save(tmp_path / "m.h5")
    assert inspect_model(tmp_path / "m.h5")["custom"] == []
    assert isinstance(load_model(tmp_path / "m.h5").layers[1], layers.GroupQueryAttention)


def test_settings_that_keras_keeps_in_lists_of_its_own(tmp_path):
    x = keras.Input((4, 4, 3))
    made = layers.RandomContrast(0.2)(layers.RandomBrightness(0.2, value_range=(0, 1))(x))
    save_model(keras.Model(x, made), tmp_path / "m.keras")
    # Keras turns values of a file into such lists
    save_model(load_model(tmp_path / "m.keras"), tmp_path / "m.h5")
    back = load_model(tmp_path / "m.h5")
    assert list(back.layers[1].value_range) == [0, 1]
    with pytest.raises(TypeError):
        copy.deepcopy(back.layers[1].value_range)  # nothing stays changed


class TwoBranches(keras.Model):
    """Built by its first call, from a dict of inputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = layers.Dense(2), layers.Dense(2)

    def call(self, inputs):
        return self.left(inputs["a"]) + self.right(inputs["b"])


def test_a_model_that_its_first_call_builds(tmp_path):
    x = {"a": np.ones((2, 3), "float32"), "b": np.ones((2, 4), "float32")}
    model, own = TwoBranches(), {"TwoBranches": TwoBranches}
    expected = model(x)
    save_model(model, tmp_path / "ours.h5")
    same(load_model(tmp_path / "ours.h5", custom_objects=own)(x), expected)
    model.save(tmp_path / "keras.h5")
    with pytest.raises(FileError, match="from which shapes .* 'TwoBranches'") as caught:
        load_model(tmp_path / "keras.h5", custom_objects=own)
    assert "call it once on data" in caught.value.hint
