"""The layers that Keras 3 has dropped: values against plain NumPy loops, saving, gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from kerasbridge import layers
from kerasbridge.errors import ArgumentError
from kerasbridge.layers.local_convolution import local_conv_1d, local_conv_2d, same_padding
from kerasbridge.layers.random_size import resize_axis

RNG = np.random.default_rng(3)
values = ops.convert_to_numpy


def numbers(*shape):
    return RNG.normal(size=shape).astype("float32")


def loop_1d(x, kernel, bias, size, stride):
    out = np.zeros((x.shape[0], kernel.shape[0], kernel.shape[2]), "float32")
    for b in range(x.shape[0]):
        for p in range(kernel.shape[0]):
            window = x[b, p * stride : p * stride + size].reshape(-1)
            out[b, p] = window @ kernel[p] + bias[p]
    return out


def loop_2d(x, kernel, bias, size, stride):
    rows, columns, filters = bias.shape
    out = np.zeros((x.shape[0], rows, columns, filters), "float32")
    for b in range(x.shape[0]):
        for r in range(rows):
            for c in range(columns):
                top, left = r * stride[0], c * stride[1]
                window = x[b, top : top + size[0], left : left + size[1]].reshape(-1)
                out[b, r, c] = window @ kernel[r * columns + c] + bias[r, c]
    return out


def test_importing_the_package_starts_no_keras(run_python):
    out = run_python("import sys, kerasbridge.layers as l; print('keras' in sys.modules, dir(l))")
    assert out.returncode == 0, out.stderr
    assert out.stdout.startswith("False")
    assert "LocallyConnected1D" in out.stdout


@pytest.mark.parametrize("padding,stride", [("valid", 1), ("valid", 2), ("same", 1), ("same", 3)])
def test_locally_connected_1d_is_the_loop(padding, stride):
    layer = layers.LocallyConnected1D(4, 3, stride, padding, bias_initializer="normal")
    x = numbers(2, 10, 5)
    out = layer(x)
    padded = x
    if padding == "same":
        padded = np.pad(x, [(0, 0), same_padding(10, 3, stride), (0, 0)])
    want = loop_1d(padded, values(layer.kernel), values(layer.bias), 3, stride)
    np.testing.assert_allclose(values(out), want, atol=1e-5)
    assert layer.compute_output_shape((2, 10, 5)) == tuple(out.shape)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    assert tuple(layer.kernel.shape) == (want.shape[1], 15, 4)


@pytest.mark.parametrize("padding,stride", [("valid", (1, 1)), ("valid", (2, 1)), ("same", (2, 3))])
def test_locally_connected_2d_is_the_loop(padding, stride):
    layer = layers.LocallyConnected2D(3, (2, 3), stride, padding, bias_initializer="normal")
    x = numbers(2, 6, 7, 2)
    out = layer(x)
    padded = x
    if padding == "same":
        around = [same_padding(6, 2, stride[0]), same_padding(7, 3, stride[1])]
        padded = np.pad(x, [(0, 0), *around, (0, 0)])
    want = loop_2d(padded, values(layer.kernel), values(layer.bias), (2, 3), stride)
    np.testing.assert_allclose(values(out), want, atol=1e-5)
    assert layer.compute_output_shape((2, 6, 7, 2)) == tuple(out.shape)


def test_same_padding_keeps_the_length():
    out = layers.LocallyConnected2D(2, 3, padding="same")(numbers(1, 5, 4, 1))
    assert tuple(out.shape) == (1, 5, 4, 2)


def test_channels_first_is_the_same_layer_transposed():
    x = numbers(2, 6, 5, 3)
    last = layers.LocallyConnected2D(4, (2, 3), data_format="channels_last", activation="tanh")
    first = layers.LocallyConnected2D(4, (2, 3), data_format="channels_first", activation="tanh")
    want = last(x)
    first.build((2, 3, 6, 5))
    kernel = values(last.kernel).reshape(-1, 2, 3, 3, 4).transpose(0, 3, 1, 2, 4)
    first.set_weights([kernel.reshape(values(first.kernel).shape), values(last.bias)])
    got = first(np.transpose(x, (0, 3, 1, 2)))
    assert tuple(got.shape) == first.compute_output_shape((2, 3, 6, 5)) == (2, 4, 5, 3)
    np.testing.assert_allclose(np.transpose(values(got), (0, 2, 3, 1)), values(want), atol=1e-5)

    x = numbers(2, 6, 3)
    last = layers.LocallyConnected1D(4, 2, 2, data_format="channels_last")
    first = layers.LocallyConnected1D(4, 2, 2, data_format="channels_first")
    want = last(x)
    first.build((2, 3, 6))
    kernel = values(last.kernel).reshape(-1, 2, 3, 4).transpose(0, 2, 1, 3)
    first.set_weights([kernel.reshape(values(first.kernel).shape), values(last.bias)])
    np.testing.assert_allclose(
        np.transpose(values(first(np.transpose(x, (0, 2, 1)))), (0, 2, 1)), values(want), atol=1e-5
    )


def test_local_convolution_functions():
    x, kernel = numbers(2, 7, 3), numbers(3, 9, 4)
    want = loop_1d(x, kernel, np.zeros((3, 4), "float32"), 3, 2)
    np.testing.assert_allclose(local_conv_1d(x, kernel, 3, 2), want, atol=1e-5)
    x, kernel = numbers(1, 4, 4, 2), numbers(9, 8, 3)
    want = loop_2d(x, kernel, np.zeros((3, 3, 3), "float32"), (2, 2), (1, 1))
    np.testing.assert_allclose(local_conv_2d(x, kernel, (2, 2)), want, atol=1e-5)
    with pytest.raises(ArgumentError, match=r"needs \(9, 8, filters\)"):
        local_conv_2d(x, kernel[:5], (2, 2))


@pytest.mark.parametrize(
    "arguments,named",
    [
        ({"filters": 0, "kernel_size": 3}, "filters"),
        ({"filters": 2, "kernel_size": (3, 3)}, "kernel_size"),
        ({"filters": 2, "kernel_size": 3, "padding": "causal"}, "padding"),
        ({"filters": 2, "kernel_size": 3, "data_format": "nhwc"}, "data_format"),
        ({"filters": 2, "kernel_size": 3, "implementation": 4}, "implementation"),
    ],
)
def test_locally_connected_refuses(arguments, named):
    with pytest.raises(ArgumentError) as caught:
        layers.LocallyConnected1D(**arguments)
    assert caught.value.argument == named


def test_locally_connected_needs_known_lengths():
    with pytest.raises(ArgumentError, match="unknown length"):
        layers.LocallyConnected1D(2, 3)(keras.Input((None, 4)))
    with pytest.raises(ArgumentError, match="larger than the input"):
        layers.LocallyConnected1D(2, 9)(numbers(1, 4, 2))


def test_thresholded_relu():
    x = np.array([[-2.0, 0.5, 1.0, 1.5]], "float32")
    np.testing.assert_array_equal(layers.ThresholdedReLU(1.0)(x), [[0, 0, 0, 1.5]])
    np.testing.assert_array_equal(layers.ThresholdedReLU(0.25)(x), [[0, 0.5, 1.0, 1.5]])
    with pytest.raises(ArgumentError, match="theta"):
        layers.ThresholdedReLU(-1)


def test_thresholded_relu_passes_the_mask_on():
    x = keras.layers.Masking()(np.array([[[1.0], [0.0]]], "float32"))
    out = layers.ThresholdedReLU(0.5)(x)
    np.testing.assert_array_equal(out._keras_mask, [[True, False]])


def test_resize_axis_is_linear_interpolation():
    x = numbers(1, 6, 4, 2)
    for length in (3, 6, 9):
        place = np.clip((np.arange(length) + 0.5) * 6 / length - 0.5, 0, 5)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, 5)
        share = (place - below)[None, :, None, None]
        want = x[:, below] * (1 - share) + x[:, above] * share
        np.testing.assert_allclose(resize_axis(x, 1, length, "bilinear"), want, atol=1e-5)
        size = (length, 4)
        np.testing.assert_allclose(ops.image.resize(x, size), want, atol=1e-5)
        nearest = x[:, np.floor((np.arange(length) + 0.5) * 6 / length).astype(int)]
        np.testing.assert_array_equal(resize_axis(x, 1, length, "nearest"), nearest)


@pytest.mark.parametrize("name,axis", [("RandomHeight", 1), ("RandomWidth", 2)])
def test_random_size(name, axis):
    layer = getattr(layers, name)((0.5, 0.5))
    x = numbers(2, 8, 6, 3)
    out = layer(x, training=True)
    want = list(x.shape)
    want[axis] = int(want[axis] * 1.5)
    assert list(out.shape) == want
    np.testing.assert_allclose(out, ops.image.resize(x, want[1:3]), atol=1e-5)
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_allclose(layer(x[0], training=True), values(out)[0], atol=1e-5)
    symbolic = layer(keras.Input((8, 6, 3)))
    expected = [None, 8, 6, 3]
    expected[axis] = None
    assert list(symbolic.shape) == expected
    out = layer(x.astype("int32"))
    assert keras.backend.standardize_dtype(out.dtype) == "float32"


def test_random_size_draws_within_its_bounds():
    layer = layers.RandomHeight((-0.5, 0.25), seed=7)
    x = numbers(1, 40, 2, 1)
    heights = [layer(x, training=True).shape[1] for _ in range(30)]
    assert min(heights) >= 20 and max(heights) <= 50
    assert len(set(heights)) > 5
    again = layers.RandomHeight((-0.5, 0.25), seed=7)
    assert heights == [again(x, training=True).shape[1] for _ in range(30)]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="about TensorFlow graphs")
def test_random_size_in_a_graph_draws_each_time():
    import tensorflow as tf

    layer = layers.RandomWidth(0.5, seed=1)
    data = tf.data.Dataset.from_tensors(numbers(1, 4, 30, 1)).repeat(12)
    widths = {batch.shape[2] for batch in data.map(lambda x: layer(x, training=True))}
    assert len(widths) > 3


def test_random_size_refuses():
    for factor in (-0.5, (0.5, 0.1), (-1.5, 0.2), (1, 2, 3)):
        with pytest.raises(ArgumentError) as caught:
            layers.RandomHeight(factor)
        assert caught.value.argument == "factor"
    with pytest.raises(ArgumentError, match="interpolation"):
        layers.RandomWidth(0.1, interpolation="bicubic")


CASES = [
    ("LocallyConnected1D", {"filters": 2, "kernel_size": 3, "padding": "same"}, (6, 2)),
    ("LocallyConnected2D", {"filters": 2, "kernel_size": [2, 3], "use_bias": False}, (5, 6, 2)),
    ("ThresholdedReLU", {"theta": 0.3}, (4,)),
    ("RandomHeight", {"factor": [-0.1, 0.2], "seed": 3}, (8, 6, 1)),
    ("RandomWidth", {"factor": 0.3, "interpolation": "nearest"}, (8, 6, 1)),
]


@pytest.mark.parametrize("name,arguments,shape", CASES)
def test_saved_models_load_in_another_process(name, arguments, shape, tmp_path, run_python):
    model = keras.Sequential([keras.Input(shape), getattr(layers, name)(**arguments)])
    x = numbers(3, *shape)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", model.predict(x, verbose=0))
    model.save(tmp_path / "m.keras")
    assert keras.saving.get_registered_name(type(model.layers[0])) == f"kerasbridge>{name}"
    out = run_python(
        f"d = {str(tmp_path)!r}\n"
        "import numpy as np\n"
        "from kerasbridge import saving\n"
        "m = saving.load_model(d + '/m.keras')\n"
        "y = m.predict(np.load(d + '/x.npy'), verbose=0)\n"
        "np.testing.assert_allclose(y, np.load(d + '/y.npy'), atol=1e-6)\n"
        f"assert type(m.layers[0]).__name__ == '{name}'\n"
    )
    assert out.returncode == 0, out.stderr[-2000:]


def test_importing_after_keras_registers(run_python):
    out = run_python(
        "import keras, kerasbridge.layers\n"
        "print(keras.saving.get_registered_object('kerasbridge>ThresholdedReLU').__name__)"
    )
    assert out.stdout.strip() == "ThresholdedReLU", out.stderr


@pytest.mark.parametrize("name,arguments,shape", CASES)
def test_config_round_trip(name, arguments, shape):
    layer = getattr(layers, name)(**arguments)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name,arguments,shape", CASES)
def test_mixed_precision_is_followed(name, arguments, shape, policy):
    layer = getattr(layers, name)(**arguments, dtype=policy)
    x = numbers(2, *shape)
    for training in (False, True):
        out = layer(x, training=training) if name.startswith("Random") else layer(x)
        assert keras.backend.standardize_dtype(out.dtype) == policy[6:]
    assert all(keras.backend.standardize_dtype(w.dtype) == "float32" for w in layer.weights[:2])
    full = values(getattr(layers, name)(**arguments)(x))
    if not layer.weights:  # others draw their own
        np.testing.assert_allclose(values(layer(x)).astype("float32"), full, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name,arguments,shape", CASES)
def test_the_documentation_gives_shapes(name, arguments, shape):
    text = getattr(layers, name).__doc__
    assert "(batch, " in text or "same, arbitrary shape" in text


@pytest.mark.parametrize("name,arguments,shape", CASES[:3])
def test_training_reduces_the_loss(name, arguments, shape):
    """Gradients reach the weights of the layer and those below it."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Dense(shape[-1]),
            getattr(layers, name)(**arguments),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    x = numbers(64, *shape)
    y = x.reshape(64, -1).sum(axis=1, keepdims=True)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss="mse")
    before = [np.array(w) for w in model.layers[0].get_weights() + model.layers[1].get_weights()]
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    after = model.layers[0].get_weights() + model.layers[1].get_weights()
    assert losses[-1] < 0.8 * losses[0]
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(after, before))


