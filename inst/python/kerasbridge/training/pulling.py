"""Training, evaluation and prediction on batches that a function gives one by one.

Keras reads a plain Python generator from a thread of its backend, which a function of R must not be
called from. Here the function is called on the thread that trains, and the compiled step of the
model runs beside it (`overlap.py`); metrics run on over an epoch as in `fit`.
"""

from __future__ import annotations

import contextlib
import functools
import time
from typing import Any, Callable, Iterator, Optional

import keras
import numpy as np

from kerasbridge.data.rgenerator import PulledBatches, input_shapes, output_column
from kerasbridge.errors import ArgumentError, DataError, UnsupportedError
from kerasbridge.runtime import presses, spreading, threads
from kerasbridge.runtime.facts import facts
from kerasbridge.training import entering, guards, shapes
from kerasbridge.training.building import first_step_whole
from kerasbridge.training.compiling import as_compiled, overrides
from kerasbridge.training.eligible import callback_reason
from kerasbridge.training.history import History
from kerasbridge.training.keeping import values_kept
from kerasbridge.training.overlap import Ahead, Steps, plain_logs
from kerasbridge.training.plain import callback_list
from kerasbridge.training.progress import Progress, check_verbose
from kerasbridge.training.watch import Foremost, Watch
from kerasbridge.training.within_memory import told

QUEUE = 10  # batches made ahead at most


def _check_single_steps(model: Any) -> None:
    if (getattr(model, "steps_per_execution", 1) or 1) != 1:
        raise UnsupportedError(
            "A model compiled with `steps_per_execution` above 1 can't take batches one by one.",
            hint="Compile it with steps_per_execution = 1.",
            argument="object",
        )


@contextlib.contextmanager
def _beside(model: Any, kind: str) -> Iterator[None]:
    """Whatever ends the block, no step goes on after it, and no text and no value is lost."""
    with (
        threads.routed_output(),
        presses.between_steps(),
        first_step_whole(model, kind),
        values_kept(model),
    ):
        try:
            yield
        except KeyboardInterrupt:
            threads.settle_interrupted()
            raise
        except BaseException:
            threads.settle()
            raise


def _steps(steps: Any, argument: str) -> int:
    steps = guards.check_whole(steps, argument, least=1)
    if steps is None:
        raise ArgumentError(
            f"`{argument}` must say how many batches of the generator to take.",
            hint="For rows in batches: ceiling(nrow(x) / batch_size).",
            argument=argument,
        )
    return steps


def _check_of(model: Any) -> Callable[[Any, Any, bool], None]:
    """What is looked at in each batch, and in the first one, beside its own consistency."""

    sparse, embeds = guards.has_sparse_loss(model), guards.embeds(model)

    def check(x: Any, y: Any, first: bool) -> None:
        if first and y is None and getattr(model, "loss", None) is not None:
            if not any(overrides(model, name) for name in ("train_step", "compute_loss")):
                raise DataError(
                    "it has no targets, which the loss needs.",
                    hint="A batch is (x, y) or (x, y, weights), in R list(x, y).",
                )
        if first:
            shapes.check_targets(model, y)
        if sparse:
            guards.check_labels(model, y)
        if embeds:
            guards.check_tokens(model, x)

    return check


def _check_ids(model: Any) -> Optional[Callable[[Any, Any, bool], None]]:
    """The same for predictions, whose batches may be of one part."""
    return (lambda x, y, first: guards.check_tokens(model, x)) if guards.embeds(model) else None


def _batches(model: Any, pull: Callable[[], Any], word: str = "generator") -> PulledBatches:
    return PulledBatches(pull, input_shapes(model), word, _check_of(model), output_column(model))


class _Calls:
    """The callbacks of one run; those that don't look at single batches aren't called for them."""

    def __init__(
        self, verb: str, given: list, watch: Watch, model: Any, epochs: int, steps: Optional[int]
    ):
        self.all = keras.callbacks.CallbackList(
            [Foremost(watch), *given, watch], model=model, verbose=0, epochs=epochs, steps=steps
        )
        self._watch = watch
        self.every = callback_reason(given, verb) is not None or any(
            isinstance(one, keras.callbacks.TerminateOnNaN) for one in given
        )

    def begin(self, kind: str, step: int) -> None:
        getattr(self.all if self.every else self._watch, f"on_{kind}_batch_begin")(step)

    def fed(self, kind: str, names: list, done: Callable[[], int], values: Callable) -> None:
        """A batch of a loop in the backend was handed over; steps and values are asked for at need."""
        self._watch.fed(kind, names, done, values)

    def end(self, kind: str, step: int, logs: Any) -> None:
        if kind == "predict":
            logs = {"outputs": logs}
        elif self.every:
            logs = plain_logs(logs)
        getattr(self.all if self.every else self._watch, f"on_{kind}_batch_end")(step, logs)


