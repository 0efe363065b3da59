"""Large batches give the numbers of small ones; where they can't, they are not used."""

from __future__ import annotations

import keras
import numpy as np
import pytest

if keras.config.backend() != "tensorflow":
    pytest.skip("it is about TensorFlow's own loops", allow_module_level=True)

import tensorflow as tf  # noqa: E402
from kerasbridge import training  # noqa: E402
from kerasbridge.training.batching import rows_within  # noqa: E402
from kerasbridge.training.loops import kept_entry  # noqa: E402
from training_models import CASES, L, OwnStep, dense, numbers, table  # noqa: E402


def kept(model, kind):
    return kept_entry(model, kind).loops[-1]


@pytest.mark.parametrize(
    "name",
    [
        "cnn",
        "lstm",
        "gru_stateful",
        "batch_norm_and_dropout",
        "embedding_with_mask",
        "masked_sequence_output",
        "many_inputs_and_outputs_with_loss_weights",
        "dict_input",
        "regularizers",
        "add_loss",
        "custom_compute_loss",
        "metrics_with_state",
        "mixed_float16",
        "float64_policy",
        "sample_weight",
    ],
)
def test_predict_and_evaluate_equal_keras(name):
    keras.utils.set_random_seed(3)
    made = CASES[name]()
    model, x, y = made.model, made.x, made.y
    weight = made.arguments.get("sample_weight")

    def forget():
        for layer in model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_state()

    if name == "gru_stateful":
        sizes = {"batch_size": 8}
    else:
        sizes = {}
    expected = model.predict(x, verbose=0, **sizes)
    forget()
    found = training.predict(model, x, verbose=0, **sizes)
    forget()
    assert type(found) is type(expected)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected)):
        assert one.shape == other.shape and one.dtype == other.dtype
        tolerance = 2e-3 if name == "mixed_float16" else 1e-5
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    expected = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True, **sizes)
    forget()
    found = training.evaluate(model, x, y, sample_weight=weight, verbose=0, **sizes)
    assert list(found) == sorted(expected)
    assert found == pytest.approx(expected, rel=2e-3 if name == "mixed_float16" else 1e-5)


def test_predict_takes_many_rows_at_once_where_rows_are_independent():
    model = dense()
    x, _ = table(500)
    training.predict(model, x, verbose=0)
    assert kept(model, "predict").rowwise is True


def test_rows_that_depend_on_their_batch_keep_batches_of_32():
    class Centre(L.Layer):
        def call(self, x):
            return x - keras.ops.mean(x, axis=0, keepdims=True)

    entry = L.Input((5,))
    model = keras.Model(entry, Centre()(entry))
    x, _ = table(150)
    found = training.predict(model, x, verbose=0)
    assert kept(model, "predict").rowwise is False
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_random_outputs_are_those_of_keras():
    found = []
    for ours in (True, False):
        keras.utils.set_random_seed(9)
        entry = L.Input((5,))
        model = keras.Model(entry, L.Dropout(0.5)(entry, training=True))
        x = np.ones((100, 5), "float32")
        found.append(training.predict(model, x, verbose=0) if ours else model.predict(x, verbose=0))
    np.testing.assert_array_equal(*found)


def test_batch_size_and_steps_are_kept():
    model = dense()
    x, y = table(70)
    assert training.predict(model, x, batch_size=20, steps=2, verbose=0).shape == (40, 1)
    assert training.predict(model, x, steps=7, verbose=0).shape == (70, 1)
    model.compile("sgd", "mse")
    ours = training.evaluate(model, x, y, batch_size=20, steps=2, verbose=0)
    plain = model.evaluate(x, y, batch_size=20, steps=2, verbose=0, return_dict=True)
    assert ours == pytest.approx(plain, rel=1e-6)


def test_doubles_in_column_order_predict_as_their_float32():
    model = dense()
    x = np.asfortranarray(numbers(300, 5).astype("float64"))
    found = training.predict(model, x, verbose=0)
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_subclassed_model_that_was_never_built():
    model = OwnStep()
    x, _ = table(70)
    found = training.predict(model, x, verbose=0)
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert training.predict(model, x[:0], verbose=0).shape == (0, 1)


