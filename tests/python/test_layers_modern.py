"""The layers beyond Keras' own: shapes, types, values against NumPy, masks, saving, gradients."""

from __future__ import annotations

import inspect
import math

import keras
import numpy as np
import pytest
from kerasbridge import layers
from kerasbridge.errors import ArgumentError

RNG = np.random.default_rng(11)


values = keras.ops.convert_to_numpy


def numbers(*shape):
    return RNG.normal(size=shape).astype("float32")


EDGES = [[-2.0, 0.0, 1.0], [-1.0, 0.5, 2.0], [0.0, 1.0, 4.0]]
TABLE = (numbers(4, 3), RNG.integers(0, [2, 5], size=(4, 2)).astype("int32"))

# name -> (layer, input, shape of the output)
CASES = {
    "PositionEmbedding": (
        lambda **k: layers.PositionEmbedding(9, **k),
        numbers(2, 5, 4),
        (2, 5, 4),
    ),
    "SinusoidalEncoding": (lambda **k: layers.SinusoidalEncoding(**k), numbers(2, 5, 3), (2, 5, 3)),
    "TransformerEncoder": (
        lambda **k: layers.TransformerEncoder(2, 8, **k),
        numbers(2, 5, 4),
        (2, 5, 4),
    ),
    "TransformerEncoder, norm first": (
        lambda **k: layers.TransformerEncoder(4, 8, 0.1, "gelu", norm_first=True, **k),
        numbers(2, 5, 4),
        (2, 5, 4),
    ),
    "TransformerDecoder": (
        lambda **k: layers.TransformerDecoder(2, 8, **k),
        numbers(2, 5, 4),
        (2, 5, 4),
    ),
    "PatchEmbedding": (
        lambda **k: layers.PatchEmbedding(2, 6, class_token=True, **k),
        numbers(2, 4, 6, 3),
        (2, 7, 6),
    ),
    "TemporalBlock": (
        lambda **k: layers.TemporalBlock(6, 3, 2, dropout=0.2, **k),
        numbers(2, 8, 3),
        (2, 8, 6),
    ),
    "ReversibleInstanceNorm": (
        lambda **k: layers.ReversibleInstanceNorm(**k),
        numbers(2, 8, 3),
        (2, 8, 3),
    ),
    "FeatureTokenizer": (lambda **k: layers.FeatureTokenizer(5, **k), numbers(4, 3), (4, 4, 5)),
    "FeatureTokenizer, two inputs": (
        lambda **k: layers.FeatureTokenizer(5, [2, 5], class_token=False, **k),
        list(TABLE),
        (4, 5, 5),
    ),
    "TabularTransformer": (
        lambda **k: layers.TabularTransformer(8, 1, 2, [2, 5], **k),
        list(TABLE),
        (4, 8),
    ),
    "PeriodicEmbedding": (lambda **k: layers.PeriodicEmbedding(4, **k), numbers(4, 3), (4, 3, 8)),
    "PiecewiseLinearEmbedding": (
        lambda **k: layers.PiecewiseLinearEmbedding(EDGES, **k),
        numbers(4, 3),
        (4, 3, 2),
    ),
    "MixtureDensity": (lambda **k: layers.MixtureDensity(3, 2, **k), numbers(4, 5), (4, 15)),
    "MonteCarloDropout": (lambda **k: layers.MonteCarloDropout(0.5, **k), numbers(4, 5), (4, 5)),
    "GradientReversal": (lambda **k: layers.GradientReversal(2.0, **k), numbers(4, 5), (4, 5)),
    "SqueezeExcite": (lambda **k: layers.SqueezeExcite(2, **k), numbers(2, 4, 4, 6), (2, 4, 4, 6)),
    "AttentionPooling": (lambda **k: layers.AttentionPooling(4, **k), numbers(2, 5, 4), (2, 4)),
}
each = pytest.mark.parametrize("name", CASES)


