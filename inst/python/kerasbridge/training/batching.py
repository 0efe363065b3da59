"""Batch size "auto": how many rows at once, within a bound on the memory of activations."""

from __future__ import annotations

from typing import Any

import keras

from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.training.compiling import flat_layers, overrides

MOST_ROWS = 16384
BUDGET = 256 << 20  # bytes of intermediate results, all of them counted
_ROWWISE_LOSSES = {
    "meansquarederror",
    "mse",
    "meanabsoluteerror",
    "mae",
    "meanabsolutepercentageerror",
    "mape",
    "meansquaredlogarithmicerror",
    "msle",
    "logcosh",
    "huber",
    "binarycrossentropy",
    "categoricalcrossentropy",
    "sparsecategoricalcrossentropy",
    "poisson",
    "kldivergence",
    "hinge",
    "squaredhinge",
    "categoricalhinge",
    "cosinesimilarity",
}


def rows_within(row_bytes: int, least: int = 32, budget: int = BUDGET) -> int:
    """The largest power of two of rows whose activations stay within the budget."""
    rows = MOST_ROWS
    while rows > least and rows * row_bytes > budget:
        rows //= 2
    return max(rows, least)


def evaluation_rows(model: Any, loop: Any, usual: int) -> int:
    """Rows a step for evaluation: many where the numbers can't depend on it, else `usual`."""
    if loop.writes_weights or loop.graph.random or not rowwise(model):
        return usual
    if keras_before(3, 6):  # early versions average the loss over batches, whatever their size
        return usual
    return rows_within(loop.row_bytes, usual)


def _from_keras(thing: Any) -> bool:
    cls = thing if isinstance(thing, type) or callable(thing) else type(thing)
    module = getattr(cls, "__module__", None) or type(thing).__module__
    return module.split(".")[0] == "keras"


def rowwise(model: Any) -> bool:
    """Whether loss and metrics over any cut of the rows into batches are the same numbers.

    True only for what is known to be: Keras' own layers without masks, activity penalties or added
    losses, Keras' own mean losses and metrics, and the model's own steps untouched.
    """
    for name in ("test_step", "compute_loss", "compute_metrics", "get_metrics_result", "call"):
        if overrides(model, name):
            return False
    for layer in flat_layers(model):
        if type(layer).__module__.split(".")[0] != "keras":
            return False
        if isinstance(layer, (keras.layers.Lambda, keras.layers.Masking)):
            return False
        if isinstance(layer, keras.layers.ActivityRegularization):
            return False
        if getattr(layer, "mask_zero", False) or getattr(layer, "stateful", False):
            return False
        if getattr(layer, "activity_regularizer", None) is not None:
            return False
    # the loss of each single output is averaged over batches, not over rows
    losses = _flatten(getattr(model, "loss", None))
    if len(getattr(model, "outputs", None) or []) > 1 or len(losses) > 1:
        return False
    if not all(_rowwise_loss(loss) for loss in losses):
        return False
    for metric in model.metrics:
        for one in getattr(metric, "metrics", None) or [metric]:
            if type(one).__module__.split(".")[0] != "keras":
                return False
            # the function has no public attribute, and get_config() gives its bare name only, which a
            # function of the user's may share
            function = getattr(one, "_fn", None)
            if function is not None and not _from_keras(function):
                return False
    return True


def _flatten(nested: Any) -> list:
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, (list, tuple)):
        return [one for part in nested for one in _flatten(part)]
    return [] if nested is None else [nested]


def _rowwise_loss(loss: Any) -> bool:
    if isinstance(loss, str):
        name = loss
    elif isinstance(loss, keras.losses.Loss):
        if not _from_keras(type(loss)) or loss.reduction != "sum_over_batch_size":
            return False
        name = type(loss).__name__
    else:
        if not _from_keras(loss):
            return False
        name = getattr(loss, "__name__", "")
    return name.lower().replace("_", "") in _ROWWISE_LOSSES
