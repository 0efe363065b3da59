"""Layers written elsewhere, written down as operations: what stands in for them, and what is refused."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
from keras import ops
from kerasbridge.bridge import calls
from kerasbridge.bridge.classes_from_r import class_from_r
from kerasbridge.errors import FileError, UnsafeFileError
from kerasbridge.saving import load_model, python_source, save_model
from manifest_files import manifest_of, with_manifest

X = np.linspace(-1, 1, 6, dtype="float32").reshape(3, 2)


def op(name, *args):
    """As R calls an operation."""
    done = calls.call(f"keras.ops.{name}", list(args))
    if not done.ok:
        raise ValueError(done.error["message"])
    return done.value


def named(name, optional=False):
    return {"name": name, "kind": "named", "optional": optional}


def a_class(call, name="Grow", build=None, parameters=("inputs",)):
    methods = [
        {
            "name": "call",
            "function": call,
            "parameters": [named(parameters[0]), *(named(p, True) for p in parameters[1:])],
        }
    ]
    if build:
        methods.append({"name": "build", "function": build, "parameters": [named("input_shape")]})
    return class_from_r(name, keras.Layer, methods)


def weighted(self, args, kwargs):
    self.w = self.add_weight(shape=[2.0, 2.0], name="w")


def forget():
    """As in a process that never had the classes."""
    for name in [n for n in keras.saving.get_custom_objects() if n.startswith("R>")]:
        del keras.saving.get_custom_objects()[name]


def saved(tmp_path, cls, **further):
    layer = cls(name="grow", **further)
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    path = str(tmp_path / "model.keras")
    save_model(model, path)
    forget()
    return model, path


@pytest.fixture(autouse=True)
def clean():
    yield
    forget()


def test_a_stand_in_predicts_trains_and_is_saved_again(tmp_path):
    def call(self, args, kwargs):
        return op("tanh", op("matmul", args[0], op("exp", self.w)))

    model, path = saved(tmp_path, a_class(call, build=weighted))
    loaded = load_model(path)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)
    for one in (model, loaded):
        one.fit(X, X[:, :1], epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(loaded.layers[0].weights[0], model.layers[0].weights[0], atol=1e-6)
    again = str(tmp_path / "again.keras")
    save_model(loaded, again)
    np.testing.assert_allclose(
        load_model(again).predict(X, verbose=0), loaded.predict(X, verbose=0), atol=1e-6
    )
    assert manifest_of(again)["custom_objects"][0]["origin"] == "written in R"


def test_what_training_changes_is_kept_apart(tmp_path):
    def call(self, args, kwargs):
        return op("multiply", args[0], 3.0 if kwargs.get("training") else 1.0)

    _, path = saved(tmp_path, a_class(call, parameters=("inputs", "training")))
    layer = load_model(path).layers[0]
    np.testing.assert_allclose(layer(X), X)
    np.testing.assert_allclose(layer(X, training=True), 3 * X)


def test_masks_reach_a_stand_in(tmp_path):
    def call(self, args, kwargs):
        mask = kwargs.get("mask")
        if mask is None:
            return args[0]
        return op("multiply", args[0], op("cast", op("expand_dims", mask, -1), "float32"))

    cls = a_class(call, parameters=("inputs", "mask"))
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.Masking(), cls()])
    path = str(tmp_path / "model.keras")
    save_model(model, path)
    forget()
    x = np.ones((1, 3, 2), "float32")
    x[0, 1] = 0
    layer = load_model(path).layers[-1]
    mask = np.array([[True, False, True]])
    np.testing.assert_array_equal(layer(np.ones_like(x), mask=mask)[0, :, 0], [1, 0, 1])
    np.testing.assert_array_equal(layer(np.ones_like(x))[0, :, 0], [1, 1, 1])


def test_a_mask_and_a_weight_that_lead_nowhere(tmp_path):
    def call(self, args, kwargs):
        return op("matmul", args[0], self.w) if kwargs.get("training") else args[0]

    cls = a_class(call, build=weighted, parameters=("inputs", "training", "mask"))
    model, path = saved(tmp_path, cls)
    forget()
    layer, w = load_model(path).layers[0], model.layers[0].w.numpy()
    mask = np.array([True, False, True])
    for further in ({}, {"mask": mask}):
        np.testing.assert_array_equal(layer(X, **further), X)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(layer(X, training=True, **further)), X @ w, rtol=1e-6
        )


@pytest.mark.parametrize(
    "call, why",
    [
        (lambda self, a, k: op("add", a[0], calls.call("keras.random.normal", [[2]], {"seed": 1}).value), "draws random numbers"),
        (lambda self, a, k: op("add", a[0], ops.convert_to_tensor(np.ones(2, "float32"))), "past the operations"),
        (lambda self, a, k: op("matmul", a[0], self.outside), "not its own"),
        (lambda self, a, k: (self.add_loss(op("sum", a[0])), a[0])[1], "adds to the loss"),
        (lambda self, a, k: (self.w.assign(self.w * 2.0), op("matmul", a[0], self.w))[1], "symbolic|changes its weights"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_down_says_why(tmp_path, call, why):
    import types

    def build(self, args, kwargs):
        weighted(self, args, kwargs)
        held = types.SimpleNamespace(v=keras.Variable(np.ones((2, 2), "float32")))
        type(self).outside = property(lambda self: held.v)

    _, path = saved(tmp_path, a_class(call, build=build))
    with pytest.raises(FileError, match="^layer 'grow' is written in R: needs R.\n") as caught:
        load_model(path)
    with pytest.raises(FileError, match=why):
        raise caught.value
    assert "programs" not in manifest_of(path)["custom_objects"][0]


def test_a_program_is_audited_like_the_model(tmp_path):
    def call(self, args, kwargs):
        return op("tanh", args[0])

    _, path = saved(tmp_path, a_class(call))

    def evil(manifest):
        graph = manifest["custom_objects"][0]["programs"][0]["graphs"]["training=0 mask=0"]["graph"]
        graph["layers"][1].update(module="os", class_name="system", registered_name=None)

    with_manifest(path, evil)
    with pytest.raises(UnsafeFileError, match="'os.system' is not a part of a model"):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item.update(programs=[1]),
        lambda item: item.update(programs={"a": 1}),
        lambda item: item["programs"][0].pop("graphs"),
        lambda item: item["programs"][0].update(role="callback"),
        lambda item: item["programs"][0].update(trains=["__init__"]),
        lambda item: item["programs"][0].update(parts={"__class__": {}}),
        lambda item: item["programs"][0]["graphs"].update({"training=0 mask=0": {}}),
        lambda item: item["programs"][0]["weights"].append({"name": "w"}),
    ],
)
def test_a_damaged_program_is_an_error_of_the_file(tmp_path, change):
    def call(self, args, kwargs):
        return op("tanh", args[0])

    _, path = saved(tmp_path, a_class(call))
    with_manifest(path, lambda manifest: change(manifest["custom_objects"][0]))
    with pytest.raises(FileError):
        load_model(path)


def test_a_registered_class_wins_over_the_program(tmp_path):
    def call(self, args, kwargs):
        return op("tanh", args[0])

    _, path = saved(tmp_path, a_class(call))

    class Other(keras.layers.Layer):
        def call(self, x):
            return x * 0.0

    assert type(load_model(path, custom_objects={"Grow": Other}).layers[0]) is Other


def test_the_source_of_a_class_is_what_it_needs():
    source = python_source.source_of(_Shifted)
    assert source is None or "class _Shifted" in source
    text = python_source.source_of(Shifted)
    assert "class Shifted" in text and "STEP = 0.25" in text and "import numpy as np" in text
    assert "def forget" not in text
    made = python_source.run_source({"name": "Shifted", "python": text}, "'file'")
    np.testing.assert_allclose(made()(X), X + 0.25)
    assert python_source.source_of(keras.layers.Dense) is None
    with pytest.raises(FileError, match="The Python code of 'A' in 'file' fails: NameError"):
        python_source.run_source({"name": "A", "python": "class A(Missing): pass"}, "'file'")


SCRIPT = """
from __future__ import annotations
import os, keras
import numpy as np
L = keras.layers
inputs = [1]
x = y = 3; DEFAULT = 4; z = os.getcwd()
SCALE = 2.0; print("a script is not run again")
def forget(v):
    return v
def helper(v, x=DEFAULT):
    return v * SCALE
@keras.saving.register_keras_serializable(package="mine")
class Own(L.Layer):
    unit = "cm"
    def call(self, inputs, x=None):
        y = [v for v in [helper(inputs)]]
        return (lambda z: z)(y[0])
"""


def test_names_of_arguments_and_neighbours_in_a_line_are_not_taken(tmp_path, monkeypatch):
    (tmp_path / "a_script.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    text = python_source.source_of(importlib.import_module("a_script").Own)
    for part in (
        "L = keras.layers",
        "SCALE = 2.0",
        "DEFAULT = 4",
        "def helper",
        "@keras.saving",
        "__future__",
    ):
        assert part in text
    for part in ("print", "forget", "getcwd", "inputs = [1]", "x = y", "numpy"):
        assert part not in text
    made = python_source.run_source({"name": "Own", "python": text}, "'file'")
    np.testing.assert_allclose(made()(X), X * 2)


STEP = 0.25


class Shifted(keras.layers.Layer):
    def call(self, x):
        return x + np.float32(STEP)


class _Shifted(Shifted):
    pass