def arrays(x):
    return x if isinstance(x, list) else [x]


def model_of(make, x):
    inputs = [keras.Input(part.shape[1:], dtype=str(part.dtype)) for part in arrays(x)]
    return keras.Model(inputs, make()(inputs if isinstance(x, list) else inputs[0]))


@each
def test_shapes_and_types(name):
    make, x, shape = CASES[name]
    layer = make()
    out = layer(x)
    assert tuple(out.shape) == shape
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    of = [tuple(part.shape) for part in x] if isinstance(x, list) else tuple(x.shape)
    assert layer.compute_output_shape(of) == shape
    free = [(None, *s[1:]) for s in of] if isinstance(x, list) else (None, *of[1:])
    assert make().compute_output_shape(free) == (None, *shape[1:])
    assert type(layer).__module__.startswith("kerasbridge.layers.")
    low = make(dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(low(x).dtype) == "bfloat16"
    assert all(keras.backend.standardize_dtype(w.dtype) == "float32" for w in low.trainable_weights)


@each
def test_a_layer_comes_back_from_its_config_and_from_a_file(name, tmp_path):
    make, x, _ = CASES[name]
    layer = make()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    model = model_of(make, x)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert f"kerasbridge>{type(layer).__name__}" == keras.saving.get_registered_name(type(layer))
    if name == "MonteCarloDropout":
        assert loaded.layers[-1].rate == 0.5
    else:
        np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


@each
def test_training_reaches_every_weight(name):
    make, x, shape = CASES[name]
    model = model_of(make, x)
    before = [values(w) for w in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(x, numbers(*shape) + 2.0, epochs=2, batch_size=shape[0], verbose=0)
    for old, weight in zip(before, model.trainable_weights):
        # a softmax doesn't feel what is added to all its inputs: the key's offset has no gradient
        if "key/bias" not in weight.path:
            assert not np.array_equal(old, values(weight)), weight.path
        assert np.isfinite(values(weight)).all()


# what each layer does with a mask of its steps: hands it on, takes it for itself, or has no steps to mask
HANDS_ON = {
    "PositionEmbedding", "SinusoidalEncoding", "TransformerEncoder", "TransformerEncoder, norm first",
    "TransformerDecoder", "TemporalBlock", "ReversibleInstanceNorm", "MonteCarloDropout", "GradientReversal",
    "SqueezeExcite",
}  # fmt: skip
TAKES = {"AttentionPooling"}
NO_STEPS = {
    "PatchEmbedding", "FeatureTokenizer", "FeatureTokenizer, two inputs", "TabularTransformer", "PeriodicEmbedding",
    "PiecewiseLinearEmbedding", "MixtureDensity",
}  # fmt: skip


@each
def test_what_becomes_of_a_mask(name):
    assert {name} <= HANDS_ON | TAKES | NO_STEPS
    make, x, _ = CASES[name]
    if name in NO_STEPS:  # one that comes all the same is said to be lost, by Keras
        assert not make().supports_masking
        return
    steps = numbers(2, 8, 4)
    mask = np.array([[True] * 5 + [False] * 3, [True] * 8])
    other = steps.copy()
    other[0, 5:] = 9.0
    layer = make()
    inputs = keras.Input((8, 4))
    seen = keras.layers.Masking(mask_value=9.0)(inputs)
    out = layer(seen)
    model = keras.Model(inputs, out)
    got = model(other)
    given = {"mask": mask} if "mask" in inspect.signature(layer.call).parameters else {}
    if name in TAKES:
        assert getattr(got, "_keras_mask", None) is None
        np.testing.assert_allclose(values(got), values(layer(steps, **given)), atol=1e-5)
        return
    np.testing.assert_array_equal(values(got._keras_mask), mask)
    if name != "MonteCarloDropout":
        # what lies in the padding changes nothing before it
        np.testing.assert_allclose(
            values(got)[0, :5], values(layer(steps, **given))[0, :5], atol=1e-5
        )


def test_masks_of_both_inputs_reach_a_decoder():
    decoder = layers.TransformerDecoder(2, 8)
    x, encoded = numbers(1, 5, 4), numbers(1, 3, 4)
    one, two = keras.Input((5, 4)), keras.Input((3, 4))
    masking = keras.layers.Masking(mask_value=9.0)
    model = keras.Model([one, two], decoder(masking(one), masking(two)))
    x[0, 0], encoded[0, 2] = 9.0, 9.0  # padding at the start, which no causal mask hides
    want = decoder(
        x * (x != 9.0), encoded * (encoded != 9.0), mask=np.array([[False] + [True] * 4]),
        encoded_mask=np.array([[True, True, False]]),
    )  # fmt: skip
    np.testing.assert_allclose(values(model([x, encoded]))[:, 1:], values(want)[:, 1:], atol=1e-5)
    free = values(decoder(x * (x != 9.0), encoded * (encoded != 9.0)))
    assert not np.allclose(free[:, 1:], values(want)[:, 1:], atol=1e-3)


def test_padding_counts_in_no_mean():
    x = numbers(2, 6, 4)
    mask = np.array([[True] * 4 + [False] * 2, [True] * 6])
    layer = layers.ReversibleInstanceNorm()
    np.testing.assert_allclose(
        values(layer(x, mask=mask))[0, :4], values(layer(x[:1, :4]))[0], atol=1e-5
    )
    forecast = numbers(2, 3, 4)
    np.testing.assert_allclose(
        values(layer(forecast, reference=x, reference_mask=mask))[0],
        values(layer(forecast[:1], reference=x[:1, :4]))[0],
        atol=1e-5,
    )
    scaled = layers.SqueezeExcite(2)
    np.testing.assert_allclose(
        values(scaled(x, mask=mask))[0, :4], values(scaled(x[:1, :4]))[0], atol=1e-5
    )
    none = np.zeros((2, 6), bool)
    assert np.isfinite(values(layer(x, mask=none))).all()


def test_a_reversed_input_is_exactly_the_input():
    x = numbers(3, 4) * 1e3
    for factor in (0.1, 3.0, 1e4):
        np.testing.assert_array_equal(layers.GradientReversal(factor)(x), x)
    low = layers.GradientReversal(1e4, dtype="mixed_float16")(x)
    np.testing.assert_array_equal(values(low), x.astype("float16"))


@each
def test_the_documentation_gives_shapes_and_the_source(name):
    text = type(CASES[name][0]()).__doc__
    assert "`(batch, " in text or "same shape" in text, name
    assert "Source: " in text, name


def test_positions_are_added_row_by_row():
    layer = layers.PositionEmbedding(6)
    x = numbers(2, 4, 3)
    out = values(layer(x))
    np.testing.assert_allclose(out, x + values(layer.embeddings)[None, :4], rtol=1e-6)
    with pytest.raises(ValueError, match="vectors for 6 steps; the input has 7"):
        layer(numbers(1, 7, 3))


def test_waves_have_the_published_form():
    x = np.zeros((1, 7, 6), "float32")
    out = values(layers.SinusoidalEncoding(100.0, scale=2.0)(x))[0]
    for step in range(7):
        for i in range(3):
            angle = step / 100.0 ** (i / 3)
            assert out[step, i] == pytest.approx(2 * math.sin(angle), abs=1e-5)
            assert out[step, 3 + i] == pytest.approx(2 * math.cos(angle), abs=1e-5)


def test_padded_steps_are_not_looked_at():
    encoder = layers.TransformerEncoder(2, 8)
    x = numbers(1, 5, 4)
    mask = np.array([[True, True, True, False, False]])
    other = x.copy()
    other[:, 3:] = 9.0
    one, two = values(encoder(x, mask=mask)), values(encoder(other, mask=mask))
    np.testing.assert_allclose(one[:, :3], two[:, :3], atol=1e-5)
    assert not np.allclose(values(encoder(x))[:, :3], values(encoder(other))[:, :3])
    pooled = layers.AttentionPooling(4)
    one, two = values(pooled(x, mask=mask)), values(pooled(other, mask=mask))
    np.testing.assert_allclose(one, two, atol=1e-5)
    block = layers.TemporalBlock(4)
    np.testing.assert_allclose(
        values(block(x, mask=mask))[:, :3], values(block(other, mask=mask))[:, :3], atol=1e-5
    )
    # and the mask is handed on, except where the steps end
    model = keras.Sequential([keras.layers.Embedding(9, 4, mask_zero=True), encoder, pooled])
    assert tuple(model(np.array([[1, 2, 0, 0, 0]])).shape) == (1, 4)


def test_a_decoder_sees_no_later_step():
    decoder = layers.TransformerDecoder(2, 8)
    x, encoded = numbers(1, 5, 4), numbers(1, 3, 6)
    later = x.copy()
    later[:, 3:] += 5.0
    one = values(decoder(x, encoded))
    np.testing.assert_allclose(one[:, :3], values(decoder(later, encoded))[:, :3], atol=1e-5)
    changed = encoded.copy()
    changed[:, 2:] += 5.0
    assert not np.allclose(one, values(decoder(x, changed)))
    seen = np.array([[True, True, False]])
    np.testing.assert_allclose(
        values(decoder(x, encoded, encoded_mask=seen)),
        values(decoder(x, changed, encoded_mask=seen)),
        atol=1e-5,
    )
    with pytest.raises(ValueError, match="called without one"):
        decoder(x)


def test_a_temporal_block_is_causal():
    block = layers.TemporalBlock(4, kernel_size=2, dilation_rate=2)
    x = numbers(1, 12, 3)
    later = x.copy()
    later[:, 8:] += 3.0
    one, two = values(block(x)), values(block(later))
    np.testing.assert_allclose(one[:, :8], two[:, :8], atol=1e-6)
    assert not np.allclose(one[:, 8:], two[:, 8:])
    # 2 (kernel - 1) dilation = 4 steps back and no further
    early = x.copy()
    early[:, 0] += 3.0
    three = values(block(early))
    assert not np.allclose(one[:, 4], three[:, 4])
    np.testing.assert_allclose(one[:, 5:], three[:, 5:], atol=1e-6)


def test_normalization_can_be_undone():
    layer = layers.ReversibleInstanceNorm()
    x = numbers(2, 30, 3) * 7 + 40
    out = values(layer(x))
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=1), 1, atol=1e-3)
    layer.gamma.assign([2.0, 0.5, 1.0])
    layer.beta.assign([1.0, -1.0, 0.0])
    np.testing.assert_allclose(values(layer(layer(x), reference=x)), x, rtol=1e-3)
    forecast = np.zeros((2, 4, 3), "float32") + np.array([1.0, -1.0, 0.0], "float32")
    level = x.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        values(layer(forecast, reference=x)), np.repeat(level, 4, 1), rtol=1e-4
    )
    with pytest.raises(ArgumentError, match="forecast of 2 features for series of 3"):
        layer(numbers(2, 4, 2), reference=x)


