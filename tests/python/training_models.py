"""Small models with their data, each a case in which the resident loop has to equal Keras."""

from __future__ import annotations

import keras
import numpy as np

L = keras.layers
CASES = {}


class Case:
    """A compiled model, its training arrays and the arguments of `fit`."""

    def __init__(self, model, x, y=None, **arguments):
        self.model, self.x, self.y, self.arguments = model, x, y, arguments


def case(function):
    CASES[function.__name__] = function
    return function


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def classes(rows, count, seed=1):
    return np.random.default_rng(seed).integers(0, count, size=rows)


def table(rows=70, columns=5):
    x = numbers(rows, columns)
    return x, x[:, :1] * 2 - x[:, 1:2] + 0.1


def dense(columns=5, units=1, activation=None, **options):
    return keras.Sequential(
        [
            L.Input((columns,)),
            L.Dense(8, activation="relu", **options),
            L.Dense(units, activation=activation),
        ]
    )


@case
def mlp():
    model = dense()
    model.compile("adam", "mse", metrics=["mae"])
    return Case(model, *table(), epochs=3)


@case
def two_hidden_layers_with_accuracy():
    x, y = table()
    model = keras.Sequential(
        [
            L.Input((5,)),
            L.Dense(8, activation="relu"),
            L.Dense(6, activation="tanh"),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    return Case(model, x, (y > 0).astype("float32"), epochs=3, batch_size=16)


@case
def one_dimensional_target_from_doubles():
    x, y = table()
    model = dense()
    model.compile("sgd", "mse")
    return Case(model, np.asfortranarray(x.astype("float64")), y[:, 0].astype("float64"), epochs=2)


@case
def cnn():
    model = keras.Sequential(
        [
            L.Input((8, 8, 2)),
            L.Conv2D(4, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Case(model, numbers(40, 8, 8, 2), classes(40, 3), epochs=2, batch_size=16)


@case
def lstm():
    model = keras.Sequential([L.Input((6, 3)), L.LSTM(4), L.Dense(1)])
    model.compile("adam", "mse")
    return Case(model, numbers(40, 6, 3), numbers(40, 1, seed=2), epochs=2, batch_size=16)


@case
def gru_stateful():
    entry = L.Input(batch_shape=(8, 4, 2))
    model = keras.Model(entry, L.Dense(1)(L.GRU(3, stateful=True)(entry)))
    model.compile("sgd", "mse")
    return Case(model, numbers(32, 4, 2), numbers(32, 1, seed=2), epochs=2, batch_size=8)


@case
def batch_norm_and_dropout():
    model = keras.Sequential(
        [L.Input((5,)), L.Dense(8), L.BatchNormalization(), L.ReLU(), L.Dropout(0.4), L.Dense(1)]
    )
    model.compile("adam", "mse")
    x, y = table()
    return Case(model, x, y, epochs=2, validation_data=(x[:20], y[:20]))


@case
def embedding_with_mask():
    model = keras.Sequential(
        [L.Input((6,), dtype="int32"), L.Embedding(10, 3, mask_zero=True), L.LSTM(3), L.Dense(1)]
    )
    model.compile("adam", "mse")
    ids = np.random.default_rng(0).integers(0, 10, size=(40, 6))
    return Case(
        model, ids, numbers(40, 1), epochs=2, batch_size=16, validation_split=0.2, shuffle=False
    )


@case
def masked_sequence_output():
    model = keras.Sequential(
        [L.Input((6,), dtype="int32"), L.Embedding(10, 3, mask_zero=True), L.Dense(2)]
    )
    model.compile("sgd", "mse")
    ids = np.random.default_rng(0).integers(0, 10, size=(40, 6))
    return Case(model, ids, numbers(40, 6, 2), epochs=2, batch_size=16, validation_split=0.25)


@case
def many_inputs_and_outputs_with_loss_weights():
    left, right = L.Input((3,), name="left"), L.Input((2,), name="right")
    joined = L.Concatenate()([L.Dense(4, activation="relu")(left), right])
    outputs = [
        L.Dense(1, name="price")(joined),
        L.Dense(3, activation="softmax", name="kind")(joined),
    ]
    model = keras.Model([left, right], outputs)
    model.compile(
        "adam",
        {"price": "mse", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"price": 0.3, "kind": 2.0},
        metrics={"kind": ["accuracy"]},
    )
    x = [numbers(50, 3), numbers(50, 2, seed=3)]
    y = {"price": numbers(50, 1, seed=4), "kind": classes(50, 3)}
    return Case(model, x, y, epochs=2, validation_split=0.2)


@case
def dict_input():
    inputs = {"b": L.Input((2,), name="b"), "a": L.Input((3,), name="a")}
    model = keras.Model(inputs, L.Dense(1)(L.Concatenate()([inputs["a"], inputs["b"]])))
    model.compile("sgd", "mse")
    x = {"b": numbers(40, 2), "a": numbers(40, 3, seed=3)}
    return Case(model, x, numbers(40, 1, seed=4), epochs=2)


@case
def shared_layers():
    one, two = L.Input((4,)), L.Input((4,))
    shared = L.Dense(3, activation="tanh")
    model = keras.Model([one, two], L.Dense(1)(L.Subtract()([shared(one), shared(two)])))
    model.compile("adam", "mse")
    return Case(model, [numbers(40, 4), numbers(40, 4, seed=5)], numbers(40, 1, seed=6), epochs=2)


@case
def nested_models():
    inner = dense(5, 4, "relu")
    model = keras.Sequential([L.Input((5,)), inner, L.Dense(1)])
    model.compile("adam", "mse")
    return Case(model, *table(), epochs=2)


@case
def sample_weight():
    x, y = table()
    model = dense()
    model.compile("adam", "mse", weighted_metrics=["mae"])
    weights = np.linspace(0, 2, len(x))
    return Case(model, x, y, epochs=2, sample_weight=weights, validation_split=0.2)


@case
def sample_weight_for_several_outputs():
    entry = L.Input((5,))
    model = keras.Model(entry, [L.Dense(1)(entry), L.Dense(2)(entry)])
    model.compile("sgd", ["mse", "mae"])
    x, y = table()
    weights = np.linspace(0, 2, len(x))
    return Case(model, x, [y, numbers(70, 2)], epochs=2, sample_weight=weights)


@case
def class_weight():
    x, _ = table()
    model = dense(units=3, activation="softmax")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Case(model, x, classes(70, 3), epochs=2, class_weight={0: 1.0, 1: 5.0, 2: 0.5})


@case
def class_weight_one_hot():
    x, _ = table()
    model = dense(units=3, activation="softmax")
    model.compile("adam", "categorical_crossentropy")
    y = np.eye(3, dtype="float32")[classes(70, 3)]
    return Case(model, x, y, epochs=2, class_weight={0: 1.0, 1: 5.0, 2: 0.5})


@case
def regularizers():
    model = dense(kernel_regularizer=keras.regularizers.L1L2(1e-3, 1e-2), activity_regularizer="l2")
    model.compile("sgd", "mse")
    x, y = table()
    return Case(model, x, y, epochs=2, validation_data=(x[:40], y[:40]))


@case
def ema_and_weight_decay():
    model = dense(kernel_regularizer="l2")
    model.compile(
        keras.optimizers.AdamW(
            0.01, weight_decay=0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4
        ),
        "mse",
    )
    return Case(model, *table(), epochs=3)


@case
def gradient_accumulation():
    model = dense()
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    return Case(model, *table(), epochs=3)


@case
def clipping_and_momentum():
    model = dense()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=0.5), "huber")
    return Case(model, *table(), epochs=2)


@case
def learning_rate_schedule():
    model = dense()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    model.compile(keras.optimizers.SGD(schedule), "mse")
    return Case(model, *table(), epochs=3)


@case
def reduce_on_plateau_and_scheduler():
    model = dense()
    model.compile(keras.optimizers.SGD(0.05), "mse")
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=0, min_delta=10.0, factor=0.5),
    ]
    return Case(model, *table(), epochs=4, validation_split=0.2, callbacks=callbacks)


@case
def early_stopping_with_restore():
    model = dense()
    model.compile(keras.optimizers.SGD(0.9), "mse")
    stopping = keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
    return Case(model, *table(), epochs=12, callbacks=[stopping])


@case
def mixed_float16():
    policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    model = keras.Sequential(
        [L.Input((5,)), L.Dense(8, activation="relu", dtype=policy), L.Dense(1, dtype=policy)]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.05), initial_scale=1024.0, dynamic_growth_steps=3
    )
    model.compile(optimizer, "mse")
    return Case(model, *table(), epochs=2)


