"""The resident loop gives what Keras gives: per-epoch logs and final weights, model by model."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.runtime.keras_version import keras_before
from training_models import CASES, L, dense, table

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="it is about TensorFlow's own loops"
)

XLA = [
    "mlp",
    "two_hidden_layers_with_accuracy",
    "lstm",
    "sample_weight",
    "metrics_with_state",
    "custom_train_step",
    "gradient_accumulation",
    "mixed_float16",
    "many_inputs_and_outputs_with_loss_weights",
]
RANDOM = {"batch_norm_and_dropout", "noise_and_attention"}


def make(name):
    keras.utils.clear_session()  # so that layers and metrics count their names from the start
    keras.utils.set_random_seed(11)
    return CASES[name]()


def plain(name):
    """Logs and weights of Keras' own fit."""
    made = make(name)
    arguments = {"shuffle": False, **made.arguments}
    history = made.model.fit(made.x, made.y, verbose=0, **arguments)
    return history.history, [w.numpy() for w in made.model.weights], made


def ours(name, engine):
    made = make(name)
    arguments = {"shuffle": False, **made.arguments}
    history = training.fit(made.model, made.x, made.y, verbose=0, engine=engine, **arguments)
    return history, [w.numpy() for w in made.model.weights], made


def assert_same(history, weights, expected_logs, expected_weights, tolerance=1e-5):
    assert sorted(history.metrics) == sorted(expected_logs)
    for key, values in expected_logs.items():
        np.testing.assert_allclose(
            np.asarray(history.metrics[key], "float64"),
            np.asarray(values, "float64"),
            rtol=tolerance,
            atol=1e-7,
            err_msg=key,
        )
    assert len(weights) == len(expected_weights)
    for one, other in zip(weights, expected_weights):
        assert one.shape == other.shape and one.dtype == other.dtype
        scale = np.max(np.abs(other.astype("float64")), initial=1e-30)
        np.testing.assert_allclose(
            one.astype("float64"), other.astype("float64"), rtol=tolerance, atol=tolerance * scale
        )


@pytest.fixture(scope="module")
def expected():
    known = {}

    def get(name):
        if name not in known:
            known[name] = plain(name)[:2]
        return known[name]

    return get


@pytest.mark.parametrize("name", sorted(CASES))
def test_graph_loop_equals_keras(name, expected):
    history, weights, _ = ours(name, "graph")
    # Keras before 3.6 counts steps in its own way, and is left to it
    counted = "counts steps_per_epoch in its own way" in history.engine_reason
    assert history.engine == ("keras" if counted else "graph"), history.engine_reason
    assert not counted or ("steps" in name and keras_before(3, 6))
    assert_same(history, weights, *expected(name))


@pytest.mark.parametrize("name", XLA)
def test_xla_loop_equals_keras(name, expected):
    history, weights, _ = ours(name, "xla")
    assert history.engine == "xla", history.engine_reason
    tolerance = 2e-3 if name == "mixed_float16" else 1e-5
    assert_same(history, weights, *expected(name), tolerance=tolerance)


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_xla_is_not_used_where_it_draws_other_random_numbers(name, expected):
    history, weights, _ = ours(name, "xla")
    assert history.engine == "graph" and "random numbers" in history.engine_reason
    assert_same(history, weights, *expected(name))


class Seen(keras.Model):
    """Counts in a weight how often it has seen each row; the row's number is its first value."""

    def __init__(self, rows):
        super().__init__()
        self.counts = self.add_weight(shape=(rows,), initializer="zeros", trainable=False)
        self.order = self.add_weight(shape=(rows,), initializer="zeros", trainable=False)
        self.total = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.inner = L.Dense(1)

    def call(self, x, training=False):
        if training:
            ids = keras.ops.cast(x[:, 0], "int32")
            hot = keras.ops.one_hot(ids, self.counts.shape[0])
            self.counts.assign_add(keras.ops.sum(hot, axis=0))
            place = keras.ops.arange(keras.ops.shape(ids)[0], dtype="float32") + self.total
            self.order.assign_add(keras.ops.matmul(place[None], hot)[0])
            self.total.assign_add(keras.ops.cast(keras.ops.shape(ids)[0], "float32"))
        return self.inner(x)