def test_patches_are_cut_row_by_row():
    layer = layers.PatchEmbedding(2, 3, position=False)
    x = numbers(1, 4, 6, 2)
    out = values(layer(x))
    kernel = values(layer.project.kernel).reshape(-1, 3)
    patch = x[0, 2:4, 0:2].reshape(-1)  # the first of the second row
    np.testing.assert_allclose(out[0, 3], patch @ kernel, atol=1e-5)
    with pytest.raises(ArgumentError, match="5 x 6 pixels into patches of 2 x 2"):
        layers.PatchEmbedding(2, 3)(numbers(1, 5, 6, 2))
    with pytest.raises(ArgumentError, match="known size"):
        layers.PatchEmbedding(2, 3).build((None, None, None, 3))


def test_columns_become_vectors():
    layer = layers.FeatureTokenizer(5, [2, 5])
    x, codes = TABLE
    out = values(layer([x, codes]))
    scale, offset = values(layer.scale), values(layer.offset)
    np.testing.assert_allclose(out[:, 0], np.repeat(values(layer.token)[0], 4, 0))
    np.testing.assert_allclose(out[:, 2], x[:, 1:2] * scale[1] + offset[1], rtol=1e-5)
    row = 2 + codes[:, 1]
    want = values(layer.table)[row] + values(layer.table_offset)[1]
    np.testing.assert_allclose(out[:, 5], want, rtol=1e-5)
    with pytest.raises(ArgumentError, match="2 `cardinalities`, and its input 0 columns"):
        layers.FeatureTokenizer(5, [2, 5]).build((None, 3))


