"""Functions and small objects written elsewhere, written down as operations: what stands in for them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge.bridge import calls
from kerasbridge.bridge.classes_from_r import class_from_r
from kerasbridge.bridge.from_r import r_function
from kerasbridge.errors import FileError, UnsafeFileError, UnsupportedError
from kerasbridge.runtime import r_functions
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.saving import load_model, save_model
from manifest_files import manifest_of, with_manifest

X = np.linspace(-1, 1, 6, dtype="float32").reshape(3, 2)
Y = np.array([[0.5], [0.1], [0.9]], "float32")


def op(name, *args, **kwargs):
    """As R calls an operation."""
    symbol = name if "." in name else f"ops.{name}"
    done = calls.call(f"keras.{symbol}", list(args), kwargs)
    if not done.ok:
        raise ValueError(done.error["message"])
    return done.value


def from_r(function, name):
    out = r_function(function, name, True)
    r_functions.describe(out, name, lambda: {"origin": "written in R", "source": None}, True)
    return out


def method(name, function, *parameters):
    listed = [{"name": p, "kind": "named", "optional": False} for p in parameters]
    return {"name": name, "function": function, "parameters": listed}


def forget():
    """As in a process that never had them."""
    r_functions._known.clear()
    for name in [n for n in keras.saving.get_custom_objects() if n.startswith("R>")]:
        del keras.saving.get_custom_objects()[name]


@pytest.fixture(autouse=True)
def clean():
    yield
    forget()


FUNCTIONS_CONSTRAIN = not keras_before(3, 15) or keras_before(3, 1)  # others take objects alone


def full_model():
    """A model with something of R in every place."""
    closed_over = keras.ops.convert_to_tensor(np.array([2.0], "float32"))
    half = r_function(lambda a, b: op("mean", op("multiply", b, 0.5)), "half", True)
    r_functions.describe(half, "half", lambda: {"origin": "written in R", "source": None}, True)
    squares = class_from_r(
        "Squares",
        keras.Loss,
        [
            method(
                "call",
                lambda self, a, k: op("mean", op("square", op("subtract", *a)), -1),
                "y_true",
                "y_pred",
            )
        ],
    )

    def penalty(self, args, kwargs):
        return op("multiply", op("sum", op("square", args[0])), 0.1)

    def start(shape, dtype=None):
        drawn = op("random.uniform", shape, minval=0.0, maxval=0.5, seed=3)
        return op("add", op("ones", shape, dtype=dtype), drawn)

    def clip(w):
        return op("clip", w, -1.0, 1.0)

    if FUNCTIONS_CONSTRAIN:
        constraint = from_r(clip, "kernel_constraint")
    else:
        called = method("__call__", lambda self, args, kwargs: clip(args[0]), "w")
        constraint = class_from_r("Clipped", keras.constraints.Constraint, [called])()
    small = class_from_r("Small", keras.Regularizer, [method("__call__", penalty, "w")])
    falling = class_from_r(
        "Falling",
        keras.optimizers.schedules.LearningRateSchedule,
        [method("__call__", lambda self, a, k: op("divide", 0.1, op("add", 1.0, op("cast", a[0], "float32"))), "step")],
    )  # fmt: skip
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(
                3,
                activation=from_r(lambda x: op("multiply", op("relu", x), closed_over), "activation"),
                kernel_initializer=from_r(start, "kernel_initializer"),
                kernel_regularizer=small(),
                kernel_constraint=constraint,
                activity_regularizer=from_r(lambda x: op("multiply", op("sum", op("abs", x)), 0.01), "activity_regularizer"),
            ),
            keras.layers.Lambda(from_r(lambda x: op("tanh", x), "function")),
            keras.layers.Dense(1),
        ]
    )  # fmt: skip
    model.compile(keras.optimizers.SGD(falling()), squares(), metrics=[half])
    return model


def test_a_model_of_functions_predicts_trains_and_is_saved_again(tmp_path):
    model = full_model()
    model.fit(X, Y, epochs=1, verbose=0, shuffle=False)
    path, again = str(tmp_path / "model.keras"), str(tmp_path / "again.keras")
    save_model(model, path)
    told = {item["name"]: item for item in manifest_of(path)["custom_objects"]}
    assert set(told) == {
        "activation", "kernel_initializer", "Small", "activity_regularizer", "function", "Squares",
        "Falling", "half", "kernel_constraint" if FUNCTIONS_CONSTRAIN else "Clipped",
    }  # fmt: skip
    assert {name: item.get("why") for name, item in told.items() if "programs" not in item} == {}
    forget()
    loaded = load_model(path)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)
    one, two = (
        m.fit(X, Y, epochs=3, verbose=0, shuffle=False, batch_size=2).history
        for m in (model, loaded)
    )
    for name in ("loss", "half"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-5)
    for a, b in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)
    # new weights come from the initializer, too
    made = loaded.layers[0].kernel_initializer((2, 3), dtype="float32")
    np.testing.assert_allclose(made, 1 + keras.random.uniform((2, 3), 0, 0.5, seed=3), atol=1e-6)
    save_model(loaded, again)
    third = load_model(again)
    np.testing.assert_allclose(third.predict(X, verbose=0), loaded.predict(X, verbose=0), atol=1e-6)
    assert {i["name"] for i in manifest_of(again)["custom_objects"]} == set(told)


def test_a_loss_that_was_never_called_is_followed_on_the_outputs(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(
        "sgd", from_r(lambda a, b: op("mean", op("abs", op("subtract", a, b)), -1), "loss")
    )
    path = str(tmp_path / "model.keras")
    save_model(model, path)
    forget()
    loaded = load_model(path)
    wanted = np.abs(Y - model.predict(X, verbose=0)).mean()
    assert loaded.evaluate(X, Y, verbose=0) == pytest.approx(wanted, rel=1e-5)


def test_sizes_are_free_where_they_do_not_matter(tmp_path):
    def share(x):  # of the last axis, whose size becomes part of what is written down
        return op("divide", op("sum", x, axis=-1, keepdims=True), float(x.shape[-1]))

    model = keras.Sequential(
        [keras.Input((None, 3)), keras.layers.Lambda(from_r(share, "share")), keras.layers.Dense(1)]
    )
    path = str(tmp_path / "model.keras")
    save_model(model, path)
    forget()
    held = load_model(path).layers[0].function
    for steps in (2, 7):
        x = np.arange(steps * 3, dtype="float32").reshape(1, steps, 3)
        np.testing.assert_allclose(held(x), x.mean(axis=-1, keepdims=True), rtol=1e-6)
    with pytest.raises(UnsupportedError, match="function 'share' is written in R: needs R"):
        held(np.ones((1, 2, 4), "float32"))


def test_objects_of_one_class_keep_their_own_arguments(tmp_path):
    def start(self, args, kwargs):
        self.f = kwargs.get("f", 1.0)

    def grown(self, args, kwargs):
        return op("multiply", op("sum", args[0]), self.f)

    named = {"name": "f", "kind": "named", "optional": True}
    first = {"name": "__init__", "function": start, "parameters": [named]}
    cls = class_from_r("Grown", keras.Regularizer, [first, method("__call__", grown, "w")])
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(2, kernel_regularizer=cls(f=2.0), kernel_initializer="ones"),
            keras.layers.Dense(2, kernel_regularizer=cls(f=3.0), kernel_initializer="ones"),
        ]
    )
    path = str(tmp_path / "model.keras")
    save_model(model, path)
    forget()
    loaded = load_model(path)
    assert [float(v) for v in loaded.losses] == [8.0, 12.0]
    assert loaded.layers[1].kernel_regularizer.get_config() == {"f": 3.0}


def test_other_shapes_than_those_of_the_file_need_r(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(
                3, kernel_initializer=from_r(lambda s, dtype=None: op("ones", s), "start")
            ),
        ]
    )
    path = str(tmp_path / "model.keras")
    save_model(model, path)
    forget()
    held = load_model(path).layers[0].kernel_initializer
    with pytest.raises(UnsupportedError, match="function 'start' is written in R: needs R"):
        held((4, 3), dtype="float32")


@pytest.mark.parametrize(
    "function, why",
    [
        (lambda x: op("add", x, op("random.normal", [2])), "draws random numbers"),
        (lambda x: op("multiply", x, float(np.asarray(keras.ops.mean(x)))), "does not run on symbolic tensors"),
        (lambda x: op("ones", [3, 2]), "does not depend on its arguments"),
        (lambda x: op("vectorized_map", lambda v: v * 2.0, x), "hands functions to operations"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_down_says_why(tmp_path, function, why):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(2)])
    model.layers[1].activation = from_r(function, "odd")
    path = str(tmp_path / "model.keras")
    model.layers[1].activation._r_forms["one"] = {
        "inputs": [[[None, 2], "float32"]], "args": [{"tensor": 0}], "kwargs": {},
    }  # fmt: skip
    save_model(model, path)
    forget()
    assert "programs" not in manifest_of(path)["custom_objects"][0]
    with pytest.raises(FileError, match="^function 'odd' is written in R: needs R") as caught:
        load_model(path)
    with pytest.raises(FileError, match=why):
        raise caught.value


def saved_initializer(tmp_path):
    start = from_r(lambda shape, dtype=None: op("multiply", op("ones", shape), 2.0), "start")
    activation = from_r(lambda x: op("tanh", x), "curve")
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, activation, kernel_initializer=start)]
    )
    path = str(tmp_path / "model.keras")
    save_model(model, path)
    forget()
    return path


def item_of(manifest, name):
    return next(item for item in manifest["custom_objects"] if item["name"] == name)


@pytest.mark.parametrize("name", ["start", "curve"])
def test_programs_are_audited_like_the_model(tmp_path, name):
    path = saved_initializer(tmp_path)

    def evil(manifest):
        case = item_of(manifest, name)["programs"][0]["cases"][0]
        bad = {"module": "os", "class_name": "system", "config": {}, "registered_name": None}
        if "steps" in case:
            case["steps"][0] = {"object": bad, "args": [[], {"dict": {}}]}
        else:
            case["graph"]["layers"][1].update(bad)

    with_manifest(path, evil)
    with pytest.raises(UnsafeFileError, match="'os.system' is not a part of a model"):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item.update(programs=[{"cases": []}]),
        lambda item: item["programs"][0].update(role="optimizer"),
        lambda item: item["programs"][0]["cases"][0].pop("steps"),
        lambda item: item["programs"][0]["cases"][0].update(inputs=[1]),
        lambda item: item["programs"][0]["cases"][0]["steps"][0].update(symbol="os.system"),
        lambda item: item["programs"][0]["cases"][0]["steps"][0].update(symbol="keras.ops.__class__"),
        lambda item: item["programs"][0]["cases"][0]["steps"][0].update(args=[[[100000, 100000]], {"dict": {}}]),
        lambda item: item["programs"][0]["cases"][0].update(result={"result": [7, None]}),
        lambda item: item["programs"].append(3),
    ],
)  # fmt: skip
def test_a_damaged_program_is_an_error_of_the_file(tmp_path, change):
    path = saved_initializer(tmp_path)
    with_manifest(path, lambda manifest: change(item_of(manifest, "start")))
    with pytest.raises(FileError, match="the program of 'start'"):
        load_model(path)
