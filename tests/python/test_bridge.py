"""The Python side of the border."""

from __future__ import annotations

import inspect
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from kerasbridge import bridge
from kerasbridge.bridge import holding
from kerasbridge.bridge.calls import resolve
from kerasbridge.bridge.from_r import RCodeError, Signal, r_function
from kerasbridge.bridge.outcome import describe, first_lines
from kerasbridge.errors import ArgumentError, DataError, UnsupportedError
from kerasbridge.runtime import presses


def value(outcome):
    assert outcome.ok, outcome.error
    return outcome.value


def test_start_reports_versions_and_classes():
    info = value(bridge.start(None))
    assert info["keras"] == keras.__version__
    assert info["classes"][f"{keras.Model.__module__}.Model"] == "model"
    assert info["classes"][f"{keras.Layer.__module__}.Layer"] == "layer"
    assert "tensor" in info["classes"].values()


def test_call_reaches_public_names():
    layer = value(bridge.call("keras.layers.Dense", [], {"units": 3}))
    assert isinstance(layer, keras.layers.Dense) and layer.units == 3
    total = value(bridge.call("keras.ops.add", [1, 2], {}))
    assert float(total) == 3


def test_unknown_names_and_arguments_are_refused():
    out = bridge.call("keras.layers.Nonsense")
    assert not out.ok and out.error["kind"] == "unsupported"
    assert "keras.layers.Nonsense" in out.error["message"]
    out = bridge.call("keras.ops.add", [1, 2], {"nonsense": 1})
    assert out.error["kind"] == "unsupported" and out.error["argument"] == "nonsense"
    with pytest.raises(UnsupportedError):
        resolve("keras.no.such")
    assert bridge.has("keras.layers.Dense") and not bridge.has("keras.layers.Nonsense")


def test_method_calls_methods_and_the_object_itself():
    layer = keras.layers.Dense(2)
    out = value(bridge.method(layer, "__call__", [np.ones((1, 3), "float32")], {}))
    assert tuple(out.shape) == (1, 2)
    assert value(bridge.method(layer, "count_params")) == 8


def test_errors_cross_as_plain_values():
    described = describe(DataError("bad column", hint="mend it", argument="x", details={"n": 1}))
    assert described["kind"] == "data"
    assert (described["message"], described["hint"]) == ("bad column", "mend it")
    assert described["argument"] == "x" and described["details"] == {"n": 1}
    assert describe(ValueError("`units` is wrong"))["argument"] == "units"
    assert describe(FileNotFoundError("gone"))["kind"] == "file"
    assert describe(MemoryError())["kind"] == "oom"
    assert describe(KeyError("k"))["message"] == "unknown name 'k'"


def fails(key):
    """An R function that ended in an error."""
    return r_function(lambda: Signal("error", "boom", key), "f")


def test_an_r_error_keeps_its_key_through_other_errors():
    with pytest.raises(RCodeError) as info:
        fails("7")()
    assert describe(info.value)["r_key"] == "7"
    try:
        fails("8")()
    except RCodeError as inner:
        try:
            raise RuntimeError("outer") from inner
        except RuntimeError as outer:
            assert describe(outer)["r_key"] == "8"
    # a backend that keeps only the text of the error
    try:
        fails("9")()
    except RCodeError as inner:
        text = f"in user code: {type(inner).__name__}: boom"
    assert describe(RuntimeError(text))["r_key"] == "9"
    assert describe(RuntimeError("unrelated"))["r_key"] is None


def test_an_r_function_keeps_its_name_and_signature_and_runs_on_its_thread_only():
    def add(a, b=2):
        return a + b

    made = r_function(add, "add_in_r")
    assert made(1) == 3 and made.__name__ == "add_in_r"
    assert list(inspect.signature(made).parameters) == ["a", "b"]
    with ThreadPoolExecutor(1) as pool, pytest.raises(UnsupportedError, match="`add_in_r` was"):
        pool.submit(made, 1).result()


def test_interrupts_cross_as_such():
    stop = r_function(lambda: Signal("interrupt"), "f")

    out = bridge.method(stop, "__call__")
    assert not out.ok and out.error["kind"] == "interrupt"
    # R may lose it on the way, and then asks for it again, once
    assert bridge.take_interrupted() is out and bridge.take_interrupted() is None
    bridge.method(stop, "__call__")
    bridge.release(bridge.hold())  # another call begins
    assert bridge.take_interrupted() is None


def test_a_press_is_answered_once_by_whoever_may(monkeypatch):
    signals = types.ModuleType("rpytools.signals")
    signals._callback = lambda reset: "R says"
    package = types.ModuleType("rpytools")
    package.signals = signals
    monkeypatch.setitem(sys.modules, "rpytools", package)
    monkeypatch.setitem(sys.modules, "rpytools.signals", signals)
    presses.unanswered()
    holding.install()
    waits = signals._callback
    assert waits(False) == "R says"  # neither handing over nor in a call

    # while arguments are handed over Python only notes it, and answers when R has not by then
    before = bridge.hold()
    assert waits(False) is False
    assert bridge.method(lambda: 1, "__call__").error["kind"] == "interrupt"
    assert bridge.method(lambda: 1, "__call__").value == 1
    bridge.release(before)

    # in a call Python answers, and the R code that it runs does first
    presses.unanswered()
    assert bridge.method(lambda: waits(False), "__call__").value is True
    presses.unanswered()
    ran = []
    careless = r_function(lambda: ran.append(waits(False)), "careless")
    assert bridge.method(careless, "__call__").error["kind"] == "interrupt" and ran == [False]
    presses.unanswered()
    answers = r_function(lambda: (waits(False), Signal("interrupt"))[1], "answers")
    assert bridge.method(answers, "__call__").error["kind"] == "interrupt"
    # the same press, once more, a moment later
    holding.answered_by_r()
    assert bridge.method(lambda: waits(False), "__call__").value is False
    # Python's own answer counts too
    presses.unanswered()
    twice = bridge.method(lambda: [waits(False), waits(False)], "__call__")
    assert twice.value == [True, False]


