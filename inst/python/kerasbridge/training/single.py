"""One batch at a time: Keras' own three methods, with named results."""

from __future__ import annotations

from typing import Any, Optional

from kerasbridge.runtime import spreading
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.training.building import build_model, build_optimizer, first_step_whole
from kerasbridge.training.compiling import as_compiled
from kerasbridge.training.entering import check_on_backend, check_trains
from kerasbridge.training.guards import check_labels, check_tokens, clean_class_weight, leaves
from kerasbridge.training.keeping import values_kept


def train_on_batch(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Optional[dict] = None,
) -> dict[str, float]:
    """One step of gradient descent on the rows given; the metrics of these rows by name."""
    check_trains("train_on_batch")
    check_on_backend(model, "train_on_batch")
    check_labels(model, y)
    check_tokens(model, x)
    class_weight = clean_class_weight(model, y, class_weight)
    sample_weight = spreading.weights_on_devices(y, sample_weight, class_weight)
    build_model(model, x)
    with as_compiled(model), first_step_whole(model, "train"), values_kept(model):
        build_optimizer(model)
        _reset_metrics(model)
        return model.train_on_batch(
            x, y, sample_weight=sample_weight, class_weight=class_weight, return_dict=True
        )


def test_on_batch(model: Any, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, float]:
    """The metrics of the rows given, by name; no weight changes."""
    check_on_backend(model, "test_on_batch")
    check_labels(model, y)
    check_tokens(model, x)
    sample_weight = spreading.weights_on_devices(y, sample_weight)
    build_model(model, x)
    try:
        with first_step_whole(model, "test"), values_kept(model):
            _reset_metrics(model)
            return model.test_on_batch(x, y, sample_weight=sample_weight, return_dict=True)
    except StopIteration:
        # Keras 3.0 loses the batch where it compiles the step for it; it has not been counted then
        return model.evaluate(
            x, y, batch_size=_rows(x), sample_weight=sample_weight, verbose=0, return_dict=True
        )


test_on_batch.__test__ = False  # not a test, whatever pytest thinks of its name


def _reset_metrics(model: Any) -> None:
    """Older versions of Keras go on counting where `fit()` or the last batch ended."""
    if keras_before(3, 15):
        model.reset_metrics()


def predict_on_batch(model: Any, x: Any) -> Any:
    """The outputs for the rows given, in one piece."""
    check_on_backend(model, "predict_on_batch")
    check_tokens(model, x)
    if spreading.strategy_of(model) is not None:  # there Keras gives every row once for each device
        return model.predict(x, batch_size=_rows(x), verbose=0)
    build_model(model, x)
    with values_kept(model):
        return model.predict_on_batch(x)


def _rows(x: Any) -> int:
    return next(int(leaf.shape[0]) for _, leaf in leaves(x, "x"))
