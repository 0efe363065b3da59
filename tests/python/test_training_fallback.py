"""What can't run in the resident loop takes Keras' path without a word, and gives its results."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.errors import UnsupportedError
from training_models import L, dense, table

if keras.config.backend() != "tensorflow":
    pytest.skip("it is about TensorFlow's own loops", allow_module_level=True)

import tensorflow as tf  # noqa: E402


def fit_both(make, *data, **arguments):
    """(history of ours, whether final weights equal those of Keras' own fit)."""
    found = []
    for ours in (True, False):
        keras.utils.clear_session()
        keras.utils.set_random_seed(2)
        model = make()
        if ours:
            history = training.fit(model, *data, verbose=0, shuffle=False, **arguments)
        else:
            model.fit(*data, verbose=0, shuffle=False, **arguments)
        found.append([w.numpy() for w in model.weights])
    assert all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(*found))
    return history


def compiled(**options):
    model = dense()
    model.compile("sgd", "mse", **options)
    return model


def test_running_eagerly():
    history = fit_both(lambda: compiled(run_eagerly=True), *table())
    assert (history.engine, history.engine_reason) == ("keras", "the model runs eagerly")


def test_text_inputs():
    words = np.array(["a", "b", "c", "a"] * 10)[:, None]

    def make():
        lookup = L.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")
        entry = L.Input((1,), dtype="string")
        model = keras.Model(entry, L.Dense(1)(lookup(entry)))
        model.compile("sgd", "mse")
        return model

    history = fit_both(make, tf.constant(words), np.ones((40, 1)), epochs=17)
    assert history.engine == "graph" and "text" in history.engine_reason
    history = fit_both(make, words[:, 0].astype(object), np.ones((40, 1)))
    assert history.engine == "keras" and "object values" in history.engine_reason


def test_so_few_steps_that_a_loop_is_not_worth_compiling():
    x, y = table()  # 3 steps an epoch
    history = fit_both(compiled, x, y)
    assert (history.engine, history.engine_reason) == ("keras", "single steps: only 3 steps")
    history = fit_both(compiled, x, y, epochs=2, validation_split=0.4)
    assert history.engine_reason == "single steps: only 4 steps" and len(history.epoch) == 2
    assert training.fit(compiled(), x, y, verbose=0, engine="graph").engine == "graph"
    assert fit_both(compiled, x, y, epochs=11).engine == "graph"
    model = compiled()
    engines = [training.fit(model, x, y, verbose=0).engine for _ in range(12)]
    assert engines == ["keras"] * 10 + ["graph"] * 2  # a habit of short fits pays for the loop


def test_a_short_evaluation_compiles_no_loop():
    from kerasbridge.training.loops import kept_entry

    x, y = table()
    model = compiled(metrics=["mae"])
    found = training.evaluate(model, x, y, verbose=0)
    loop = kept_entry(model, "test").loops[0]
    assert loop.compiled == set()
    assert training.evaluate(model, x, y, verbose=0, engine="graph") == pytest.approx(found)
    assert len(loop.compiled) == 1
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_step_that_calls_python():
    class Calls(L.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(lambda a: a * 2, [x], tf.float32), x.shape)

    def make():
        entry = L.Input((5,))
        model = keras.Model(entry, L.Dense(1)(Calls()(entry)))
        model.compile("sgd", "mse")
        return model

    history = fit_both(make, *table())
    assert "calls back into Python or R" in history.engine_reason


@pytest.mark.parametrize("kind", ["dataset", "generator", "sequence"])
def test_data_that_are_not_arrays(kind):
    x, y = table()

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return x[index * 10 : index * 10 + 10], y[index * 10 : index * 10 + 10]

    def data():
        if kind == "dataset":
            return tf.data.Dataset.from_tensor_slices((x, y)).batch(10).take(4)
        if kind == "generator":
            return (Batches()[i] for i in range(4))
        return Batches()

    found = []
    for ours in (True, False):
        keras.utils.set_random_seed(2)
        model = compiled()
        if ours:
            history = training.fit(model, data(), verbose=0)
        else:
            model.fit(data(), verbose=0)
        found.append(model.get_weights())
    assert history.engine_reason == "the data are not arrays in memory"
    assert all(np.allclose(a, b) for a, b in zip(*found))


