"""Keras' own path: progress, history, guards, and the rule about `trainable`."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.errors import ArgumentError, DataError


class Page:
    """An output that keeps what is written."""

    def __init__(self, terminal=False, width=80):
        self.terminal, self.width, self.text = terminal, width, ""

    def write(self, text):
        self.text += text


def table(rows=64, columns=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)).astype("float32")
    return x, (x.sum(axis=1, keepdims=True) > 0).astype("float32")


def small_model(metrics=("accuracy",), **compile_arguments):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(3, activation="tanh", name="inner"),
            keras.layers.Dense(1, activation="sigmoid", name="last"),
        ]
    )
    training.compile(
        model,
        optimizer="sgd",
        loss="binary_crossentropy",
        metrics=list(metrics),
        **compile_arguments,
    )
    return model


def test_importing_the_package_imports_no_keras():
    code = (
        "import sys, kerasbridge.training as t; t.History; t.fit; "
        "print('keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_no_callback_of_ours_makes_keras_wait_for_each_step():
    """A hook at a step's end does, unless the callback is `async_safe`: then Keras hands it over to a thread."""
    from kerasbridge.training import keeping, watch

    plain = keras.callbacks.Callback
    for ours in (watch.Watch, keeping._Answer):
        for name in ("on_batch_end", *(f"on_{k}_batch_end" for k in ("train", "test", "predict"))):
            waits = getattr(ours, name) is not getattr(plain, name)
            assert not waits or ours.async_safe, f"{ours.__name__}.{name}"


def test_fit_returns_a_plain_picklable_history():
    x, y = table()
    model = small_model()
    history = training.fit(
        model,
        x,
        y,
        epochs=4,
        batch_size=16,
        validation_split=0.25,
        validation_freq=2,
        verbose=0,
        engine="keras",
    )
    assert history.epoch == [0, 1, 2, 3]
    assert list(history.metrics) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert [len(v) for v in history.metrics.values()] == [4, 4, 2, 2]
    assert history.history is history.metrics
    assert history.params["samples"] == 48 and history.params["validation_samples"] == 16
    assert history.params["steps"] == 3 and history.params["epochs"] == 4
    assert history.engine == "keras" and history.seconds > 0 and not history.interrupted
    columns = history.columns()
    assert np.isnan(columns["val_loss"][0]) and np.isnan(columns["val_loss"][2])
    assert columns["val_loss"][1::2] == history.metrics["val_loss"]
    again = pickle.loads(pickle.dumps(history))
    assert again.metrics == history.metrics and again.params == history.params


def test_evaluate_and_predict_agree_with_keras():
    x, y = table(70)
    model = small_model()
    ours = training.evaluate(model, x, y, verbose=0, engine="keras")
    assert ours == pytest.approx(model.evaluate(x, y, verbose=0, return_dict=True), rel=1e-6)
    predicted = training.predict(model, x, verbose=0, engine="keras")
    assert predicted.shape == (70, 1) and predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, model.predict(x, verbose=0), rtol=1e-6)


def test_on_batch_functions_report_by_name():
    x, y = table(8)
    model = small_model()
    before = model.get_weights()[0].copy()
    assert set(training.test_on_batch(model, x, y)) == {"loss", "accuracy"}
    np.testing.assert_array_equal(model.get_weights()[0], before)
    logs = training.train_on_batch(model, x, y, class_weight={"0": 1, "1": 2})
    assert np.isfinite(logs["loss"]) and not np.array_equal(model.get_weights()[0], before)
    assert training.predict_on_batch(model, x).shape == (8, 1)


def test_one_batch_through_a_fresh_model():
    x, y = table(8)
    expected = small_model().evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    found = training.test_on_batch(small_model(), x, y)
    assert found == pytest.approx(expected, rel=1e-5)
    weighted = training.test_on_batch(small_model(), x, y, sample_weight=np.zeros(8))
    assert weighted["loss"] == 0 and weighted["accuracy"] == pytest.approx(expected["accuracy"])