class _Stretches:
    """Runs stretches of steps of one kind: in a loop of the backend where that can be, else singly.

    Attributes:
        looped, single: how many steps ran which way.
        why: why steps ran singly, None where none did.
    """

    def __init__(self, model: Any, kind: str, limit: int, calls: _Calls, class_weight: Any = None):
        self._kind, self._calls = kind, calls
        self.steps = Steps(model, kind, class_weight)
        self._limit = limit
        self.looped = self.single = 0
        self.why = (
            "a callback wants every batch" if calls.every else "the step can't leave its thread"
        )
        self._queued: Any = None
        if kind != "predict" and self.steps.beside and not calls.every:
            from kerasbridge.training.queued import Queued

            self._queued = Queued(model, kind, limit)

    def run(self, batches: PulledBatches, count: int, each: Callable[[Any], Any]) -> int:
        """Up to `count` steps; how many there were before the batches or the steps ended.

        `each` gets what a single step gave, or what the model reports after many of them, and says
        whether to stop.
        """
        ahead = Ahead(batches, count, self._limit, self.steps.prepare)
        kind, calls, done = self._kind, self._calls, 0
        if self._queued is not None:
            done, logs = self._queued.run(ahead, count, functools.partial(calls.fed, kind))
            self.looped += done
            self.why = self._queued.why
            if done and (each(logs) or done == count):
                return done
        for step in range(done, count):
            batch = ahead.take()
            if batch is None:
                return step
            calls.begin(kind, step)
            given = self.steps.finish(self.steps.start(batch), ahead)
            calls.end(kind, step, given)
            self.single += 1
            if each(given):
                return step + 1
        return count


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
    max_queue_size: int = QUEUE,
    output: Any = None,
    stop: Any = None,
) -> History:
    """Train on `steps_per_epoch` batches an epoch; `pull` is called exactly that often.

    Args:
        pull: returns (x,), (x, y) or (x, y, sample_weight); None when there is nothing left. It is
            called on this thread only, while the step before runs on another.
        validation_data: None, (x, y), (x, y, sample_weight), something Keras evaluates on, or a
            function as `pull`, of which `validation_steps` batches are taken each time.
        max_queue_size: batches made ahead at most; never beyond the end of an epoch.

    Returns:
        The history; `params["ended"]` says so when the batches ran out, else it is None. The
        remaining arguments are those of `kerasbridge.training.fit`.
    """
    entering.check_outside_graph("fit")
    entering.check_trains("fit")
    entering.check_on_backend(model, "fit")
    verbose = check_verbose(verbose)
    guards.check_compiled(model, "fit")
    _check_single_steps(model)
    count = _steps(steps_per_epoch, "steps_per_epoch")
    epochs, initial_epoch = guards.check_epochs(epochs, initial_epoch)
    guards.check_validation_freq(validation_freq)
    limit = guards.check_whole(max_queue_size, "max_queue_size", least=1, none=False)
    class_weight = None if class_weight is None else {int(k): v for k, v in class_weight.items()}
    validate = _validator(model, validation_data, validation_steps, limit)
    given = callback_list(callbacks)
    batches = _batches(model, pull)
    history = History(
        {"epochs": epochs, "initial_epoch": initial_epoch, "steps": count, "ended": None}
    )
    history.environment = facts()
    progress = Progress(output, verbose)
    watch = Watch(progress, stop, history, others=given, validation=validate is not None)
    calls = _Calls("fit", given, watch, model, epochs, count)
    started = time.perf_counter()
    try:
        progress.expect()
        with as_compiled(model), told("fit", None), _beside(model, "train"):
            run = _Stretches(model, "train", limit, calls, class_weight)
            model.stop_training = False
            calls.all.on_train_begin()
            logs: dict = {}
            first = getattr(model, "_initial_epoch", None) or initial_epoch  # a backup restored
            for epoch in range(first, epochs):
                logs = _epoch(model, epoch, count, run, batches, calls, validate, validation_freq)
                if model.stop_training:
                    break
                if batches.ended:
                    history.params["ended"] = (
                        f"The generator ended after {batches.calls} batches; "
                        f"{(epochs - initial_epoch) * count} were asked for "
                        f"({epochs - initial_epoch} epochs of {count} steps)."
                    )
                    break
            if run.looped >= run.single:
                history.engine, history.engine_reason = "graph", "batches come through a queue"
            else:
                history.engine_reason = f"single steps: {run.why}"
            if batches.calls == 0 and batches.ended:
                raise DataError("The generator gave no batch at all.", argument="x")
            if epochs > initial_epoch and hasattr(model.optimizer, "finalize_variable_values"):
                model.optimizer.finalize_variable_values(model.trainable_weights)
            calls.all.on_train_end(logs)
    except (KeyboardInterrupt, Exception) as error:
        # a press that R answered may reach Python as another exception
        if not (isinstance(error, KeyboardInterrupt) or (stop is not None and stop.is_set())):
            raise
        history.interrupted = True
        done = len(history.epoch)
        note = f"Training was stopped after {done} complete epoch{'' if done == 1 else 's'}."
        history.notes.append(note)
        with contextlib.suppress(KeyboardInterrupt):
            progress.close()
            progress.note(note)
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            progress.close()
        history.seconds = time.perf_counter() - started
    spreading.give_back(model)
    try:
        return history.keep_with(model)
    except KeyboardInterrupt:  # the same press, once more
        return history.keep_with(model)


