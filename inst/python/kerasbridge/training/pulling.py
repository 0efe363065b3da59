"""Training, evaluation and prediction on batches that are pulled one by one on this thread.

Keras reads a plain Python generator from a thread of its backend, which a function of R must not be
called from. Here each batch is pulled between two steps, and the steps are those of the model's own
`train_on_batch`, `test_on_batch` and `predict_on_batch`; metrics run on over an epoch as in `fit`.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Iterator, Optional

import keras
import numpy as np

from kerasbridge.data.rgenerator import PulledBatches, input_shapes
from kerasbridge.errors import ArgumentError, DataError, UnsupportedError
from kerasbridge.training import guards
from kerasbridge.training.compiling import as_compiled
from kerasbridge.training.history import History
from kerasbridge.training.plain import callback_list
from kerasbridge.training.progress import Progress, check_verbose
from kerasbridge.training.watch import Watch


def _check_single_steps(model: Any) -> None:
    if (getattr(model, "steps_per_execution", 1) or 1) != 1:
        raise UnsupportedError(
            "A model compiled with `steps_per_execution` above 1 can't take batches one by one.",
            hint="Compile it with steps_per_execution = 1.",
            argument="object",
        )


@contextlib.contextmanager
def _metrics_run_on(model: Any) -> Iterator[None]:
    """Within the block the one-batch methods add to the metrics instead of resetting them."""
    object.__setattr__(model, "reset_metrics", lambda: None)
    try:
        yield
    finally:
        object.__delattr__(model, "reset_metrics")


def _steps(steps: Any, argument: str) -> int:
    steps = guards.check_whole(steps, argument, least=1)
    if steps is None:
        raise ArgumentError(
            f"`{argument}` must say how many batches of the generator to take.",
            hint="For rows in batches: ceiling(nrow(x) / batch_size).",
            argument=argument,
        )
    return steps


def _callbacks(given: list, watch: Watch, model: Any, epochs: int, steps: Optional[int]):
    return keras.callbacks.CallbackList(
        [*given, watch], model=model, verbose=0, epochs=epochs, steps=steps
    )


def fit_pulled(
    model: Any,
    pull: Callable[[], Any],
    steps_per_epoch: int,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_data: Any = None,
    validation_steps: Optional[int] = None,
    validation_freq: int = 1,
    class_weight: Optional[dict] = None,
    initial_epoch: int = 0,
    output: Any = None,
    stop: Any = None,
) -> History:
    """Train on `steps_per_epoch` batches an epoch; `pull` is called exactly that often.

    Args:
        pull: returns (x,), (x, y) or (x, y, sample_weight); None when there is nothing left.
        validation_data: None, (x, y), (x, y, sample_weight), something Keras evaluates on, or a
            function as `pull`, of which `validation_steps` batches are taken each time.

    Returns:
        The history; `params["ended"]` says so when the batches ran out, else it is None. The
        remaining arguments are those of `kerasbridge.training.fit`.
    """
    verbose = check_verbose(verbose)
    guards.check_compiled(model, "fit")
    _check_single_steps(model)
    steps = _steps(steps_per_epoch, "steps_per_epoch")
    epochs, initial_epoch = guards.check_epochs(epochs, initial_epoch)
    guards.check_validation_freq(validation_freq)
    class_weight = None if class_weight is None else {int(k): v for k, v in class_weight.items()}
    validate = _validator(model, validation_data, validation_steps)
    given = callback_list(callbacks)
    batches = PulledBatches(pull, input_shapes(model))
    history = History(
        {"epochs": epochs, "initial_epoch": initial_epoch, "steps": steps, "ended": None}
    )
    history.engine, history.engine_reason = "keras", "batches are pulled one by one"
    progress = Progress(output, verbose)
    watch = Watch(progress, stop, history, others=given, validation=validate is not None)
    calls = _callbacks(given, watch, model, epochs, steps)
    started = time.perf_counter()
    try:
        with as_compiled(model):
            model.stop_training = False
            calls.on_train_begin()
            logs: dict = {}
            first = getattr(model, "_initial_epoch", None) or initial_epoch  # a backup restored
            for epoch in range(first, epochs):
                model.reset_metrics()
                calls.on_epoch_begin(epoch)
                logs, done = _epoch(model, batches, steps, calls, class_weight)
                if done:
                    if validate is not None and _is_due(epoch, validation_freq):
                        logs.update({f"val_{k}": v for k, v in validate(calls).items()})
                    calls.on_epoch_end(epoch, logs)
                if batches.ended:
                    history.params["ended"] = (
                        f"The generator ended after {batches.calls} batches; "
                        f"{(epochs - initial_epoch) * steps} were asked for "
                        f"({epochs - initial_epoch} epochs of {steps} steps)."
                    )
                    break
                if model.stop_training:
                    break
            if batches.calls == 0 and batches.ended:
                raise DataError("The generator gave no batch at all.", argument="x")
            if epochs > initial_epoch and hasattr(model.optimizer, "finalize_variable_values"):
                model.optimizer.finalize_variable_values(model.trainable_weights)
            calls.on_train_end(logs)
    except KeyboardInterrupt:
        history.interrupted = True
        count = len(history.epoch)
        note = f"Training was stopped after {count} complete epoch{'' if count == 1 else 's'}."
        history.notes.append(note)
        progress.close()
        progress.note(note)
    finally:
        progress.close()
        history.seconds = time.perf_counter() - started
    return history.keep_with(model)


def _epoch(
    model: Any, batches: PulledBatches, steps: int, calls: Any, class_weight: Optional[dict]
) -> tuple[dict, int]:
    """Logs of the epoch and the number of steps done."""
    logs: dict = {}
    for step in range(steps):
        batch = batches.next()
        if batch is None:
            return logs, step
        x, y, weight = batch
        if weight is not None and class_weight is not None:
            raise ArgumentError(
                "`class_weight` can't be combined with weights from the generator.",
                argument="class_weight",
            )
        calls.on_train_batch_begin(step)
        with _metrics_run_on(model):
            logs = model.train_on_batch(
                x, y, sample_weight=weight, class_weight=class_weight, return_dict=True
            )
        logs = {name: _number(value) for name, value in logs.items()}
        calls.on_train_batch_end(step, logs)
        if model.stop_training:
            return logs, step + 1
    return logs, steps


def _number(value: Any) -> Any:
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else value


def _is_due(epoch: int, freq: Any) -> bool:
    return (epoch + 1) % freq == 0 if isinstance(freq, int) else (epoch + 1) in freq


def _validator(model: Any, data: Any, steps: Optional[int]) -> Optional[Callable]:
    if data is None:
        return None
    if callable(data) and not hasattr(data, "__getitem__"):
        count = _steps(steps, "validation_steps")

        def validate(calls: Any) -> dict:
            batches = PulledBatches(data, input_shapes(model), "validation generator")
            logs = _test(model, batches, count, calls)
            if batches.ended:
                raise DataError(
                    f"The validation generator ended after {batches.calls} batches; {count} a "
                    "validation were asked for.",
                    argument="validation_data",
                )
            return logs

        return validate
    x, y, weight = data, None, None
    if isinstance(data, (tuple, list)):
        x, y, weight = (tuple(guards.check_validation_data(data)) + (None, None))[:3]

    def evaluate(calls: Any) -> dict:
        return model.evaluate(
            x, y, sample_weight=weight, steps=steps, callbacks=calls, verbose=0, return_dict=True
        )

    return evaluate


def _test(model: Any, batches: PulledBatches, steps: int, calls: Any) -> dict:
    model.reset_metrics()
    calls.on_test_begin()
    logs: dict = {}
    for step in range(steps):
        batch = batches.next()
        if batch is None:
            break
        x, y, weight = batch
        calls.on_test_batch_begin(step)
        with _metrics_run_on(model):
            logs = model.test_on_batch(x, y, sample_weight=weight, return_dict=True)
        logs = {name: _number(value) for name, value in logs.items()}
        calls.on_test_batch_end(step, logs)
    calls.on_test_end(logs)
    return logs


def _too_few(batches: PulledBatches, steps: int) -> DataError:
    return DataError(
        f"The generator ended after {batches.calls} batches; {steps} were asked for.",
        hint="Ask for fewer `steps`, or let the generator go on.",
        argument="steps",
        details={"batches": batches.calls, "steps": steps},
    )


def evaluate_pulled(
    model: Any,
    pull: Callable[[], Any],
    steps: int,
    verbose: Any = "auto",
    callbacks: Any = None,
    output: Any = None,
    stop: Any = None,
) -> dict[str, float]:
    """Loss and metrics over `steps` batches of `pull`.

    Raises:
        DataError: the batches ran out.
    """
    guards.check_compiled(model, "evaluate")
    _check_single_steps(model)
    steps = _steps(steps, "steps")
    progress = Progress(output, check_verbose(verbose))
    given = callback_list(callbacks)
    calls = _callbacks(given, Watch(progress, stop, title="Evaluate"), model, 1, steps)
    batches = PulledBatches(pull, input_shapes(model))
    try:
        with as_compiled(model):
            logs = _test(model, batches, steps, calls)
    finally:
        progress.close()
    if batches.ended:
        raise _too_few(batches, steps)
    return logs


def predict_pulled(
    model: Any,
    pull: Callable[[], Any],
    steps: int,
    verbose: Any = "auto",
    callbacks: Any = None,
    output: Any = None,
    stop: Any = None,
) -> Any:
    """Outputs for `steps` batches of `pull`, rows joined; only `x` of each batch is used.

    Raises:
        DataError: the batches ran out.
    """
    steps = _steps(steps, "steps")
    progress = Progress(output, check_verbose(verbose))
    given = callback_list(callbacks)
    calls = _callbacks(given, Watch(progress, stop, title="Predict"), model, 1, steps)
    batches = PulledBatches(pull, input_shapes(model))
    parts = []
    try:
        calls.on_predict_begin()
        for step in range(steps):
            batch = batches.next()
            if batch is None:
                raise _too_few(batches, steps)
            calls.on_predict_batch_begin(step)
            parts.append(model.predict_on_batch(batch[0]))
            calls.on_predict_batch_end(step, {"outputs": parts[-1]})
        calls.on_predict_end()
    finally:
        progress.close()
    return keras.tree.map_structure(lambda *rows: np.concatenate(rows), *parts)