def test_predicting_no_rows_keeps_the_columns():
    model = small_model()
    nothing = training.predict(model, np.zeros((0, 4)), verbose=0)
    assert nothing.shape == (0, 1) and nothing.dtype == np.float32


@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_verbose_0_writes_nothing(engine, capfd):
    x, y = table()
    page = Page(terminal=True)
    model = small_model()
    training.fit(model, x, y, verbose=0, output=page, engine=engine)
    training.evaluate(model, x, y, verbose=0, output=page, engine=engine)
    training.predict(model, x, verbose=0, output=page, engine=engine)
    assert page.text == "" and capfd.readouterr().out == ""


@pytest.mark.parametrize("engine", ["keras", "auto"])
@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_a_log_gets_one_line_an_epoch_without_control_characters(verbose, engine, capfd):
    x, y = table()
    page = Page()
    training.fit(small_model(), x, y, epochs=3, verbose=verbose, output=page, engine=engine)
    epochs = [line for line in page.text.splitlines() if line.startswith("Epoch ")]
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert all("loss 0." in line and "accuracy" in line for line in epochs)
    assert not set(page.text) & {"\r", "\b", "\x1b"}
    assert capfd.readouterr().out == ""


def test_verbose_is_checked():
    x, y = table()
    with pytest.raises(ArgumentError, match="`verbose` must be 0, 1, 2 or 'auto'"):
        training.fit(small_model(), x, y, verbose=3)


