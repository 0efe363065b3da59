"""Classes built from callables: parameters, construction, configuration."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from kerasbridge.bridge.classes_from_r import class_from_r, class_kind, parameters_of, whole_shape  # noqa: E402
from kerasbridge.errors import ArgumentError  # noqa: E402


def named(name, optional=False, default=None):
    return {"name": name, "kind": "named", "optional": optional, "default": default}


def make_times(super_called=True):
    def start(self, args, kwargs):
        if super_called:
            super(made, self).__init__()
        self.k = kwargs.get("k", 2.0)

    methods = [
        {"name": "__init__", "function": start, "parameters": [named("k", True, 2.0)]},
        {
            "name": "call",
            "function": lambda self, args, kwargs: args[0] * self.k,
            "parameters": [named("inputs"), named("training", True)],
        },
    ]
    made = class_from_r("Times", keras.Layer, methods)
    return made


def test_methods_have_the_parameters_of_r():
    made = make_times()
    assert list(inspect.signature(made.call).parameters) == ["self", "inputs", "training"]
    assert class_kind(made) == "layer"
    assert parameters_of(made.call)[2] == {"name": "training", "kind": "named", "optional": True}


def test_a_layer_computes_and_comes_back_from_its_configuration():
    layer = make_times()(k=3.0, name="t")
    np.testing.assert_array_equal(layer(np.ones((1, 2), "float32")), [[3.0, 3.0]])
    config = layer.get_config()
    assert (config["k"], config["name"]) == (3.0, "t")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.k, again.name) == (3.0, "t")


def test_a_constructor_that_forgets_the_class_above_is_told():
    with pytest.raises(ArgumentError, match="super"):
        make_times(super_called=False)()


@pytest.mark.parametrize(
    "given, wanted", [(None, ()), (3.0, (3,)), ([3.0, None], (3, None)), (np.array([2, 4]), (2, 4))]
)
def test_shapes_of_r_become_whole(given, wanted):
    assert whole_shape(given) == wanted


@pytest.mark.parametrize("given", [[2.5], ["a"], [-1]])
def test_shapes_that_are_none_are_refused(given):
    with pytest.raises((ArgumentError, ValueError)):
        whole_shape(given)