@pytest.mark.parametrize("engine", ["graph", "xla"])
@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_shuffling_shows_each_row_once_an_epoch(engine, shuffle):
    rows = 45
    x = np.stack([np.arange(rows), np.ones(rows)], axis=1).astype("float32")
    orders = []
    for epochs in (1, 3):
        keras.utils.set_random_seed(5)
        model = Seen(rows)
        model.compile("sgd", "mse")
        model.optimizer.learning_rate = 0.0
        history = training.fit(
            model,
            x,
            x[:, :1],
            epochs=epochs,
            batch_size=10,
            shuffle=shuffle,
            verbose=0,
            engine=engine,
        )
        assert history.engine == engine
        np.testing.assert_array_equal(model.counts.numpy(), np.full(rows, epochs))
        orders.append(model.order.numpy())
    first = np.argsort(orders[0])
    assert not np.array_equal(first, np.arange(rows))
    within = np.array_equal(first // 10, np.arange(rows) // 10)
    assert within == (shuffle == "batch")


@pytest.mark.parametrize("engine", ["auto", "graph"])
def test_the_same_seed_gives_the_same_weights_to_the_last_bit(engine):
    found = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([L.Input((5,)), L.Dense(6, "relu"), L.Dropout(0.3), L.Dense(1)])
        model.compile("adam", "mse")
        training.fit(model, *table(), epochs=3, verbose=0, engine=engine)
        found.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(found[0], found[1]))
    assert not np.array_equal(found[0][0], found[2][0])


def test_the_loops_are_kept_between_fits_and_dropped_by_compile():
    x, y = table()
    model = dense()
    model.compile("sgd", "mse")
    training.fit(model, x, y, verbose=0, engine="graph")
    shelf = vars(model)["_kerasbridge_loops"].entries["train"]
    kept = shelf.loops[0]
    training.fit(model, x[:40], y[:40], batch_size=7, verbose=0, engine="graph")
    assert shelf.loops == [kept]
    model.compile("adam", "mae")
    training.fit(model, x, y, verbose=0, engine="graph")
    assert kept not in shelf.loops and len(shelf.loops) == 1


def test_a_model_with_loops_can_be_saved_cloned_and_forgotten(tmp_path):
    import gc
    import weakref

    x, y = table()
    model = dense()
    model.compile("sgd", "mse")
    training.fit(model, x, y, verbose=0, engine="graph")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert "_kerasbridge_loops" not in vars(keras.models.clone_model(model))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_finished_epochs_reach_the_keras_history_too():
    x, y = table()
    model = dense()
    model.compile("sgd", "mse")
    history = training.fit(model, x, y, epochs=2, verbose=0, engine="graph")
    assert model.history.history == history.metrics and model.history.epoch == [0, 1]


def test_unseeded_runs_measure_and_say_what_they_found():
    import subprocess
    import sys

    code = """
import numpy as np, keras
from kerasbridge import training
from kerasbridge.runtime.keras_version import keras_before
m = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(4), keras.layers.Dense(1)])
m.compile("sgd", "mse")
x = np.random.normal(size=(20000, 5)).astype("float32")
h = training.fit(m, x, x[:, :1], epochs=60, verbose=0)
print(h.engine, "|", h.engine_reason)
h = training.fit(m, x, x[:, :1], epochs=2, verbose=0)
print(h.engine, "|", h.engine_reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    first, second = [line.split(" | ") for line in done.stdout.splitlines()]
    assert first[0] in ("graph", "xla") and first[1].startswith("measured per step: graph ")
    if "too little work remains" in first[1]:  # on a busy machine, where compiling takes long
        ended = "the run ended before there was anything to choose"
        assert second[1].startswith(("measured per step: graph ", ended))
    else:
        assert first[0] == second[0] and second[1] == "measured in an earlier run"


def test_terminate_on_nan_works_at_the_end_of_a_chunk():
    x, y = table()
    y[3] = np.nan
    model = dense()
    model.compile("sgd", "mse")
    with pytest.warns(training.TrainingWarning, match="y has 1 missing or infinite value"):
        history = training.fit(
            model,
            x,
            y,
            epochs=5,
            verbose=0,
            engine="graph",
            callbacks=[keras.callbacks.TerminateOnNaN()],
        )
    assert history.epoch == [0] and history.engine == "graph"


def test_swapped_validation_and_checkpoints_stay_on_the_fast_path(tmp_path):
    x, y = table()
    model = dense()
    model.compile(keras.optimizers.SGD(0.01, use_ema=True, ema_momentum=0.5), "mse")
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.SwapEMAWeights(),
    ]
    history = training.fit(
        model, x, y, epochs=2, validation_split=0.2, verbose=0, engine="graph", callbacks=callbacks
    )
    assert history.engine == "graph"
    assert sorted(p.name for p in tmp_path.glob("*.h5")) == ["1.weights.h5", "2.weights.h5"]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