def test_validation_from_a_dataset():
    x, y = table()
    validation = tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
    history = training.fit(compiled(), x, y, validation_data=validation, verbose=0)
    assert history.engine_reason == "the validation data are not arrays in memory"
    assert set(history.metrics) == {"loss", "val_loss"}


def test_callbacks_that_want_every_batch():
    seen = []
    every = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    history = training.fit(compiled(), *table(), batch_size=20, verbose=0, callbacks=every)
    assert seen == [0, 1, 2, 3]
    assert history.engine_reason == "LambdaCallback wants every batch"
    epochs = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    history = training.fit(compiled(), *table(), verbose=0, callbacks=[epochs], engine="graph")
    assert history.engine == "graph" and set(seen[-1]) == {"loss"}


def test_checkpoints_by_the_number_of_batches_want_every_batch(tmp_path):
    saving = keras.callbacks.ModelCheckpoint(
        tmp_path / "m.weights.h5", save_weights_only=True, save_freq=2
    )
    history = training.fit(compiled(), *table(), verbose=0, callbacks=saving)
    assert history.engine_reason == "ModelCheckpoint wants every batch"


def test_a_distribution_strategy():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        model = compiled()
    history = training.fit(model, *table(), verbose=0)
    assert history.engine_reason == "the model was made under a distribution strategy"
    assert np.isfinite(history.metrics["loss"]).all()


def test_a_model_with_its_own_train_function():
    class Own(keras.Sequential):
        def make_train_function(self, force=False):
            return super().make_train_function(force)

    model = Own([L.Input((5,)), L.Dense(1)])
    model.compile("sgd", "mse")
    history = training.fit(model, *table(), verbose=0)
    assert history.engine_reason == "the model has its own `make_train_function`"


def test_data_too_large_for_memory(monkeypatch):
    from kerasbridge.training import placing

    monkeypatch.setattr(placing, "available_bytes", lambda: 1000)
    history = training.fit(compiled(), *table(), verbose=0)
    assert history.engine == "keras" and "do not fit in memory" in history.engine_reason


def test_an_error_of_the_step_is_reported_as_keras_reports_it():
    class Boom(L.Layer):
        def call(self, x, training=False):
            if training:
                raise ValueError("boom in the step")
            return x

    entry = L.Input((5,))
    model = keras.Model(entry, L.Dense(1)(Boom()(entry)))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="boom in the step"):
        training.fit(model, *table(), verbose=0)


def test_a_step_that_reports_a_changing_shape():
    class Odd(keras.Model):
        def train_step(self, data):
            x, y = data
            return {"loss": tf.reduce_mean(self(x)), "all": self(x)}

    entry = L.Input((5,))
    model = Odd(entry, L.Dense(1)(entry))
    model.compile("sgd", "mse")
    history = training.fit(model, *table(), verbose=0)
    assert history.engine_reason == "the step reports values whose shape varies"


def test_other_backends_take_the_ordinary_path():
    code = """
import keras
from kerasbridge.training.eligible import backend_reason
keras.config.backend = lambda: "jax"
print(backend_reason())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "the backend is jax"


def test_control_c_stops_fit_and_keeps_the_finished_epochs():
    # a shell's background job starts with the signal ignored, and then Python leaves it so
    code = """
import os, signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np, keras
from kerasbridge import training
m = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(4), keras.layers.Dense(1)])
m.compile("sgd", "mse")
x = np.random.normal(size=(2000, 5)).astype("float32")
class Later(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
h = training.fit(m, x, x[:, :1], epochs=10**9, verbose=0, callbacks=[Later()])
print(h.interrupted, len(h.epoch) >= 3, len(h.epoch) == len(h.metrics["loss"]), h.engine)
print(np.isfinite(training.predict(m, x, verbose=0)).all())

# a press, or an error, while the optimizer makes its variables or while the first step is compiled, which
# would make those of a model without an input: the next training is as if nothing had been
from kerasbridge.training.pulling import fit_pulled
@keras.saving.register_keras_serializable()
class Slow(keras.optimizers.Adam):
    fails = None
    def add_variable_from_reference(self, *args, **kwargs):
        if Slow.fails == "building":
            os.kill(os.getpid(), signal.SIGINT)
        elif Slow.fails == "error":
            raise ArithmeticError
        return super().add_variable_from_reference(*args, **kwargs)
    def update_step(self, *args, **kwargs):
        if Slow.fails == "tracing":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)  # longer than a press waits for the end of a step
        return super().update_step(*args, **kwargs)