def test_numbers_become_waves_and_shares_of_bins():
    layer = layers.PeriodicEmbedding(4, sigma=0.5)
    x = numbers(3, 2)
    out = values(layer(x))
    angle = 2 * np.pi * x[..., None] * values(layer.frequencies)
    np.testing.assert_allclose(out, np.concatenate([np.cos(angle), np.sin(angle)], -1), atol=1e-5)
    bins = layers.PiecewiseLinearEmbedding([[0.0, 1.0, 3.0]])
    out = values(bins(np.array([[-1.0], [0.5], [1.0], [2.0], [5.0]], "float32")))
    np.testing.assert_allclose(out[:, 0], [[-1, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 2]], atol=1e-6)
    edges = layers.PiecewiseLinearEmbedding.quantiles(np.arange(9.0).reshape(-1, 1), 2)
    assert edges == [[0.0, 4.0, 8.0]]
    with pytest.raises(ArgumentError, match="Column 2 has too few different values"):
        layers.PiecewiseLinearEmbedding.quantiles(np.array([[1.0, 1.0], [2.0, 1.0]]), 2)
    for wrong in ([[0.0, 0.0]], [[1.0]], [[0.0, 1.0], [0.0]]):
        with pytest.raises(ArgumentError, match="rising numbers"):
            layers.PiecewiseLinearEmbedding(wrong)


