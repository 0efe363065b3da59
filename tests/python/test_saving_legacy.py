"""Files of Keras 2.1 to 2.15 and tf-keras: the numbers they gave then, and what is refused."""

from __future__ import annotations

import importlib.util
import warnings

import keras
import legacy_files
import numpy as np
import pytest
from kerasbridge.errors import FileError, UnsafeFileError, UnsupportedError
from kerasbridge.saving import (
    legacy,
    load_model,
    load_weights,
    model_from_json,
    model_from_yaml,
    save_model,
)
from kerasbridge.saving.door import ModelFileWarning
from legacy_files import M, Scale, difference, recorded, unpacked

# a case -> names of its inputs where they go by name
FILES = {
    "k216__gru_default.h5": (),
    "k216__depthwise_groups.h5": (),
    "k216__regularizers.h5": (),
    "k216__custom_layer.h5": (),
    "k224__local.h5": (),
    "k224__states.h5": (),
    "k224__activ.h5": (),
    "k224__convs.h5": (),
    "k224__nested_first.h5": (),
    "k231__embedding_mask.h5": (),
    "tf24__tfops.h5": (),
    "tf24__cudnn.h5": (),
    "tf24__dictio.h5": ("a", "b"),
    "tf29__nested2.h5": (),
    "tf29__cell2.h5": (),
    "tf212__conv1d3d.keras": (),
    "tf212__bidir.keras": (),
    "tf215__multihead.keras": (),
    "tf215__simple_rnn_cell.keras": (),
    "tf215__nested_model.keras": (),
    "tf215__bn_axis_list.h5": (),
    "tf215__slicing_op.keras": (),
    "tf215__preprocessing.keras": (),
    "tf215__preproc_image.h5": (),
    "tf215__spaces_in_name.keras": (),
    "tfk221__attn.keras": (),
    "tfk221__graph_ops.h5": (),
}


@pytest.mark.parametrize("name", FILES)
def test_predictions_are_those_of_the_old_keras(name, tmp_path, recwarn):
    model = load_model(unpacked(name, tmp_path), custom_objects={"Scale": Scale})
    assert difference(model, name.split(".")[0], FILES[name]) <= 1e-6
    assert not [w for w in recwarn if issubclass(w.category, ModelFileWarning)]


@pytest.mark.parametrize(
    "case",
    [
        "k216__bidirectional",
        "k216__functional_multi",
        "k216__many_layers_attr_split",
        "k224__customwrap",
    ],
)
def test_architecture_and_weights_apart(case, tmp_path):
    model = model_from_json(legacy_files.text(f"{case}.json"), {"Scale": Scale})
    load_weights(model, unpacked(f"{case}.w.h5", tmp_path))
    assert difference(model, case) <= 1e-6


def graph_operation(op, constants, attr=None, name="op"):
    """The JSON of a model of one operation of a graph, as TensorFlow 2.1 to 2.3 wrote it."""
    import json

    node = {
        "name": name,
        "op": op,
        "input": ["in"],
        "attr": {"T": {"type": "DT_FLOAT"}, **(attr or {})},
    }
    layers = [
        {"class_name": "InputLayer", "name": "in", "inbound_nodes": [],
         "config": {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "name": "in"}},
        {"class_name": "TensorFlowOpLayer", "name": f"tf_op_layer_{name}",
         "config": {"name": name, "trainable": True, "dtype": "float32", "node_def": node, "constants": constants},
         "inbound_nodes": [[["in", 0, 0, {}]]]},
    ]  # fmt: skip
    config = {"name": "model", "layers": layers, "input_layers": [["in", 0, 0]],
              "output_layers": [[f"tf_op_layer_{name}", 0, 0]]}  # fmt: skip
    return json.dumps(
        {
            "class_name": "Model",
            "config": config,
            "keras_version": "2.3.0-tf",
            "backend": "tensorflow",
        }
    )


