"""What stands in for functions of Keras on PyTorch gives what numpy gives, whatever the backend."""

import keras
import numpy as np
import pytest
from kerasbridge.bridge.torch_ops import replacement
from kerasbridge.errors import UnsupportedError

X = np.arange(6, dtype="float32").reshape(2, 3)
Y = np.arange(24, dtype="float32").reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("dot", {"x1": X, "x2": Y}, np.dot(X, Y)),
        ("dot", {"x1": Y, "x2": X[0, :1] + np.ones(4, "float32")}, Y.sum(-1)),
        ("vdot", {"x1": X, "x2": X}, np.vdot(X, X)),
        ("repeat", {"x": X, "repeats": [2, 0, 1], "axis": 1}, np.repeat(X, [2, 0, 1], axis=1)),
        ("repeat", {"x": X, "repeats": 2}, np.repeat(X, 2)),
        ("linspace", {"start": X, "stop": X + 1, "num": 3, "axis": -1}, X[..., None] + [0, 0.5, 1]),
        ("linspace", {"start": X, "stop": X + 1, "num": 1}, X[None]),
        ("pad", {"x": X, "pad_width": ((2, 1), (0, 3)), "mode": "symmetric"}, None),
        ("pad", {"x": X, "pad_width": ((0, 0), (1, 2)), "mode": "reflect"}, None),
        ("nonzero", {"x": X}, np.nonzero(X)),
        ("where", {"condition": X > 2}, np.nonzero(X > 2)),
        ("where", {"condition": X > 2, "x1": X, "x2": -X}, np.where(X > 2, X, -X)),
    ],
)
def test_numbers_are_those_of_numpy(name, arguments, expected):
    if expected is None:
        expected = np.pad(X, arguments["pad_width"], mode=arguments["mode"])
    found = replacement(f"keras.ops.{name}")(**arguments)
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
    else:
        found, expected = [found], [expected]
    for value, number in zip(found, expected):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(value), number, rtol=1e-6)


def test_linspace_gives_its_step():
    values, step = replacement("keras.ops.linspace")(0.0, 1.0, 5, retstep=True)
    assert values.shape == (5,)
    assert float(step) == 0.25


def test_an_axis_of_unknown_length_is_refused_only_where_it_is_padded():
    pad = replacement("keras.ops.pad")
    x = keras.Input((3, 2))
    assert pad(x, ((0, 0), (2, 0), (0, 1)), mode="symmetric").shape == (None, 5, 3)
    with pytest.raises(UnsupportedError, match="unknown length"):
        pad(x, ((1, 0), (0, 0), (0, 0)), mode="symmetric")


def test_other_functions_are_those_of_keras():
    assert replacement("keras.ops.matmul") is None
