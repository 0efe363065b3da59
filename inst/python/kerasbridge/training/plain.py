"""Keras' own `fit`, `evaluate` and `predict`, with this package's progress and history."""

from __future__ import annotations

from typing import Any

import keras

from kerasbridge.runtime import spreading
from kerasbridge.runtime.quiet import hush_retracing
from kerasbridge.training.building import build_model, build_optimizer, first_step_whole
from kerasbridge.training.checkpoints import durable
from kerasbridge.training.compiling import flat_layers
from kerasbridge.training.history import History
from kerasbridge.training.keeping import values_kept
from kerasbridge.training.progress import Progress
from kerasbridge.training.sourced import looked_at
from kerasbridge.training.watch import Foremost, Watch


def callback_list(callbacks: Any) -> list:
    """None, one callback, a (nested) list or a `CallbackList` as a flat list.

    Keras' own callbacks that write files do so whole or not at all from here on.
    """
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return [durable(one) for one in callbacks.callbacks]
    if isinstance(callbacks, (list, tuple)):
        return [one for part in callbacks for one in callback_list(part)]
    return [durable(callbacks)]


def _readable(arguments: dict) -> dict:
    """The arguments with sources as Keras can read them."""
    return {
        name: value.for_keras() if hasattr(value, "for_keras") else value
        for name, value in arguments.items()
    }


def _compile_anew(model: Any) -> None:
    """Drop the compiled steps of a model on several devices.

    They were compiled for data of one form, and one of another rank (targets with and without their
    last axis) would be taken for data of no known rank.
    """
    if spreading.strategy_of(model) is not None:
        model.train_function = model.test_function = None


class _FromItsEpoch(keras.callbacks.Callback):
    """A source goes on with the epoch it is at.

    Keras looks at the first batch and ends an epoch before it begins: orders by one seed would be others
    than those of the loops here.
    """

    def __init__(self, source: Any):
        super().__init__()
        self._source, self._epoch = source, source.epoch

    def on_train_begin(self, logs: Any = None) -> None:
        self._source.begin_epoch(self._epoch)


def fit_plain(
    model: Any, callbacks: list, history: History, progress: Progress, stop: Any, arguments: dict
) -> None:
    """Run `model.fit(**arguments)`; epochs go into `history`."""
    validation = (
        arguments.get("validation_data") is not None or (arguments.get("validation_split") or 0) > 0
    )
    hush_retracing()
    watch = Watch(progress, stop, history, others=callbacks, validation=validation)
    _compile_anew(model)
    x = arguments.get("x")
    own = [_FromItsEpoch(x)] if hasattr(x, "begin_epoch") else []
    weighed = spreading.weighed_gradients(model, flat_layers(model))
    looked = looked_at(model, arguments)
    build_model(model, x)
    with (
        weighed,
        looked,
        first_step_whole(model, "train"),
        values_kept(model) as first,
    ):
        build_optimizer(model)
        model.fit(
            **_readable(arguments),
            callbacks=[*first, Foremost(watch), *callbacks, *own, watch],
            verbose=0,
        )


def evaluate_plain(
    model: Any, callbacks: list, progress: Progress, stop: Any, arguments: dict
) -> dict[str, float]:
    hush_retracing()
    _compile_anew(model)
    watch = Watch(progress, stop, title="Evaluate")
    looked = looked_at(model, arguments)
    build_model(model, arguments.get("x"))
    whole = first_step_whole(model, "test")
    with looked, whole, values_kept(model) as first:
        return model.evaluate(
            **_readable(arguments),
            callbacks=[*first, *callbacks, watch],
            verbose=0,
            return_dict=True,
        )


def predict_plain(
    model: Any, callbacks: list, progress: Progress, stop: Any, arguments: dict
) -> Any:
    hush_retracing()
    watch = Watch(progress, stop, title="Predict")
    looked = looked_at(model, arguments, targets=False)
    build_model(model, arguments.get("x"))
    with looked, values_kept(model) as first:
        return model.predict(
            **_readable(arguments), callbacks=[*first, *callbacks, watch], verbose=0
        )