def test_no_rows_and_several_outputs():
    entry = L.Input((6, 2))
    model = keras.Model(
        entry, {"a": L.LSTM(3, return_sequences=True)(entry), "b": L.Flatten()(entry)}
    )
    nothing = training.predict(model, np.zeros((0, 6, 2)), verbose=0)
    assert {k: v.shape for k, v in nothing.items()} == {"a": (0, 6, 3), "b": (0, 12)}


def test_evaluation_of_masked_and_own_losses_keeps_the_batch_of_keras():
    for name, many in (("mlp", True), ("masked_sequence_output", False), ("add_loss", False)):
        keras.utils.set_random_seed(3)
        made = CASES[name]()
        made.model.evaluate(made.x, made.y, verbose=0)
        from kerasbridge.training.batching import rowwise

        assert rowwise(made.model) is many


def test_a_second_look_at_weights_that_changed():
    model = dense()
    x, _ = table(70)
    first = training.predict(model, x, verbose=0)
    model.set_weights([w * 2 for w in model.get_weights()])
    second = training.predict(model, x, verbose=0)
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_ragged_data_take_the_path_of_keras():
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
    entry = keras.Input((None,), dtype="float32")
    model = keras.Model(entry, L.Lambda(lambda t: t * 2)(entry))
    x = ragged.to_tensor()
    np.testing.assert_allclose(training.predict(model, x, verbose=0), x.numpy() * 2)


@pytest.mark.parametrize(
    ("row_bytes", "rows"), [(1, 16384), (32 << 10, 8192), (1 << 20, 256), (1 << 30, 32)]
)
def test_rows_are_bounded_by_the_memory_of_activations(row_bytes, rows):
    assert rows_within(row_bytes, budget=256 << 20) == rows


def test_the_memory_of_a_row_is_read_from_the_model():
    small, large = dense(), keras.Sequential([L.Input((5,)), L.Dense(4000), L.Dense(1)])
    x, _ = table(10)
    for model in (small, large):
        training.predict(model, x, verbose=0)
    assert kept(large, "predict").row_bytes > 4000 * 4 > 10 * kept(small, "predict").row_bytes


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_stateful_layers_with_their_fixed_batch(kind):
    layer = getattr(keras.layers, kind)(2, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(1, 2, 1)), layer])
    model.compile("sgd", "mse")
    x, y = np.linspace(0, 1, 6).reshape(3, 2, 1), np.ones((3, 2))

    def fresh(run):
        layer.reset_states()
        return run()

    theirs = fresh(lambda: model.predict(x, batch_size=1, verbose=0))
    np.testing.assert_allclose(
        fresh(lambda: training.predict(model, x, batch_size=1, verbose=0)), theirs, rtol=1e-6
    )
    loss = fresh(lambda: model.evaluate(x, y, batch_size=1, verbose=0))
    ours = fresh(lambda: training.evaluate(model, x, y, batch_size=1, verbose=0))
    assert ours["loss"] == pytest.approx(loss, rel=1e-6)


def test_named_parts_of_data_may_come_in_another_order_each_time():
    from kerasbridge.training.pulling import evaluate_pulled

    a, b = np.sin(np.arange(12.0))[:, None], np.cos(np.arange(12.0))[:, None]
    inputs = [L.Input((1,), name="a"), L.Input((1,), name="b")]
    both = L.Concatenate()(inputs)
    fixed = {"kernel_initializer": keras.initializers.Constant([[1.0], [10.0]])}
    outputs = {name: L.Dense(1, name=name, **fixed)(both) for name in ("sum", "half")}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"sum": "mse", "half": "mae"})
    truth = a + 10 * b
    for x in ({"a": a, "b": b}, {"b": b, "a": a}):
        for y in ({"sum": truth, "half": truth / 2}, {"half": truth / 2, "sum": truth}):
            found = training.predict(model, x, verbose=0)["sum"]
            np.testing.assert_allclose(found, truth, rtol=1e-5)
            wanted = pytest.approx(np.abs(truth / 2).mean(), 1e-5)
            assert training.evaluate(model, x, y, verbose=0)["loss"] == wanted
            assert (
                evaluate_pulled(model, lambda x=x, y=y: (x, y), steps=2, verbose=0)["loss"]
                == wanted
            )
            frozen = {"batch_size": 12, "verbose": 0, "engine": "graph"}
            model.optimizer.learning_rate = 0.0
            assert training.fit(model, x, y, **frozen).metrics["loss"][0] == wanted
