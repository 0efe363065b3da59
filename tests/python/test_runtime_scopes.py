"""Layers may have names that scopes of TensorFlow may not."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge.runtime.scopes import permit_any_name, permitted
from kerasbridge.runtime.starting import start


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("dense_1", "dense_1"),
        ("dense 1", "dense_1"),
        ("_b", "s_b"),
        ("é", "s_"),
        ("a/b-c.d", "a/b-c.d"),
    ],
)
def test_the_nearest_name(name, scope):
    assert permitted(name) == scope


def test_a_model_with_any_names_trains_and_keeps_them():
    start()
    permit_any_name(keras)  # once is enough, twice does no harm
    names = ["lstm 1", "_é:x", "dense 1", "dense_1"]
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.LSTM(2, name=names[0]),
            *(keras.layers.Dense(1, name=name) for name in names[1:]),
        ]
    )
    assert [layer.name for layer in model.layers] == names
    assert model.layers[2].kernel.path.endswith("dense 1/kernel")
    model.compile("sgd", "mse")
    x = np.ones((2, 4, 3), "float32")
    model.fit(x, np.ones((2, 1)), verbose=0)
    outputs = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(model.predict(x, verbose=0), outputs, rtol=1e-5)