def test_the_mixture_loss_is_the_density():
    loss = layers.MixtureDensityLoss(2, 1, reduction="none")
    # two components of weight 1/4 and 3/4, N(0, 1) and N(2, 0.5)
    output = np.array([[math.log(0.25), math.log(0.75), 0.0, 2.0, 0.0, math.log(0.5)]], "float32")

    def normal(y, mean, sd):
        return math.exp(-0.5 * ((y - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))

    for y in (-1.0, 0.5, 2.0):
        want = -math.log(0.25 * normal(y, 0, 1) + 0.75 * normal(y, 2, 0.5))
        assert float(loss(np.array([[y]], "float32"), output)[0]) == pytest.approx(want, rel=1e-5)
        assert float(loss(np.array([y], "float32"), output)[0]) == pytest.approx(want, rel=1e-5)
    mean = layers.MixtureDensity.mean(output, 2, 1)
    np.testing.assert_allclose(mean, [[1.5]], rtol=1e-6)
    with pytest.raises(ArgumentError, match="2 components of 1 outputs take 6"):
        loss(np.zeros((1, 1)), np.zeros((1, 5), "float32"))
    again = layers.MixtureDensityLoss.from_config(loss.get_config())
    assert again.get_config() == loss.get_config()


def test_the_components_of_a_mixture_start_apart():
    start = layers.MixtureDensity(3, 2)(np.zeros((1, 4), "float32"))
    _, means, _ = layers.MixtureDensity.split(start, 3, 2)
    np.testing.assert_array_equal(values(means), [[[-1, -1], [0, 0], [1, 1]]])
    alone = layers.MixtureDensity(1)(np.zeros((1, 4), "float32"))
    np.testing.assert_array_equal(values(alone), [[0, 0, 0]])


@pytest.mark.parametrize("seed", [1, 4])
def test_a_mixture_learns_two_branches(seed):
    keras.utils.set_random_seed(seed)
    x = RNG.uniform(-1, 1, (600, 1)).astype("float32")
    y = (np.sign(RNG.normal(size=(600, 1))) * 2 + 0.1 * RNG.normal(size=(600, 1))).astype("float32")
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(8, "relu"), layers.MixtureDensity(2)]
    )
    model.compile(keras.optimizers.Adam(0.05), layers.MixtureDensityLoss(2))
    losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    # one normal distribution can't do better than about 2.1 nats
    assert losses[-1] < 1.0 < losses[0]