@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_a_set_stop_event_ends_fit_and_keeps_what_was_done(engine):
    x, y = table()
    stop = threading.Event()

    class Press(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                stop.set()

    model = small_model()
    history = training.fit(
        model, x, y, epochs=50, verbose=0, callbacks=[Press()], stop=stop, engine=engine
    )
    assert history.interrupted and history.epoch == [0, 1]
    assert len(history.metrics["loss"]) == 2
    assert history.notes == ["Training was stopped after 2 complete epochs."]
    with pytest.raises(KeyboardInterrupt):
        training.evaluate(model, x, y, verbose=0, stop=stop, engine=engine)
    with pytest.raises(KeyboardInterrupt):
        training.predict(model, x, verbose=0, stop=stop, engine=engine)
    assert np.isfinite(training.predict(model, x, verbose=0)).all()


@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_trainable_counts_as_it_was_at_compile(engine):
    x, y = table()
    model = small_model()
    model.get_layer("inner").trainable = False
    training.compile(model, optimizer="sgd", loss="binary_crossentropy")
    model.get_layer("inner").trainable = True
    frozen, free = model.get_layer("inner").get_weights(), model.get_layer("last").get_weights()
    training.fit(model, x, y, epochs=2, verbose=0, engine=engine)
    np.testing.assert_array_equal(model.get_layer("inner").get_weights()[0], frozen[0])
    assert not np.array_equal(model.get_layer("last").get_weights()[0], free[0])
    assert model.get_layer("inner").trainable is True
    training.compile(model, optimizer="sgd", loss="binary_crossentropy")
    training.fit(model, x, y, epochs=1, verbose=0, engine=engine)
    assert not np.array_equal(model.get_layer("inner").get_weights()[0], frozen[0])


def test_trainable_of_a_shared_layer_survives_its_parents():
    inner = keras.layers.Dense(2, name="shared")
    left = keras.Sequential([keras.layers.Input((2,)), inner])
    right = keras.Sequential([keras.layers.Input((2,)), inner])
    entry = keras.layers.Input((2,))
    model = keras.Model(entry, keras.layers.Add()([left(entry), right(entry)]))
    inner.trainable = False
    training.compile(model, optimizer="sgd", loss="mse")
    inner.trainable = True
    right.trainable = False
    inner.trainable = True
    before = inner.get_weights()[0].copy()
    x = np.ones((4, 2), "float32")
    training.fit(model, x, x, verbose=0, engine="keras")
    np.testing.assert_array_equal(inner.get_weights()[0], before)
    assert (left.trainable, right.trainable, inner.trainable) == (True, False, True)


@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_a_monitor_that_does_not_exist_is_refused_before_training(engine):
    x, y = table()
    model = small_model()
    stopping = keras.callbacks.EarlyStopping(monitor="val_acc")
    with pytest.raises(ArgumentError, match="watches 'val_acc'.*accuracy, .*val_loss") as caught:
        training.fit(
            model,
            x,
            y,
            validation_split=0.25,
            epochs=3,
            verbose=0,
            callbacks=[stopping],
            engine=engine,
        )
    assert caught.value.argument == "callbacks"


@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_one_is_refused_with_a_single_step_and_no_validation_too(engine):
    x, y = table()
    stopping = keras.callbacks.EarlyStopping(monitor="acc", mode="max")
    with pytest.raises(ArgumentError, match="watches 'acc'.*accuracy"):
        training.fit(
            small_model(), x, y, batch_size=len(x), verbose=0, callbacks=[stopping], engine=engine
        )


@pytest.mark.parametrize("only", [False, True])
def test_what_a_checkpoint_watches_counts_only_if_it_keeps_the_best(only):
    from kerasbridge.training import guards

    class Orbax(keras.callbacks.Callback):  # no ModelCheckpoint, but as such
        __module__ = "keras.callbacks"
        monitor, save_best_only = "val_loss", only

    refused = pytest.raises(ArgumentError, match="watches 'val_loss'")
    with refused if only else contextlib.nullcontext():
        guards.check_monitors([Orbax()], ["loss"], validation=False)


def test_a_val_monitor_without_validation_data_says_so():
    x, y = table()
    with pytest.raises(ArgumentError, match="or give `validation_data`"):
        training.fit(
            small_model(), x, y, verbose=0, callbacks=keras.callbacks.ReduceLROnPlateau("val_loss")
        )


@pytest.mark.parametrize(
    ("weights", "pattern"),
    [
        ({0: 1.0}, "no weight for class 1"),
        ({0: 1, 1: 2, 7: 1}, "names class 7, which does not exist"),
        ({"a": 1, "b": 2}, "keys are class numbers"),
        ([1, 2], "must map class numbers"),
    ],
)
def test_class_weight_is_checked(weights, pattern):
    x, y = table()
    with pytest.raises(ArgumentError, match=pattern) as caught:
        training.fit(small_model(), x, y, class_weight=weights, verbose=0)
    assert caught.value.argument == "class_weight"


@pytest.mark.parametrize(
    ("change", "argument", "pattern"),
    [
        ({"batch_size": 0}, "batch_size", "whole number of at least 1"),
        ({"batch_size": 2.5}, "batch_size", "not 2.5"),
        ({"epochs": -1}, "epochs", "at least 0"),
        ({"epochs": 2, "initial_epoch": 3}, "epochs", "`initial_epoch` is 3 but `epochs` is 2"),
        ({"validation_split": 1.0}, "validation_split", "from 0 up to"),
        ({"validation_split": 0.999}, "validation_split", "leaves no rows for training"),
        ({"engine": "fast"}, "engine", "must be one of"),
        ({"validation_freq": 0}, "validation_freq", "at least 1"),
        ({"validation_data": ()}, "validation_data", "has 0 parts"),
        ({"class_weight": {0: 1, 1: 1}, "sample_weight": np.ones(64)}, "class_weight", "together"),
    ],
)
def test_arguments_are_checked(change, argument, pattern):
    x, y = table()
    with pytest.raises(ArgumentError, match=pattern) as caught:
        training.fit(small_model(), x, y, verbose=0, **change)
    assert caught.value.argument == argument


def test_rows_that_differ_are_named():
    x, y = table()
    with pytest.raises(DataError, match="`y` has 63 rows but `x` has 64") as caught:
        training.fit(small_model(), x, y[:-1], verbose=0)
    assert caught.value.argument == "y"
    with pytest.raises(DataError, match="`x` has no rows"):
        training.fit(small_model(), x[:0], y[:0], verbose=0)


def test_a_model_that_is_not_compiled_is_refused():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(ArgumentError, match="not compiled"):
        training.fit(model, *table(), verbose=0)


@pytest.mark.parametrize("labels", [(1, 2, 3), (0, 1, 3), (-1, 0, 1)])
@pytest.mark.parametrize(
    "loss",
    ["sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy(name="l")],
)
def test_sparse_labels_out_of_range_are_refused(labels, loss):
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3, activation="softmax")]
    )
    training.compile(model, optimizer="sgd", loss=loss)
    x, _ = table(30)
    y = np.array(labels * 10)
    with pytest.raises(
        DataError, match="the output has 3 units, so labels must lie in 0 to 2"
    ) as e:
        training.fit(model, x, y, verbose=0)
    assert e.value.details == {"min": min(labels), "max": max(labels), "units": 3}
    assert ("subtract 1" in str(e.value)) == (labels == (1, 2, 3))