def _epoch(
    model: Any,
    epoch: int,
    count: int,
    run: _Stretches,
    batches: PulledBatches,
    calls: _Calls,
    validate: Optional[Callable],
    validation_freq: Any,
) -> dict:
    """One epoch with its validation; its logs."""
    model.reset_metrics()
    calls.all.on_epoch_begin(epoch)
    last: Any = None

    def each(given: Any) -> bool:
        nonlocal last
        last = given
        return bool(model.stop_training)

    done = run.run(batches, count, each)
    logs = plain_logs(last)
    if done:
        if validate is not None and _is_due(epoch, validation_freq):
            logs.update({f"val_{k}": v for k, v in validate(calls).items()})
        calls.all.on_epoch_end(epoch, logs)
    return logs


def _is_due(epoch: int, freq: Any) -> bool:
    return (epoch + 1) % freq == 0 if isinstance(freq, int) else (epoch + 1) in freq


def _validator(model: Any, data: Any, steps: Optional[int], limit: int) -> Optional[Callable]:
    if data is None:
        return None
    if callable(data) and not hasattr(data, "__getitem__"):
        count = _steps(steps, "validation_steps")
        runs: list = []

        def validate(calls: _Calls) -> dict:
            batches = _batches(model, data, "validation generator")
            if not runs:
                runs.append(_Stretches(model, "test", limit, calls))
            logs = _test(model, batches, count, calls, runs[0])
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

    def evaluate(calls: _Calls) -> dict:
        return model.evaluate(
            x, y, sample_weight=weight, steps=steps, callbacks=calls.all, verbose=0,
            return_dict=True,
        )  # fmt: skip

    return evaluate


def _test(model: Any, batches: PulledBatches, count: int, calls: _Calls, run: _Stretches) -> dict:
    model.reset_metrics()
    calls.all.on_test_begin()
    last: Any = None

    def each(given: Any) -> bool:
        nonlocal last
        last = given
        return False

    run.run(batches, count, each)
    logs = plain_logs(last)
    calls.all.on_test_end(logs)
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
    max_queue_size: int = QUEUE,
    output: Any = None,
    stop: Any = None,
) -> dict[str, float]:
    """Loss and metrics over `steps` batches of `pull`.

    Raises:
        DataError: the batches ran out.
    """
    entering.check_on_backend(model, "evaluate")
    guards.check_compiled(model, "evaluate")
    _check_single_steps(model)
    count = _steps(steps, "steps")
    limit = guards.check_whole(max_queue_size, "max_queue_size", least=1, none=False)
    progress = Progress(output, check_verbose(verbose))
    given = callback_list(callbacks)
    calls = _Calls("evaluate", given, Watch(progress, stop, title="Evaluate"), model, 1, count)
    batches = _batches(model, pull)
    try:
        progress.expect()
        with as_compiled(model), told("evaluate", None), _beside(model, "test"):
            run = _Stretches(model, "test", limit, calls)
            logs = _test(model, batches, count, calls, run)
    finally:
        progress.close()
    if batches.ended:
        raise _too_few(batches, count)
    return logs


def predict_pulled(
    model: Any,
    pull: Callable[[], Any],
    steps: int,
    verbose: Any = "auto",
    callbacks: Any = None,
    max_queue_size: int = QUEUE,
    output: Any = None,
    stop: Any = None,
) -> Any:
    """Outputs for `steps` batches of `pull`, rows joined; only `x` of each batch is used.

    Raises:
        DataError: the batches ran out.
    """
    entering.check_on_backend(model, "predict")
    count = _steps(steps, "steps")
    limit = guards.check_whole(max_queue_size, "max_queue_size", least=1, none=False)
    progress = Progress(output, check_verbose(verbose))
    given = callback_list(callbacks)
    calls = _Calls("predict", given, Watch(progress, stop, title="Predict"), model, 1, count)
    batches = PulledBatches(pull, input_shapes(model), check=_check_ids(model))
    parts: list = []
    try:
        progress.expect()
        with told("predict", None), _beside(model, "predict"):
            run = _Stretches(model, "predict", limit, calls)
            calls.all.on_predict_begin()
            done = run.run(batches, count, parts.append)
            if done < count:
                raise _too_few(batches, count)
            calls.all.on_predict_end()
    finally:
        progress.close()
    return _joined(parts)


def _joined(parts: list) -> Any:
    """Nests of arrays as one nest with the rows of all."""
    if isinstance(parts[0], dict):
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}
    if isinstance(parts[0], (list, tuple)):
        return type(parts[0])(_joined(list(part)) for part in zip(*parts))
    return np.concatenate(parts)