@pytest.mark.parametrize(
    "op, constants, attr, wanted",
    [
        ("RealDiv", {"0": 1.0}, None, lambda x: 1 / x),
        ("Mean", {"1": [1]}, {"keep_dims": {"b": True}}, lambda x: x.mean(1, keepdims=True)),
        ("StridedSlice", {"1": [0, -1], "2": [0, 0], "3": [1, -2]},
         {"begin_mask": {"i": "1"}, "end_mask": {"i": "3"}}, lambda x: x[:, -1::-2]),
        ("PadV2", {"1": [[0, 0], [1, 0]], "2": 7.0}, None, lambda x: np.pad(x, [(0, 0), (1, 0)], constant_values=7)),
        ("MatMul", {"1": [[1.0, 2, 3, 4], [0, 1, 0, 1]]}, {"transpose_b": {"b": True}},
         lambda x: x @ np.array([[1, 2, 3, 4], [0, 1, 0, 1]], "f").T),
    ],
)  # fmt: skip
def test_operations_of_graphs(op, constants, attr, wanted):
    if op == "StridedSlice" and keras.config.backend() == "torch":
        pytest.skip("PyTorch takes no slice that goes backwards")
    x = np.linspace(1, 2, 12, dtype="float32").reshape(3, 4)
    model = model_from_json(graph_operation(op, constants, attr))
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted(x), rtol=1e-6)


def test_an_operation_that_is_not_in_the_table_is_named():
    with pytest.raises(
        UnsupportedError, match="tf_op_layer_op.*operation ReadFile has no counterpart"
    ):
        model_from_json(graph_operation("ReadFile", {}))
    text = graph_operation("Add", {}).replace('"node_def": {', '"node_def": "bytes", "x": {')
    with pytest.raises(UnsupportedError, match="stored as bytes"):
        model_from_json(text)


def test_yaml_of_an_old_architecture():
    yaml = pytest.importorskip("yaml")
    import json

    text = yaml.safe_dump(
        json.loads(legacy_files.text("k216__bidirectional.json")), sort_keys=False
    )
    assert model_from_yaml(text).output_shape == (None, 1)


def test_cudnn_weights_alone_fit_ordinary_layers(tmp_path):
    i = keras.Input((5, 3))
    both = [keras.layers.LSTM(4)(i), keras.layers.GRU(3)(i)]
    model = keras.Model(i, keras.layers.Dense(2)(keras.layers.concatenate(both)))
    load_weights(model, unpacked("tf24__cudnn.w.h5", tmp_path))
    assert difference(model, "tf24__cudnn") <= 1e-6


def test_half_precision_differs_by_its_rounding_only(tmp_path):
    # TensorFlow up to 2.15 added products of half-precision matrices in another order
    model = load_model(unpacked("tf215__mixed_precision.h5", tmp_path))
    assert [layer.dtype_policy.name for layer in model.layers] == ["mixed_float16", "float32"]
    assert difference(model, "tf215__mixed_precision") <= 2e-3


def test_a_model_loaded_from_an_old_file_is_an_ordinary_one(tmp_path):
    model = load_model(unpacked("tf24__tfops.h5", tmp_path))
    path = tmp_path / "new.keras"
    save_model(model, path)
    with keras.saving.custom_object_scope({}):
        again = keras.saving.load_model(path)
    assert difference(again, "tf24__tfops") <= 1e-6
    old = load_model(unpacked("k216__gru_default.h5", tmp_path))
    save_model(old, tmp_path / "old.keras")
    assert difference(load_model(tmp_path / "old.keras"), "k216__gru_default") <= 1e-6


def test_string_lookup_keeps_its_words(tmp_path):
    path = unpacked("tf215__preproc_stringlookup.keras", tmp_path)
    if importlib.util.find_spec("tensorflow") is None:
        with pytest.raises(FileError, match="StringLookup computes by TensorFlow") as caught:
            load_model(path)
        assert "pip install tensorflow-cpu" in caught.value.hint
        return
    model = load_model(path)
    assert model.get_layer("string_lookup").get_vocabulary() == ["[UNK]", "a", "b"]


def test_a_subclassed_model_needs_its_class(tmp_path):
    path = unpacked("tf215__subclassed.keras", tmp_path)
    with pytest.raises(
        UnsupportedError, match="Keras 2.15.0.*class 'M', whose code is not in the file"
    ):
        load_model(path)

    assert difference(load_model(path, {"M": M}), "tf215__subclassed") <= 1e-6


# ---- refusals ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["k216__lambda_named.h5", "tf215__lambda_bytecode.keras"])
def test_byte_code_is_refused_and_the_layer_named(name, tmp_path):
    with pytest.raises(
        UnsafeFileError, match=r"layer 'lambda(_1)?' \(Lambda\): it holds Python byte code"
    ) as info:
        load_model(unpacked(name, tmp_path))
    assert 'allow = "lambda"' in info.value.hint
    assert info.value.details["class"] == "Lambda"


def test_a_function_given_under_the_layers_name_takes_the_place_of_byte_code(tmp_path):
    path = unpacked("k216__lambda_named.h5", tmp_path)
    model = load_model(path, {"lambda_1": keras.ops.abs})
    assert difference(model, "k216__lambda_named") <= 1e-6