def make(how, fails=None):
    m = keras.Sequential([keras.layers.Dense(1, kernel_initializer="ones")])
    if fails != "tracing":
        m.build((None, 5))
    optimizer = Slow(0.5)
    if how == "scaled":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=4.0)
    m.compile(optimizer, "mse", metrics=["mae"])
    m.optimizer.learning_rate = 0.25
    return m
X, Y = x[:40], x[:40, :1]
def run(how, m):
    if how == "batch":
        return [training.train_on_batch(m, X[i:i + 8], Y[i:i + 8]) for i in range(0, 40, 8)] and m
    if how == "generator":
        batches = iter([(X[i:i + 8], Y[i:i + 8]) for i in range(0, 40, 8)])
        return fit_pulled(m, lambda: next(batches), steps_per_epoch=5, verbose=0)
    engine = how if how == "keras" else "auto"
    return training.fit(m, X, Y, batch_size=8, shuffle=False, engine=engine, verbose=0)
plain = make("keras")
plain.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
for case in ("auto error", "keras tracing", "batch tracing", "generator tracing", "generator error",
             "keras building", "scaled error", "scaled building"):
    how, fails = case.split()
    m, Slow.fails = make(how, fails), fails
    try:
        end = run(how, m)
        end = "pressed" if end.interrupted else end
    except BaseException as error:
        end = "pressed" if isinstance(error, KeyboardInterrupt) else type(error).__name__
    Slow.fails = None
    run(how, m)
    same = all(np.allclose(a, b, atol=1e-6) for a, b in zip(m.get_weights(), plain.get_weights()))
    print(end, same, float(m.optimizer.learning_rate), int(m.optimizer.iterations))
# models with a build of their own and several inputs
class Two(keras.Model):
    def build(self, shapes):
        a, b = shapes.values() if isinstance(shapes, dict) else shapes
        self.k = self.add_weight(shape=(a[-1], 1), initializer="ones", name="k")
        self.l = self.add_weight(shape=(b[-1], 1), initializer="ones", name="l")
    def call(self, inputs):
        a, b = inputs.values() if isinstance(inputs, dict) else inputs
        return a @ self.k + b @ self.l
for inputs in ({"a": X, "b": X[:, :2]}, [X, X[:, :2]]):
    plain, m = Two(), Two()
    for each in (plain, m):
        each.compile(Slow(0.5), "mse")
    plain.fit(inputs, Y, batch_size=8, shuffle=False, verbose=0)
    Slow.fails = "tracing"
    end = training.fit(m, inputs, Y, batch_size=8, shuffle=False, verbose=0)
    Slow.fails = None
    training.fit(m, inputs, Y, batch_size=8, shuffle=False, verbose=0)
    print(end.interrupted, np.allclose(m.k, plain.k, atol=1e-6), np.allclose(m.l, plain.l, atol=1e-6))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True
    )
    first, second, *built, named, listed = done.stdout.splitlines()
    assert named == listed == "True True True"
    assert first.split()[:3] == ["True"] * 3 and first.split()[3] in ("graph", "xla")
    assert second == "True"
    errors = ["ArithmeticError" if at in (0, 4, 6) else "pressed" for at in range(8)]
    assert built == [f"{end} True 0.25 5" for end in errors]


