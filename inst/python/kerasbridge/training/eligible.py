"""Whether the resident loop may stand in for Keras' own: every "no" is a short reason."""

from __future__ import annotations

from typing import Any, Optional

import keras

from kerasbridge.training.compiling import overrides

_TRAIN_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
_TEST_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
_PREDICT_HOOKS = ("on_predict_batch_begin", "on_predict_batch_end")


def backend_reason() -> Optional[str]:
    """Why this process can't run the resident loop at all; None if it can."""
    backend = keras.config.backend()
    if backend != "tensorflow":
        return f"the backend is {backend}"
    import tensorflow as tf

    if tf.config.functions_run_eagerly():
        return "TensorFlow runs functions eagerly"
    if tf.distribute.has_strategy():
        return "a distribution strategy is active"
    distribution = getattr(keras.distribution, "distribution", None)
    if distribution is not None and distribution() is not None:
        return "a distribution is set"
    for name in ("max_epochs", "max_steps_per_epoch"):
        limit = getattr(keras.config, name, None)
        if limit is not None and limit():
            return f"keras.config limits {name}"
    return None


def model_reason(model: Any, verb: str) -> Optional[str]:
    """Why this model needs Keras' own `verb` ("fit", "evaluate", "predict"); None if it doesn't."""
    if not isinstance(model, keras.Model):
        return "the model is not a keras.Model"
    if getattr(model, "run_eagerly", False):
        return "the model runs eagerly"
    import tensorflow as tf

    if getattr(model, "distribute_strategy", None) is not tf.distribute.get_strategy():
        return "the model was made under a distribution strategy"
    maker = {"fit": "train", "evaluate": "test", "predict": "predict"}[verb]
    for name in (verb, f"make_{maker}_function"):
        if overrides(model, name):
            return f"the model has its own `{name}`"
    return None


def _overridden(callback: Any, name: str) -> bool:
    method = getattr(callback, name, None)
    plain = getattr(keras.callbacks.Callback, name, None)
    return method is not None and getattr(method, "__func__", method) is not plain


def callback_reason(callbacks: list, verb: str) -> Optional[str]:
    """The callback that must see every batch; None if all are content with epochs and chunks."""
    hooks = {"fit": _TRAIN_HOOKS + _TEST_HOOKS, "evaluate": _TEST_HOOKS, "predict": _PREDICT_HOOKS}
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.TerminateOnNaN):
            continue  # content with the end of each chunk
        saves = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)
        per_epoch = isinstance(callback, saves) and callback.save_freq == "epoch"
        for name in hooks[verb]:
            if not _overridden(callback, name):
                continue
            own = type(callback).__module__.split(".")[0] in ("keras", "kerasbridge")
            if per_epoch and own and name == "on_train_batch_end":
                continue
            return f"{type(callback).__name__} wants every batch"
    return None