def test_first_lines_leaves_out_what_no_user_reads():
    text = (
        "Graph execution error:\n\nDetected at node x\nFile a.py\n"
        "Matrix size-incompatible\nStack trace for op definition:\n more"
    )
    assert first_lines(text) == "Matrix size-incompatible"
    assert len(first_lines("x" * 1000)) == 300
    where = "{{function_node __wrapped__Sub_device_/job:localhost/task:0}} "
    assert first_lines(where + "Incompatible shapes [Op:Sub] name: ") == "Incompatible shapes"
    inside = "keras" + ".src.models.sequential"
    assert first_lines(f"got <class '{inside}.Sequential'>") == "got Sequential"


def test_objects_are_described_by_class_and_settings():
    about = value(bridge.do("describe_object", {"object": keras.optimizers.SGD(0.5)}))
    assert about["type"] == "SGD" and about["settings"]["learning_rate"] == 0.5
    assert "name" not in about["settings"]
    stop = keras.callbacks.EarlyStopping(patience=3)
    assert value(bridge.do("describe_object", {"object": stop}))["settings"]["patience"] == 3
    assert value(bridge.do("describe_object", {"object": np.float32})) is None

    class Odd(keras.losses.Loss):
        def get_config(self):
            raise RuntimeError

    assert value(bridge.do("describe_object", {"object": Odd()}))["type"] == "Odd"


def test_a_layer_that_does_not_fit_leaves_the_model_as_it_was():
    conv = keras.layers.Conv2D(3, 30)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert not bridge.do("add_layer", {"model": model, "layer": conv}).ok
    assert len(model.layers) == 1
    assert model.predict(np.ones((2, 4)), verbose=0).shape == (2, 3)
    empty = keras.Sequential()
    described = {"model": empty, "layer": conv, "input": {"shape": (3, 3, 1)}}
    refused = bridge.do("add_layer", described)
    assert not refused.ok and "index" not in refused.error["message"]
    assert empty.layers == []
    fits = {"model": empty, "layer": keras.layers.Dense(2), "input": {"shape": (5,)}}
    assert bridge.do("add_layer", fits).ok
    assert empty.input_shape == (None, 5)


def test_values_convert():
    assert bridge.as_tuple([1, 2]) == (1, 2)
    assert bridge.as_dict(["0", "a"], [1.0, 2.0]) == {0: 1.0, "a": 2.0}
    assert bridge.whole_number("1099511627776") == 2**40
    column_major = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    t = bridge.as_tensor(column_major)
    assert bridge.dtype_of(t) == "float32"
    np.testing.assert_array_equal(bridge.to_r_array(t), column_major)
    assert bridge.dtype_of(bridge.as_tensor(np.array([1, 2], "int32"))) == "int32"
    whole = "int64" if keras.config.backend() != "jax" else "int32"  # JAX keeps 32 bits
    assert bridge.dtype_of(bridge.as_tensor([1, 2], "int64")) == whole
    half = keras.ops.cast(keras.ops.ones((2,)), "bfloat16")
    assert bridge.to_r_array(half).dtype == np.float32
    assert bridge.shape_of(keras.Input((3,))) == [-1, 3]
    assert bridge.dtype_of(keras.ops.ones((1,))) == "float32"


def test_every_verb_exists():
    from kerasbridge.bridge import verbs

    for verb in verbs._VERBS:
        assert callable(verbs.lookup(verb)), verb


def test_models_verbs_refuse_by_name():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="a")])
    out = bridge.do("get_layer", {"model": model, "name": "z"})
    assert out.error["argument"] == "name" and "'a'" in out.error["hint"]
    out = bridge.do("get_layer", {"model": model, "index": 5})
    assert out.error["kind"] == ArgumentError.kind
    described = value(bridge.do("describe_model", {"model": model}))
    assert described["layers"]["name"] == ["a"]
    assert described["trainable"] == 3 and described["layers"]["shape"] == ["(NA, 1)"]
    two = keras.Input((2,))
    branches = keras.layers.Add(name="sum")(
        [keras.layers.Dense(1, name="l")(two), keras.layers.Dense(1, name="r")(two)]
    )
    described = value(bridge.do("describe_model", {"model": keras.Model(two, branches)}))
    assert dict(zip(described["layers"]["name"], described["layers"]["from"]))["sum"] == "l, r"


def test_reset_states_reaches_nested_layers():
    inner = keras.Sequential(
        [keras.Input(batch_shape=(1, 2, 1)), keras.layers.LSTM(2, stateful=True)]
    )
    model = keras.Sequential([keras.Input(batch_shape=(1, 2, 1)), inner])
    x = np.ones((1, 2, 1), "float32")
    outputs = lambda: keras.ops.convert_to_numpy(model(x))  # noqa: E731
    first, again = outputs(), outputs()
    assert not np.allclose(first, again)
    value(bridge.do("reset_states", {"model": model}))
    np.testing.assert_allclose(outputs(), first, rtol=1e-6)


def test_numbers_beyond_rs_integers_arrive_as_doubles():
    from kerasbridge.bridge.outcome import outcome

    for value, kind in ((2**40, float), (-(2**31), float), (2**31 - 1, int), (True, bool)):
        assert type(outcome(lambda value=value: value)().value) is kind
        assert outcome(lambda value=value: value)().value == value
