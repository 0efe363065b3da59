"""Names of live classes, so that R can hang its methods on them."""

from __future__ import annotations

# public Keras class -> word R appends to "kerasbridge_"
_PUBLIC = {
    "keras.Sequential": "sequential",
    "keras.Model": "model",
    "keras.Layer": "layer",
    "keras.KerasTensor": "keras_tensor",
    "keras.Variable": "variable",
    "keras.Optimizer": "optimizer",
    "keras.Loss": "loss",
    "keras.Metric": "metric",
    "keras.Initializer": "initializer",
    "keras.Regularizer": "regularizer",
    "keras.constraints.Constraint": "constraint",
    "keras.callbacks.Callback": "callback",
    "keras.optimizers.schedules.LearningRateSchedule": "schedule",
}


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__name__}"


def class_names(keras) -> dict:
    """Map "module.Class" as Python reports it to the word R uses for it."""
    table = {}
    for path, word in _PUBLIC.items():
        value = keras
        for part in path.split(".")[1:]:
            value = getattr(value, part, None)
        if value is None:
            continue
        # the backend may hand out a subclass or a base; the abstract parents share the word
        for cls in value.__mro__:
            if cls.__name__ == value.__name__ and cls is not object:
                table.setdefault(_name(cls), word)
    if keras.config.backend() == "jax":
        import jax

        # a computation would start the devices, and `distribution.initialize()` must come before
        table[_name(jax.Array)] = "tensor"
    else:
        table[_name(type(keras.ops.zeros((1,))))] = "tensor"
    table["kerasbridge.saving.saved_model.InferenceModel"] = "saved_model"
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        for cls in (tf.Tensor, tf.SparseTensor, tf.RaggedTensor):
            table.setdefault(_name(cls), "tensor")
        table.setdefault(_name(tf.data.Dataset), "dataset")
    return table