def test_dropout_stays_on_and_follows_its_seed():
    x = np.ones((1, 1000), "float32")
    layer = layers.MonteCarloDropout(0.3, seed=4)
    out = values(layer(x))
    assert 0.6 < (out > 0).mean() < 0.8
    np.testing.assert_allclose(out[out > 0], 1 / 0.7, rtol=1e-5)
    assert not np.array_equal(out, values(layer(x)))
    np.testing.assert_array_equal(out, layers.MonteCarloDropout(0.3, seed=4)(x))
    with pytest.raises(ArgumentError, match="`rate`"):
        layers.MonteCarloDropout(1.0)


def test_gradients_turn_around():
    # w -> reversal(w * x): SGD climbs what it should descend, `factor` times as fast
    def weight_after(layer):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False), layer])
        model.layers[0].set_weights([np.array([[1.0]], "float32")])
        model.compile(keras.optimizers.SGD(0.1), "mae")
        one = np.ones((1, 1), "float32")
        assert float(values(model(one))[0, 0]) == 1.0
        model.fit(one, 0 * one, epochs=1, verbose=0)
        return float(model.layers[0].get_weights()[0][0, 0])

    assert weight_after(keras.layers.Identity()) == pytest.approx(0.9)
    assert weight_after(layers.GradientReversal(2.0)) == pytest.approx(1.2)


def test_channels_are_scaled_by_their_means():
    layer = layers.SqueezeExcite(3)
    x = numbers(2, 4, 5, 6)
    out = values(layer(x))
    means = x.mean(axis=(1, 2))
    hidden = np.maximum(means @ values(layer.squeeze.kernel) + values(layer.squeeze.bias), 0)
    weight = 1 / (1 + np.exp(-(hidden @ values(layer.excite.kernel) + values(layer.excite.bias))))
    np.testing.assert_allclose(out, x * weight[:, None, None, :], rtol=1e-4, atol=1e-6)
    assert layer.squeeze.kernel.shape == (6, 2)
    assert tuple(layers.SqueezeExcite(2)(numbers(2, 7, 4)).shape) == (2, 7, 4)


def test_arguments_are_checked_by_name():
    with pytest.raises(ArgumentError, match="3 heads, which don't divide the 4 features") as caught:
        layers.TransformerEncoder(3, 8)(numbers(1, 2, 4))
    assert caught.value.argument == "num_heads"
    for make, argument in (
        (lambda: layers.PositionEmbedding(0), "max_length"),
        (lambda: layers.TransformerEncoder(2, 8, dropout=1.5), "dropout"),
        (lambda: layers.TemporalBlock(2.5), "filters"),
        (lambda: layers.PeriodicEmbedding(2, sigma=-1), "sigma"),
        (lambda: layers.MixtureDensity("3"), "components"),
        (lambda: layers.AttentionPooling(True), "units"),
    ):
        with pytest.raises(ArgumentError) as caught:
            make()
        assert caught.value.argument == argument
