"""Functions behind the older backend names: loops over time, gradients between model tensors."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from kerasbridge.errors import ArgumentError, UnsupportedError
from kerasbridge.layers.gradients import gradients
from kerasbridge.layers.time_steps import rnn

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 4, 2)).astype("float32")
W = RNG.normal(size=(2, 2)).astype("float32")


def step(x, states):
    h = ops.tanh(ops.add(x, ops.matmul(states[0], W)))
    return ops.multiply(h, 2.0), [h, ops.add(states[1], 1.0)]


def loop(x, mask=None):
    h, count, out = np.zeros((3, 2), "float32"), np.zeros((3, 1), "float32"), None
    outs = []
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] + h @ W)
        keep = np.ones((3, 1), bool) if mask is None else mask[:, t].reshape(3, 1)
        out = np.where(keep, 2 * new, np.zeros((3, 2)) if out is None else out)
        h, count = np.where(keep, new, h), np.where(keep, count + 1, count)
        outs.append(out)
    return out, np.stack(outs, axis=1), h, count


MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]], bool)


@pytest.mark.parametrize("unroll", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("mask", [None, MASK, MASK[:, :, None]])
def test_rnn_is_the_loop(unroll, backwards, mask):
    states = [np.zeros((3, 2), "float32"), np.zeros((3, 1), "float32")]
    last, outputs, new = rnn(step, X, states, backwards, mask, unroll=unroll)
    x = X[:, ::-1] if backwards else X
    flat = None if mask is None else mask.reshape(3, 4)
    want = loop(x, flat if flat is None or not backwards else flat[:, ::-1])
    for got, value in zip([last, outputs, *new], want):
        np.testing.assert_allclose(got, value, atol=1e-5)


def test_rnn_hands_constants_on():
    def add(x, states):
        total = x + states[0] + states[1]
        return total, [total]

    last, _, _ = rnn(add, X, [np.zeros((3, 2), "float32")], constants=[np.ones((3, 2), "float32")])
    np.testing.assert_allclose(last, X.sum(axis=1) + 4, atol=1e-5)


def test_rnn_refuses():
    zero = [np.zeros((3, 2), "float32")]
    with pytest.raises(ArgumentError, match="must be known"):
        rnn(step, keras.Input((None, 2)), zero)
    with pytest.raises(ArgumentError, match="two things"):
        rnn(lambda x, s: x, X, zero)
    with pytest.raises(ArgumentError, match="gave back 2 states, 1 go in"):
        rnn(lambda x, s: (x, [x, x]), X, zero)


tensorflow_only = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="gradients between tensors need TensorFlow"
)


@tensorflow_only
def test_gradients_between_tensors_of_a_model():
    x = keras.Input((2,))
    hidden = keras.layers.Dense(3, activation="tanh")(x)
    loss = ops.sum(ops.square(hidden))
    by_input, by_hidden = gradients(loss, [x])[0], gradients(loss, [hidden])[0]
    model = keras.Model(x, [hidden, by_input, by_hidden])
    values = X[:, 0]
    h, gx, gh = (np.asarray(v) for v in model(values))
    np.testing.assert_allclose(gh, 2 * h, atol=1e-5)
    kernel = np.asarray(model.layers[1].kernel)
    np.testing.assert_allclose(gx, (2 * h * (1 - h**2)) @ kernel.T, atol=1e-5)
    assert by_input.shape == (None, 2)


@tensorflow_only
def test_gradients_inside_a_traced_function():
    import tensorflow as tf

    v = tf.Variable([1.0, 2.0])

    @tf.function
    def run():
        return gradients(tf.reduce_sum(v**3), [v])[0]

    np.testing.assert_allclose(run(), [3.0, 12.0])


@tensorflow_only
def test_gradients_refuse_what_has_no_answer():
    with pytest.raises(UnsupportedError, match="how it came about") as caught:
        gradients(ops.convert_to_tensor(1.0), [ops.convert_to_tensor(1.0)])
    assert "GradientTape" in caught.value.hint
    a, b = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(ArgumentError, match="can't be computed"):
        gradients(ops.sum(a), [b])
    with pytest.raises(UnsupportedError, match="a variable is not"):
        gradients(ops.sum(a), [ops.convert_to_tensor(1.0)])
