"""Which configurations may be built: classes, functions, byte code, names."""

from __future__ import annotations

import inspect
import json

import keras
import pytest
from kerasbridge.errors import ArgumentError, FileError, UnsafeFileError
from kerasbridge.runtime import attached  # noqa: E402
from kerasbridge.saving.safety import names
from kerasbridge.saving.safety.config import audit_config, check_config


def layer(class_name="Dense", module="keras.layers", registered=None, **config):
    config.setdefault("name", "one")
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered,
    }


def model(*layers):
    return layer("Sequential", "keras", name="m", layers=list(layers))


def function(name, module="builtins", registered=None):
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": registered or name,
    }


def lambda_of(function, **config):
    return model(layer("Lambda", name="twice", function=function, arguments={}, **config))


CODE = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None, "closure": None}}
OLD_CODE = ["4wEA", None, None]

REFUSED = {
    "lambda": (lambda_of(CODE), "lambda"),
    "lambda, Keras 2": (lambda_of(OLD_CODE, function_type="lambda"), "lambda"),
    "lambda, unmarked": (lambda_of(OLD_CODE), "lambda"),
    "lambda as output shape": (
        lambda_of(function("relu"), output_shape=OLD_CODE, output_shape_type="lambda"),
        "lambda",
    ),
    "lambda as activation": (model(layer(units=1, activation=CODE)), "lambda"),
    "lambda as initializer": (model(layer(units=1, kernel_initializer=CODE)), "lambda"),
    "lambda in the loss": ({"optimizer_config": None, "loss": CODE}, "lambda"),
    "os.system": (lambda_of(function("system", "os")), "not a part of a model"),
    "eval": (lambda_of(function("eval")), "not a part of a model"),
    "subprocess": (model(layer("Popen", "subprocess", args=["true"])), "not a part of a model"),
    "module with signs": (model(layer("Dense", "keras.layers;os")), "not a part of a model"),
    "get_file": (lambda_of(function("get_file", "keras.utils")), "does not belong into a model"),
    "load_model": (lambda_of(function("load_model", "keras.saving")), "does not belong"),
    "inner load_model": (
        lambda_of(function("load_model", ".".join(["keras", "src", "saving", "saving_api"]))),
        "does not belong",
    ),
    "unsafe deserialization": (
        lambda_of(function("enable_unsafe_deserialization", "keras.config")),
        "does not belong",
    ),
    "set_floatx": (lambda_of(function("set_floatx", "keras.config")), "does not belong"),
    "plot_model": (lambda_of(function("plot_model", "keras.utils")), "does not belong"),
    "deserialize": (lambda_of(function("deserialize", "keras.layers")), "does not belong"),
    "an application": (
        lambda_of(function("ResNet50", "keras.applications.resnet")),
        "does not belong",
    ),
    "a callback": (model(layer("CSVLogger", "keras.callbacks", filename="x")), "does not belong"),
    "TFSMLayer": (model(layer("TFSMLayer", filepath="x")), "SavedModel from elsewhere"),
    "TFSMLayer as function": (lambda_of(function("TFSMLayer", "keras.layers")), "SavedModel"),
    "TFSMLayer registered": (
        model(layer("X", "mine", registered="keras>TFSMLayer", filepath="x")),
        "SavedModel",
    ),
    "TorchModuleWrapper": (model(layer("TorchModuleWrapper", module="x")), "pickle"),
    "vocabulary path": (
        model(layer("StringLookup", vocabulary="/etc/hostname")),
        "file of this computer",
    ),
    "text vocabulary path": (model(layer("TextVectorization", vocabulary="a.txt")), "file of this"),
    "leading out": (model(layer(units=1, name="../../x")), "leads out"),
    "class name": ({"class_name": 3, "config": {}}, "not how Keras describes"),
    "composite": ({"class_name": "CompositeTensor", "spec": {}, "tensors": []}, "not a part"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
@pytest.mark.parametrize("live", [False, True])
def test_what_no_model_holds_is_refused(case, live):
    config, words = REFUSED[case]
    with pytest.raises(UnsafeFileError, match=words):
        check_config(config, live=live)


def test_the_error_names_the_layer_and_the_argument():
    with pytest.raises(UnsafeFileError, match=r"layer 'twice' \(Lambda\)") as caught:
        check_config(lambda_of(CODE), source="'m.keras'")
    assert str(caught.value).startswith("'m.keras' is refused.")
    assert 'allow = "lambda"' in caught.value.hint
    assert caught.value.argument == "allow"
    assert caught.value.details["findings"][0]["kind"] == "lambda"


def test_allow_permits_one_kind_and_no_other():
    check_config(lambda_of(CODE), allow="lambda", live=True)
    check_config(model(layer("TFSMLayer", filepath="x")), allow=["saved_model"])
    with pytest.raises(UnsafeFileError, match="SavedModel"):
        check_config(model(layer("TFSMLayer", filepath="x")), allow=["lambda"])
    with pytest.raises(ArgumentError, match="nothing that can be allowed"):
        check_config({}, allow="everything")


def test_deep_and_wide_configurations_are_refused():
    deep: dict = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(UnsafeFileError, match="200 levels"):
        check_config(deep)
    wide = model(*[layer(units=1, name=f"d{i}") for i in range(11_000)])
    with pytest.raises(UnsafeFileError, match="10,000 layers"):
        check_config(wide)
    check_config(wide, max_layers=20_000)


def test_missing_classes_are_listed_all_at_once(monkeypatch):
    config = model(
        layer("Scale", "mine.layers", "mine>Scale", name="s"),
        layer("Shift", "kerasbridge.R", "R>Shift", name="t"),
        layer(units=1, activation="wobble", name="d"),
    )
    with pytest.raises(FileError) as caught:
        check_config(config, live=True)
    text = str(caught.value)
    assert not isinstance(caught.value, UnsafeFileError)
    assert "class 'Scale' (the Python module 'mine.layers', used by the layer 's' (Scale))" in text
    assert text.startswith("layer 't' is written in R: needs R. ")
    assert "function 'wobble'" in text
    assert "custom_objects={'Scale': ..., 'Shift': ..., 'wobble': ...}" in text
    assert [m["name"] for m in caught.value.details["missing"]] == ["Scale", "Shift", "wobble"]
    origins = {
        "mine>Scale": {"origin": "Python: mine.layers.Scale", "python": "class Scale: pass"},
        "wobble": {"origin": "Python: waves.wobble"},
    }
    with pytest.raises(FileError) as caught:
        check_config(
            model(config["config"]["layers"][0], config["config"]["layers"][2]),
            live=True,
            origins=origins,
        )
    assert "`custom_objects={'Scale': ..., 'wobble': ...}`" in caught.value.hint
    assert (
        "import what defines them before loading: `import mine.layers`, `import waves`"
        in caught.value.hint
    )
    assert '`allow="python_code"`; `inspect_model()` shows it' in caught.value.hint
    monkeypatch.setitem(attached.session, "r", "4.2.2")
    with pytest.raises(FileError, match="needs 3 things that Keras") as caught:
        check_config(config, live=True)
    text = str(caught.value)
    assert "class 'Shift' (written in R" in text
    assert "custom_objects = list(Scale = ..., Shift = ..., wobble = ...)" in text
    assert '`import("mine.layers")`' in text and "run the R code that defines them" in text
    assert "(the file holds no code of them)" in text


def test_objects_of_the_session_are_known():
    class Scale(keras.layers.Layer):
        pass

    check_config(model(layer("Scale", "mine", "mine>Scale")), custom_objects={"mine>Scale": Scale}, live=True)  # fmt: skip
    check_config(model(layer("Scale", "mine", None)), custom_objects={"Scale": Scale}, live=True)
    check_config(lambda_of(function("half")), custom_objects={"half": abs}, live=True)
    with keras.saving.custom_object_scope({"half": abs}):
        check_config(lambda_of(function("half")), live=True)


def test_ordinary_models_pass():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.ops.mean(keras.ops.square(x) + 1.0, axis=(1, 2))
    x = keras.layers.Dense(4, activation=keras.activations.gelu, kernel_constraint="max_norm")(x)
    x = keras.layers.Lambda(keras.ops.tanh)(x)
    m = keras.Model(inputs, keras.Sequential([keras.layers.Dense(2), keras.layers.Softmax()])(x))
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    m.compile(
        keras.optimizers.AdamW(schedule),
        keras.losses.CategoricalCrossentropy(),
        metrics=["acc", keras.metrics.AUC()],
    )
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(m)))
    for live in (False, True):
        audit = check_config(config, live=live)
        assert audit.findings == [] and audit.missing == []
        assert audit.layers == 12  # `Mean` is the name of a metric too


def test_every_class_of_a_model_in_the_installed_keras_is_known_without_it():
    unknown = []
    for place in (
        "layers",
        "optimizers",
        "optimizers.schedules",
        "losses",
        "metrics",
        "initializers",
    ):
        home = keras
        for part in place.split("."):
            home = getattr(home, part)
        abstract = {"Layer", "Wrapper", "Optimizer", "Loss", "Metric", "Initializer", "InputSpec"}
        abstract |= {"LearningRateSchedule", *names.FOREIGN}
        for name in dir(home):
            if inspect.isclass(getattr(home, name)) and name not in names.CLASSES | abstract:
                unknown.append(f"{place}.{name}")
    assert unknown == []


def test_functions_of_the_installed_keras():
    for module in ("activations", "losses", "metrics"):
        for name, value in vars(getattr(keras, module)).items():
            if inspect.isfunction(value) and name not in names.NOT_FUNCTIONS:
                assert audit_config(lambda_of(function(name, f"keras.{module}"))).findings == []
                assert audit_config(lambda_of(function(name))).missing == [], name