def test_byte_code_of_another_python_is_said_to_be_that(tmp_path):
    with pytest.raises(UnsupportedError, match="'lambda_1' .*another version of Python") as info:
        load_model(unpacked("k216__lambda_named.h5", tmp_path), allow="lambda")
    assert "convert_model()" in info.value.hint


def test_a_missing_class_is_named_with_version_layer_and_ways_on(tmp_path):
    with pytest.raises(UnsupportedError) as info:
        load_model(unpacked("k216__custom_layer.h5", tmp_path))
    assert "Keras 2.1.6" in info.value.message
    assert "layer 'scale_1' (Scale)" in info.value.message
    assert "custom_objects = list(Scale = <class>)" in info.value.hint
    assert "convert_model()" in info.value.hint
    assert info.value.details["version"] == "2.1.6"


def test_a_class_that_refuses_its_configuration_is_told_what_the_file_has(tmp_path):
    class Wrong(keras.layers.Layer):
        def __init__(self):
            super().__init__()

    with pytest.raises(UnsupportedError, match="Scale.*refuses its configuration") as info:
        load_model(
            unpacked("k216__custom_layer.h5", tmp_path), {"Scale": type("Scale", (Wrong,), {})}
        )
    assert "name, trainable, k" in info.value.hint


def test_weights_of_another_model_are_refused_by_layer(tmp_path):
    path = unpacked("k216__bidirectional.w.h5", tmp_path)
    model = keras.Sequential([keras.Input((6, 3)), keras.layers.LSTM(4), keras.layers.Dense(1)])
    with pytest.raises((UnsupportedError, FileError), match="4 layers, the model has 2"):
        load_weights(model, path)


def test_a_file_of_weights_is_not_a_model(tmp_path):
    with pytest.raises(FileError, match="not a whole model"):
        load_model(unpacked("k216__bidirectional.w.h5", tmp_path))


# ---- how it was compiled -----------------------------------------------------------------------------
def test_losses_metrics_and_names(tmp_path):
    for name in ("tf215__metrics_losses.h5", "tf215__metrics_losses.keras"):
        model = load_model(unpacked(name, tmp_path))
        case = recorded("tf215__metrics_losses")
        values = model.evaluate(case["x0"], case["y0"], verbose=0, return_dict=True)
        assert {"loss", "accuracy", "auc", "mae"} == set(values)
    for name in ("k231__lossfn_obj.h5", "tf215__lossfn_obj.h5"):
        loss = load_model(unpacked(name, tmp_path)).loss
        assert isinstance(loss, keras.losses.BinaryCrossentropy)
        assert loss.get_config()["label_smoothing"] == 0.1


def test_decay_and_schedules_of_the_learning_rate(tmp_path):
    optimizer = load_model(unpacked("k216__opt_legacy_lr.h5", tmp_path)).optimizer
    assert (optimizer.momentum, optimizer.nesterov) == (pytest.approx(0.9), True)
    steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(
        0.05 / (1 + 1e-4 * steps), rel=1e-5
    )
    optimizer = load_model(unpacked("tf215__opt_schedule.h5", tmp_path)).optimizer
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(
        0.01 * 0.9 ** (int(keras.ops.convert_to_numpy(optimizer.iterations)) / 10)
    )


# Keras 2 added epsilon outside of the root in RMSprop until 2.10
@pytest.mark.parametrize(
    "name,tolerance",
    [
        ("tf24__opt_adadelta.h5", 1e-5),
        ("tf29__opt_rmscent.h5", 1e-4),
        ("tf212__opt_adam.keras", 1e-5),
        ("tf212__opt_adamw.h5", 1e-5),
    ],
)
def test_training_goes_on_where_it_stopped(name, tolerance, tmp_path):
    model = load_model(unpacked(name, tmp_path))
    case = recorded(name.split(".")[0])
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 3
    losses = [
        model.fit(case["x0"], case["ty"], batch_size=8, verbose=0).history["loss"][0]
        for _ in range(3)
    ]
    np.testing.assert_allclose(losses, case["tloss"], rtol=tolerance)


