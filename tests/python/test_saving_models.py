"""Whole models and weights: round trips, refusals, atomic writes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge.errors import ArgumentError, FileError, UnsupportedError
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.saving import (
    load_model,
    load_weights,
    model_from_json,
    model_to_json,
    save_model,
    save_weights,
)


@pytest.fixture
def model():
    m = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    m.compile("adam", "mse", metrics=["mae"])
    m.fit(np.ones((8, 3)), np.ones(8), epochs=1, verbose=0)
    return m


@pytest.mark.parametrize("ending", [".keras", ".h5", ".hdf5"])
def test_round_trip(model, tmp_path, ending):
    path = tmp_path / f"m{ending}"
    x = np.random.default_rng(0).random((5, 3), "float32")
    assert save_model(model, path) == str(path)
    back = load_model(path)
    np.testing.assert_array_equal(back.predict(x, verbose=0), model.predict(x, verbose=0))
    assert int(back.optimizer.iterations.numpy()) == 1
    one = model.fit(x, np.ones(5), shuffle=False, verbose=0).history["loss"]
    two = back.fit(x, np.ones(5), shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_scaled_loss_keeps_its_scale_and_state(tmp_path, ending):
    policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, dtype=policy)])
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(
        keras.optimizers.LossScaleOptimizer(inner, initial_scale=64.0, dynamic_growth_steps=3),
        "mse",
    )
    model.fit(np.ones((8, 3)), np.ones((8, 4)), batch_size=2, verbose=0)
    save_model(model, tmp_path / f"m{ending}")
    back = load_model(tmp_path / f"m{ending}").optimizer
    assert (back.initial_scale, back.dynamic_growth_steps) == (64.0, 3)
    one, two = (
        [np.asarray(keras.ops.convert_to_numpy(v)) for v in o.variables]
        for o in (model.optimizer, back)
    )
    assert len(one) == len(two) == 8 and all(np.array_equal(a, b) for a, b in zip(one, two))
    assert float(one[3]) == 128.0  # the scale has grown once


@pytest.mark.skipif(not keras_before(3, 3), reason="newer ones can keep it")
def test_a_scaled_loss_in_h5_is_refused_by_an_older_keras(tmp_path):
    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, dtype=policy)])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
    with pytest.raises(UnsupportedError, match="since Keras 3.3"):
        save_model(model, tmp_path / "m.h5")
    save_model(model, tmp_path / "m.h5", include_optimizer=False)
    save_model(model, tmp_path / "m.keras")


def test_the_format_can_be_said_where_the_name_does_not(model, tmp_path):
    for format, start in (("keras", b"PK"), ("h5", b"\x89HDF"), ("hdf5", b"\x89HDF")):
        path = tmp_path / f"model-{format}"
        save_model(model, path, format=format)
        assert path.read_bytes().startswith(start)
        np.testing.assert_array_equal(load_model(path).get_weights()[0], model.get_weights()[0])
    save_model(model, tmp_path / "m.hdf5", format="h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "m.hdf5",
        *(f"model-{f}" for f in ("h5", "hdf5", "keras")),
    ]
    with pytest.raises(ArgumentError, match="the name 'm.h5' says another") as caught:
        save_model(model, tmp_path / "m.h5", format="keras")
    assert "m.keras'" in caught.value.hint and caught.value.argument == "format"
    with pytest.raises(ArgumentError, match="it may be 'keras' or 'h5'"):
        save_model(model, tmp_path / "m", format="pickle")
    with pytest.raises(ArgumentError, match="functions of their own"):
        save_model(model, tmp_path / "m", format="tf")


def test_refusals_name_the_file(model, tmp_path):
    path = tmp_path / "m.keras"
    save_model(model, path)
    with pytest.raises(FileError, match="exists already"):
        save_model(model, path)
    with pytest.raises(FileError, match="does not end in"):
        save_model(model, tmp_path / "m.txt")
    with pytest.raises(FileError, match="does not exist"):
        save_model(model, tmp_path / "no" / "m.keras")
    with pytest.raises(FileError, match="is a folder"):
        (tmp_path / "folder.keras").mkdir()
        save_model(model, tmp_path / "folder.keras")
    with pytest.raises(FileError, match="no file"):
        load_model(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(FileError, match="not a model file"):
        load_model(tmp_path / "text.keras")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_truncated_files_are_called_damaged(model, tmp_path, ending):
    path = tmp_path / f"m{ending}"
    save_model(model, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FileError, match="damaged or truncated"):
        load_model(path)


def test_weights_round_trip(model, tmp_path):
    path = tmp_path / "w.weights.h5"
    save_weights(model, path)
    other = keras.models.clone_model(model)
    load_weights(other, path)
    for a, b in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(FileError, match="does not end in"):
        save_weights(model, tmp_path / "w.txt")


@pytest.mark.parametrize("name", ["x", "x y"])
@pytest.mark.skipif(
    keras.__version__.startswith("3.0."), reason="Keras 3.0 exports no name with a space"
)
def test_a_sequential_model_that_was_never_called_is_exported(tmp_path, name):
    from kerasbridge.saving import saved_model

    model = keras.Sequential([keras.Input((3,), name=name), keras.layers.Dense(2)])
    if keras.config.backend() != "tensorflow":
        with pytest.raises(UnsupportedError, match="are TensorFlow's; this session runs on"):
            saved_model.export_saved_model(model, tmp_path / "served")
        return
    path = saved_model.export_saved_model(model, tmp_path / "served")
    again = keras.layers.TFSMLayer(path)
    x = np.ones((4, 3), "float32")
    np.testing.assert_allclose(again(x), model.predict(x, verbose=0), rtol=1e-6)


def test_a_model_whose_export_takes_less():
    from kerasbridge.saving import saved_model

    class Old:
        def export(self, filepath, format="tf_saved_model"):
            self.written = (filepath, format)

    model = Old()
    saved_model._export(model, "place")
    assert model.written == ("place", "tf_saved_model")
    with pytest.raises(UnsupportedError, match="`input_signature` came later"):
        saved_model._export(model, "place", signature=[1])


def test_an_h5_file_leaves_the_model_as_it_was(model, tmp_path):
    model.compile(keras.optimizers.SGD(0.25, momentum=0.5), "mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.ones(4), verbose=0)
    save_model(model, tmp_path / "m.h5")
    save_model(model, tmp_path / "m.keras")
    for ending in (".h5", ".keras"):
        back = load_model(tmp_path / f"m{ending}").optimizer
        assert isinstance(back, keras.optimizers.SGD) and float(back.momentum) == 0.5
        assert (
            float(keras.ops.convert_to_numpy(back.learning_rate)) == 0.25
            and int(keras.ops.convert_to_numpy(back.iterations)) == 1
        )
    assert "SGD" in model.to_json()


def test_weights_that_do_not_fit_are_told_by_layer_and_shape(model, tmp_path):
    save_weights(model, tmp_path / "w.weights.h5")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(9, name="wide")])
    with pytest.raises(FileError, match=r"wide.*: .*(9|shape)") as info:
        load_weights(other, tmp_path / "w.weights.h5")
    assert "`skip_mismatch = TRUE`" in info.value.hint


def test_words_of_a_configuration_that_are_names_of_functions_stay_words_in_h5(tmp_path):
    one = keras.Input((8, 3))
    two = keras.layers.Dense(3, name="multiply")(one)
    out = keras.layers.Attention(score_mode="dot")([one, two])
    out = keras.layers.Add(name="add")([out, two])
    out = keras.layers.Dot(axes=(2, 2), name="dot")([out, one])
    model = keras.Model(one, out)
    save_model(model, tmp_path / "m.h5")
    back = load_model(tmp_path / "m.h5")
    assert [layer.name for layer in back.layers] == [layer.name for layer in model.layers]
    x = np.random.default_rng(0).random((2, 8, 3), "float32")
    found, wanted = (keras.ops.convert_to_numpy(one(x)) for one in (back, model))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_layers_made_of_layers_come_back(tmp_path, ending):
    """Before Keras 3.3 HDF5 can't take the names of their weights, and Bidirectional is built twice."""
    inner = keras.Sequential(
        [keras.Input((4, 3)), keras.layers.Dense(3), keras.layers.Dense(3)], name="inner"
    )
    x = keras.Input((4, 3))
    out = keras.layers.MultiHeadAttention(2, 3)(inner(x), x)
    model = keras.Model(x, keras.layers.Bidirectional(keras.layers.GRU(2))(out))
    names = [weight.name for weight in model.weights]
    save_model(model, tmp_path / f"m{ending}")
    assert [weight.name for weight in model.weights] == names
    values = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    expected = model.predict(values, verbose=0)
    loaded = load_model(tmp_path / f"m{ending}")
    np.testing.assert_allclose(loaded.predict(values, verbose=0), expected, rtol=1e-6)
    described = model_from_json(model_to_json(model))
    described.set_weights(model.get_weights())
    np.testing.assert_allclose(described.predict(values, verbose=0), expected, rtol=1e-6)