@case
def mixed_bfloat16():
    policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    model = dense(dtype=policy)
    model.compile("sgd", "mse")
    return Case(model, *table(), epochs=2)


@case
def float64_policy():
    policy = keras.dtype_policies.DTypePolicy("float64")
    model = keras.Sequential(
        [L.Input((5,), dtype="float64"), L.Dense(4, dtype=policy), L.Dense(1, dtype=policy)]
    )
    model.compile("adam", "mse")
    x, y = table()
    return Case(model, x.astype("float64"), y.astype("float64"), epochs=2)


class OwnStep(keras.Model):
    """Reports a number that no metric holds, besides training as usual."""

    def __init__(self):
        super().__init__()
        self.first, self.last = L.Dense(4, activation="tanh"), L.Dense(1)

    def call(self, x):
        return self.last(self.first(x))

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            difference = self(x, training=True) - y
            loss = tf.reduce_mean(difference**2)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return {"loss": loss, "worst": tf.reduce_max(tf.abs(difference))}


@case
def custom_train_step():
    model = OwnStep()
    model.compile("sgd")
    return Case(model, *table(), epochs=2)


class OwnLoss(keras.Model):
    """Computes its loss itself and keeps a metric of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.spread = keras.metrics.Mean(name="spread")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.spread.update_state(keras.ops.std(y_pred))
        return keras.ops.mean(keras.ops.abs(y_pred - y)) + keras.ops.sum(self.losses)


@case
def custom_compute_loss():
    entry = L.Input((5,))
    model = OwnLoss(entry, L.Dense(1, kernel_regularizer="l2")(entry))
    model.compile("sgd")
    return Case(model, *table(), epochs=2, validation_split=0.2)


class Penalty(L.Layer):
    def call(self, x):
        self.add_loss(0.01 * keras.ops.sum(x**2))
        return x


@case
def add_loss():
    entry = L.Input((5,))
    model = keras.Model(entry, L.Dense(1)(Penalty()(L.Dense(4)(entry))))
    model.compile("sgd", "mse")
    x, y = table()
    return Case(model, x, y, epochs=2, validation_data=(x[:40], y[:40]))


@case
def metrics_with_state():
    x, y = table()
    model = dense(activation="sigmoid")
    model.compile(
        "adam",
        "binary_crossentropy",
        metrics=[keras.metrics.AUC(num_thresholds=20), "precision", keras.metrics.Recall(name="r")],
    )
    return Case(model, x, (y > 0).astype("int32"), epochs=2, validation_split=0.25)


@case
def per_class_metric():
    x, _ = table()
    model = dense(units=3, activation="softmax")
    model.compile("adam", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
    return Case(model, x, np.eye(3, dtype="float32")[classes(70, 3)], epochs=2)


@case
def integer_inputs():
    model = keras.Sequential([L.Input((4,)), L.Rescaling(0.1), L.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).integers(0, 10, size=(50, 4)).astype("int64")
    return Case(model, x, x.sum(axis=1, keepdims=True) * 0.1, epochs=2)


@case
def steps_per_epoch_goes_on_where_it_stopped():
    model = dense()
    model.compile("sgd", "mse")
    return Case(model, *table(), epochs=5, batch_size=16, steps_per_epoch=2)


@case
def steps_per_epoch_sets_the_batch():
    model = dense()
    model.compile("sgd", "mse")
    return Case(model, *table(), epochs=2, steps_per_epoch=3)


@case
def initial_epoch():
    model = dense()
    model.compile("sgd", "mse")
    return Case(model, *table(), epochs=5, initial_epoch=3)


@case
def validation_freq_and_steps():
    model = dense()
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = table()
    return Case(
        model,
        x,
        y,
        epochs=4,
        batch_size=16,
        validation_data=(x[:50], y[:50]),
        validation_freq=[2, 3],
        validation_steps=2,
    )


@case
def validation_with_sample_weight():
    model = dense()
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    x, y = table()
    weights = np.linspace(0, 3, 50)
    return Case(
        model, x, y, epochs=2, validation_data=(x[:50], y[:50], weights), validation_batch_size=16
    )


@case
def no_target():
    entry = L.Input((5,))
    model = OwnStepless(entry, L.Dense(5)(entry))
    model.compile("sgd")
    return Case(model, table()[0], epochs=2)


class OwnStepless(keras.Model):
    """An autoencoder that takes no target."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean((x - y_pred) ** 2)


class Plain(keras.Model):
    """A model that is a class of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.outer = L.Dense(4, activation="relu"), L.Dense(1)

    def call(self, x, training=False):
        return self.outer(self.inner(x))


@case
def subclassed_and_unbuilt():
    model = Plain()
    model.compile("adam", "mse", metrics=["mae"])
    return Case(model, *table(), epochs=2, validation_split=0.2)


@case
def noise_and_attention():
    entry = L.Input((5, 4))
    hidden = L.MultiHeadAttention(2, 3)(entry, entry)
    hidden = L.LayerNormalization()(L.GaussianNoise(0.1)(hidden))
    model = keras.Model(entry, L.Dense(1)(L.GlobalAveragePooling1D()(hidden)))
    model.compile("adam", "mse")
    return Case(model, numbers(40, 5, 4), numbers(40, 1, seed=2), epochs=2, batch_size=16)