def test_sparse_labels_that_are_no_whole_numbers_are_refused():
    """Keras cuts them off without a word."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    y = np.array([0.0, 1.0, 1.5, 2.0])
    with pytest.raises(DataError, match=r"no whole numbers \(first in row 3\)") as caught:
        training.fit(model, np.zeros((4, 2), "float32"), y, verbose=0)
    assert caught.value.argument == "y" and caught.value.details == {"row": 3}
    training.fit(model, np.zeros((4, 2), "float32"), np.round(y), epochs=1, verbose=0)
    single = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
    single.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(DataError, match="1 units") as caught:
        training.fit(single, np.zeros((4, 2), "float32"), np.array([0, 1, 0, 1]), verbose=0)
    assert "binary_crossentropy" in caught.value.hint


@pytest.mark.parametrize("loss", ["binary_crossentropy", "bce", keras.losses.BinaryCrossentropy()])
def test_labels_of_binary_crossentropy_lie_in_0_to_1(loss):
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(1, activation="sigmoid")]
    )
    training.compile(model, optimizer="sgd", loss=loss)
    x, _ = table(30)
    for labels, hint in (((1, 2), "0 and 1"), ((-1, 1), "0 and 1"), ((0, 3), "softmax")):
        with pytest.raises(DataError, match="binary cross-entropy takes 0 to 1") as e:
            training.fit(model, x, np.array(labels * 15), verbose=0)
        assert hint in e.value.hint and e.value.details == {"min": labels[0], "max": labels[1]}
    history = training.fit(model, x, np.array([0.0, 0.3, 1.0] * 10), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_token_ids_out_of_range_are_refused():
    model = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Embedding(10, 2, name="words"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    training.compile(model, optimizer="sgd", loss="mse")
    ids = np.full((6, 5), 10)
    with pytest.raises(DataError, match="ids from 10 to 10, but the embedding 'words' has") as e:
        training.fit(model, ids, np.zeros((6, 1)), verbose=0)
    assert e.value.details == {"min": 10, "max": 10, "input_dim": 10}
    with pytest.raises(DataError, match="can't be negative"):
        training.predict(model, ids - 11, verbose=0)


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="PyTorch refuses such predictions itself"
)
@pytest.mark.parametrize("engine", ["keras", "auto"])
def test_a_loss_that_is_not_finite_is_told_once_with_its_epoch(engine):
    x, y = table()
    page = Page()
    model = small_model()
    model.optimizer.learning_rate = 1e30
    x[3, 1] = np.nan
    history = training.fit(model, x, y, epochs=3, output=page, engine=engine)
    assert np.isnan(history.metrics["loss"]).all()
    assert page.text.count("The loss is nan from epoch 1 on") == 1
    assert page.text.count("weights 'sequential") <= 1
    assert any("not finite" in note for note in history.notes)


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="PyTorch refuses such predictions itself"
)
def test_without_an_output_the_notice_is_a_python_warning():
    x, y = table()
    x[0, 0] = np.inf
    with pytest.warns(training.TrainingWarning, match="The loss is nan from epoch 1 on"):
        training.fit(small_model(), x, y, verbose=0, shuffle=False)