def test_mean_relative_error():
    metric = layers.MeanRelativeError(normalizer=[1, 3, 2, 0])
    metric.update_state([1, 3, 2, 3], [2, 4, 6, 8])
    np.testing.assert_allclose(metric.result(), np.mean([1, 1 / 3, 2, 0]), rtol=1e-6)
    metric.reset_state()
    metric.update_state([[1, 3, 2, 3]], [[2, 4, 6, 8]], sample_weight=[[1, 0, 0, 1]])
    np.testing.assert_allclose(metric.result(), 0.5, rtol=1e-6)
    copy = layers.MeanRelativeError.from_config(metric.get_config())
    np.testing.assert_array_equal(copy.normalizer, [1, 3, 2, 0])
    with pytest.raises(ArgumentError, match="normalizer"):
        layers.MeanRelativeError([float("nan")])


def test_mean_relative_error_in_training():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse", metrics=[layers.MeanRelativeError(normalizer=[2.0])])
    x, y = numbers(8, 2), numbers(8, 1)
    want = np.abs(y - model.predict(x, verbose=0)).mean() / 2
    got = model.evaluate(x, y, verbose=0, return_dict=True)["mean_relative_error"]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_mean_tensor():
    metric = layers.MeanTensor()
    with pytest.raises(ArgumentError, match="no values"):
        metric.result()
    metric.update_state([0.0, 1, 2, 3])
    metric.update_state([4.0, 5, 6, 7])
    np.testing.assert_allclose(metric.result(), [2, 3, 4, 5])
    with pytest.raises(ArgumentError, match="have shape"):
        metric.update_state([1.0])
    metric.reset_state()
    np.testing.assert_allclose(metric.result(), [0, 0, 0, 0])
    metric.update_state([0.0, 1, 2, 3], sample_weight=[0, 0.2, 1, 0])
    metric.update_state([4.0, 5, 6, 7], sample_weight=[1, 0.8, 0, 0])
    np.testing.assert_allclose(metric.result(), [4, 4.2, 2, 0], rtol=1e-6)
    rows = layers.MeanTensor(shape=(2, 2))
    rows.update_state([[1.0, 2], [3, 4]], sample_weight=[1, 0])
    np.testing.assert_allclose(rows.result(), [[1, 2], [0, 0]])
    assert layers.MeanTensor.from_config(rows.get_config()).shape == (2, 2)