def test_numbered_state_of_keras_2_2_finds_its_variables(tmp_path):
    # TensorFlow 1 read variables while it changed them: losses of two runs differ there, states don't
    import h5py

    for name, steps, kinds in (
        ("k224__opt_adam.h5", 3, ("momentum", "velocity", "velocity_hat")),
        ("k224__opt_rmsprop.h5", 0, ("velocity",)),  # 2.1 and 2.2 kept no steps of it
    ):
        path = unpacked(name, tmp_path)
        optimizer = load_model(path).optimizer
        assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == steps
        with h5py.File(path) as file:
            group = file["optimizer_weights"]
            stored = [group[n][()] for n in group.attrs["weight_names"] if group[n].shape]
        for i, kind in enumerate(kinds):
            values = [v.numpy() for v in optimizer.variables if v.path.endswith(f"_{kind}")]
            for a, b in zip(values, stored[4 * i : 4 * i + 4]):
                np.testing.assert_array_equal(a, b)


def test_nadam_knows_the_product_that_keras_2_did_not_store(tmp_path):
    keras.optimizers.Nadam().build(
        [keras.Variable([1.0])]
    )  # the first one of a session has another name for it
    optimizer = load_model(unpacked("tfk221__opt_nadam.keras", tmp_path)).optimizer
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 3
    product = np.prod([0.9 * (1 - 0.5 * 0.96**t) for t in (1, 2, 3)])
    # the last one, or before those of the weights, as the version of Keras has it
    (held,) = [v for v in optimizer.variables if v.path.split("/")[-1].startswith("variable")]
    assert float(keras.ops.convert_to_numpy(held)) == pytest.approx(product, rel=1e-6)
    old = load_model(
        unpacked("tf29__opt_nadam.h5", tmp_path)
    ).optimizer  # `decay` is not the rate's
    assert float(keras.ops.convert_to_numpy(old.learning_rate)) == pytest.approx(0.02)


def test_what_was_frozen_stays_frozen_though_the_file_does_not_say_so(tmp_path):
    model = load_model(unpacked("k216__nested_trainable_false.h5", tmp_path))
    assert [layer.trainable for layer in model.layers[1:]] == [False, True]
    assert len(model.trainable_weights) == 2
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 1


def test_compile_false_leaves_it_out(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(unpacked("tf215__metrics_losses.h5", tmp_path), compile=False)
    assert not model.compiled


@pytest.mark.parametrize("loss", ["mse", "mae", "kld", "MSE"])
def test_todays_h5_files_compiled_with_short_names(loss, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("adamw", loss, metrics=["acc", "mse", keras.metrics.AUC(name="area")])
    x, y = np.ones((4, 2)), np.eye(2)[[0, 1, 0, 1]]
    model.fit(x, y, verbose=0)
    save_model(model, tmp_path / "m.h5")
    back = load_model(tmp_path / "m.h5")
    one, two = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, back))
    assert set(one) == set(two)
    assert two["loss"] == pytest.approx(one["loss"])
    assert int(keras.ops.convert_to_numpy(back.optimizer.iterations)) == 1


# ---- SavedModel folders ------------------------------------------------------------------------------
def test_a_saved_model_takes_inputs_by_position_and_name_in_the_models_order(tmp_path):
    path = unpacked("tf215__functional_multi.sm", tmp_path)
    if keras.config.backend() != "tensorflow":
        with pytest.raises(UnsupportedError, match="are TensorFlow's; this session runs on"):
            load_model(path)
        return
    model = load_model(path)
    case = recorded("tf215__functional_multi")
    assert list(model.inputs) == ["a", "b"]
    by_position = model.predict([case["x0"], case["x1"]])
    by_name = model.predict({"b": case["x1"], "a": case["x0"]})
    for i, name in enumerate(model.outputs):
        np.testing.assert_allclose(by_position[name], case[f"y{i}"], atol=1e-6)
        np.testing.assert_array_equal(by_position[name], by_name[name])
    with pytest.raises(UnsupportedError, match="can't be trained"):
        model.fit([case["x0"], case["x1"]], [case["y0"], case["y1"]])


def test_every_class_that_is_missing_is_listed():
    layers = [
        {"class_name": "Scale", "config": {"name": "s", "batch_input_shape": [None, 2]}},
        {"class_name": "Dense", "config": {"name": "d", "units": 1}},
        {"class_name": "TimeDistributed", "config": {"name": "t", "layer": {"class_name": "Shift", "config": {"name": "inner"}}}},
    ]  # fmt: skip
    tree = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    with pytest.raises(
        UnsupportedError, match="layer 's' [(]Scale[)]: there is no class 'Scale' in Keras"
    ) as caught:
        legacy.model_from_tree(tree, version="2.4.0")
    assert "Nor is there: 'Shift' (layer 'inner')." in str(caught.value)
    assert "custom_objects = list(Scale = <class>, Shift = <class>)" in caught.value.hint
