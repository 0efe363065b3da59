"""What stands in for functions of Keras on JAX or PyTorch gives what numpy gives."""

import keras
import numpy as np
import pytest
from kerasbridge.bridge import backend_ops
from kerasbridge.errors import UnsupportedError

X = np.arange(6, dtype="float32").reshape(2, 3)
Y = np.arange(24, dtype="float32").reshape(2, 3, 4)
BACKEND = keras.config.backend()


def stand_in(name, backend="torch"):
    return backend_ops.replacement(f"keras.ops.{name}", backend)


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
    found = stand_in(name)(**arguments)
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
    else:
        found, expected = [found], [expected]
    for value, number in zip(found, expected):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(value), number, rtol=1e-6)


def test_linspace_gives_its_step():
    values, step = stand_in("linspace")(0.0, 1.0, 5, retstep=True)
    assert values.shape == (5,)
    assert float(step) == 0.25


def test_an_axis_of_unknown_length_is_refused_only_where_it_is_padded():
    pad = stand_in("pad")
    x = keras.Input((3, 2))
    assert pad(x, ((0, 0), (2, 0), (0, 1)), mode="symmetric").shape == (None, 5, 3)
    with pytest.raises(UnsupportedError, match="unknown length"):
        pad(x, ((1, 0), (0, 0), (0, 0)), mode="symmetric")


def test_pools_move_by_their_own_size():
    found = stand_in("max_pool", "jax")(np.reshape(Y[..., :2], (1, 3, 2, 2)), (1, 2))
    assert found.shape == (1, 3, 1, 2)
    average = stand_in("average_pool", "jax")(Y[None], 2)
    assert average.shape == (1, 1, 1, 4)
    assert keras.ops.convert_to_numpy(average).ravel().tolist() == [8, 9, 10, 11]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="Keras' own will do on TensorFlow")
def test_rows_of_a_factorization_come_in_their_order():
    x = np.array([[[1, 2, 0], [4, 3, 1], [8, 1, 5]], [[0, 1, 0], [0, 0, 2], [3, 0, 0]]], "float32")
    factors, order = map(keras.ops.convert_to_numpy, stand_in("lu_factor", BACKEND)(x))
    lower, upper = np.tril(factors, -1) + np.eye(3), np.triu(factors)
    np.testing.assert_allclose(np.take_along_axis(x, order[..., None], 1), lower @ upper, atol=1e-6)
    assert order.dtype == "int32"


@pytest.mark.skipif(BACKEND != "jax", reason="Keras' own will do elsewhere")
def test_segments_are_counted_but_where_they_are_traced():
    import jax

    total = stand_in("segment_sum", "jax")
    ids = np.array([0, 2, 2])
    assert total(X[0], ids).tolist() == [0, 0, 3]
    assert total(X[0], ids, num_segments=4).tolist() == [0, 0, 3, 0]
    with pytest.raises(ValueError, match="num_segments"):
        jax.jit(lambda i: total(X[0], i))(ids)


def test_other_functions_are_those_of_keras():
    assert backend_ops.replacement("keras.ops.matmul", "torch") is None
    assert backend_ops.replacement("keras.ops.dot", "tensorflow") is None