def test_an_error_in_a_callback_ends_fit_with_that_error():
    class Fails(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("boom at epoch 1")

    with pytest.raises(RuntimeError, match="boom at epoch 1"):
        training.fit(compiled(), *table(), epochs=5, verbose=0, callbacks=[Fails()])


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_give_the_numbers_of_keras(backend, run_python):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = """
import numpy as np, keras
from kerasbridge import training
x = np.random.default_rng(0).normal(size=(100, 5)).astype("float32"); y = x[:, :1]
def make():
    keras.utils.set_random_seed(1)
    m = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    m.compile("adam", "mse", metrics=["mae"])
    return m
a, b = make(), make()
h = training.fit(a, x, y, epochs=3, verbose=0, shuffle=False, engine="graph")
k = b.fit(x, y, epochs=3, verbose=0, shuffle=False)
training.warm_up(a)
print(h.engine, h.engine_reason, h.environment["seed"], sep="|")
print(np.allclose(h.metrics["loss"], k.history["loss"]),
      np.allclose(training.predict(a, x, verbose=0), b.predict(x, verbose=0), atol=1e-6),
      np.isclose(training.evaluate(a, x, y, verbose=0)["loss"], b.evaluate(x, y, verbose=0)[0]),
      training.predict(a, x[:0], verbose=0).shape, sep="|")
"""
    done = run_python(code, KERAS_BACKEND=backend)
    assert done.stdout.splitlines() == [
        f"keras|the backend is {backend}|1",
        "True|True|True|(0, 1)",
    ], done.stderr


def test_training_within_training():
    x, y = table()
    model, helper = compiled(), compiled()

    class Inner(keras.callbacks.Callback):
        def __init__(self, which):
            super().__init__()
            self.which = which

        def on_epoch_end(self, epoch, logs=None):
            training.fit(self.which, x, y, verbose=0)

    for which in (model, helper):  # as in Keras, the model itself too
        for engine in ("auto", "keras"):
            history = training.fit(model, x, y, verbose=0, callbacks=[Inner(which)], engine=engine)
            assert len(history.epoch) == 1 and not history.interrupted
    assert len(training.fit(model, x, y, verbose=0).epoch) == 1


def test_training_within_an_initializer_is_refused():
    x, y = table()
    helper = compiled()

    def learnt(shape, dtype=None):
        training.fit(helper, x, y, verbose=0)
        return keras.ops.zeros(shape)

    with pytest.raises(UnsupportedError, match="`fit` was called where a variable is being made"):
        L.Dense(2, kernel_initializer=learnt)(keras.Input((5,)))

    def predicted(shape, dtype=None):
        return keras.ops.zeros(shape) + float(training.predict(helper, x[:1], verbose=0)[0, 0])

    layer = L.Dense(2, kernel_initializer=predicted)
    layer(keras.Input((5,)))
    assert np.all(layer.get_weights()[0] == layer.get_weights()[0][0, 0])


def test_a_name_that_a_hook_could_have_added_is_looked_for_after_the_first_epoch():
    x, y = table()
    stopper = keras.callbacks.EarlyStopping(monitor="mine", mode="min")

    class Adds(keras.callbacks.Callback):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def on_epoch_end(self, epoch, logs=None):
            logs[self.name] = float(epoch)

    history = training.fit(compiled(), x, y, verbose=0, callbacks=[Adds("mine"), stopper])
    assert history.warnings == []
    with pytest.warns(training.TrainingWarning, match="EarlyStopping watches 'mine'"):
        history = training.fit(
            compiled(), x, y, epochs=2, verbose=0, callbacks=[Adds("yours"), stopper]
        )
    assert len(history.warnings) == 1 and "it reported" in history.warnings[0]


def test_a_compilation_that_failed_is_not_tried_in_every_fit():
    x = np.random.default_rng(0).normal(size=(64, 6, 3)).astype("float32")
    entry = keras.Input((6, 3))
    hidden = L.GRU(4)(L.GRU(4, return_sequences=True)(entry))
    model = keras.Model(entry, L.Dense(1)(hidden))
    model.compile("adam", "mse", jit_compile=False)
    first = training.fit(model, x, x[:, 0, :1], verbose=0, engine="xla")
    again = training.fit(model, x, x[:, 0, :1], verbose=0, engine="xla")
    if first.engine != "xla":  # a TensorFlow whose XLA can't do it
        assert "XLA can't compile the model" in first.engine_reason
        assert again.engine == "graph"
        assert again.engine_reason.startswith("XLA was asked for, but XLA can't compile the model")
    else:
        assert again.engine == "xla"
