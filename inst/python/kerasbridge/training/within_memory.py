"""`fit` with the largest batch that fits in memory, and gradients added up to the batch that was meant."""

from __future__ import annotations

import contextlib
import gc
import math
from typing import Any, Callable, Iterator, Optional

from kerasbridge.errors import ArgumentError, OutOfMemoryError, UnsupportedError
from kerasbridge.runtime import devices, exhausted, memory, presses
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.training import guards
from kerasbridge.training.compiling import flat_layers
from kerasbridge.training.progress import Progress, check_verbose

MOST = 4096  # rows a step that "auto" tries at most: more seldom makes for better learning
USUAL = 32
_SHARE = 0.8  # of the free memory that a step may be expected to take
_COPIES = 3  # of each layer's output: itself, its gradient, and what lies between


@contextlib.contextmanager
def told(verb: str, batch_size: Optional[int]) -> Iterator[None]:
    """Within the block, memory that runs out is an `OutOfMemoryError` that knows the batch size."""
    try:
        yield
    except Exception as error:
        found = exhausted.of(error)
        if found is None:
            raise
        raise exhausted.as_error(found, batch_size, verb) from error


def fit_within(run: Callable, model: Any, rows: Optional[int], arguments: dict) -> Any:
    """`run(model, **arguments)` with the first batch size that fits.

    Args:
        run: `kerasbridge.training.fit`.
        rows: rows of the data; None where that isn't known.
        arguments: those of `fit`; "auto" as `batch_size` tries powers of two downwards from a quarter of
            the rows, 4096 at most. With `effective_batch_size` it begins there, and where fewer rows fit
            the gradients of several steps make one update, as of that many rows.

    Returns:
        The history; `params["batch_size"]` is what fitted, `params["effective_batch_size"]` what
        counts for an update, and a note says it.

    Raises:
        OutOfMemoryError: a single row doesn't fit.
    """
    batch_size = arguments.pop("batch_size")
    effective = guards.check_whole(
        arguments.pop("effective_batch_size"), "effective_batch_size", least=1
    )
    if rows is None:
        raise ArgumentError(
            "`batch_size` can be found only for data with a known number of rows.",
            hint="Give arrays, a data frame or a source.",
            argument="batch_size",
        )
    sizes = _sizes(batch_size, effective, rows)
    state = _state(model)
    refused, failure = [], None
    for size in sizes:
        last = size == sizes[-1]
        if not last and not _expected_to_fit(model, size):
            refused.append(size)
            continue
        try:
            with accumulated(model, effective // size if effective else 1):
                history = run(model, **arguments, batch_size=size)
            break
        except OutOfMemoryError as error:
            # its traceback holds the arrays of the step that failed
            refused.append(size)
            failure = OutOfMemoryError(
                error.message, hint=error.hint, argument=error.argument, details=error.details
            )
        _restore(state)
        gc.collect()
    else:
        raise failure
    history.params["batch_size"] = size
    history.params["effective_batch_size"] = effective or size
    note = _note(size, effective, refused, batch_size == "auto")
    history.notes.append(note)
    Progress(arguments.get("output"), check_verbose(arguments.get("verbose", "auto"))).note(note)
    return history.keep_with(model)


def _sizes(batch_size: Any, effective: Optional[int], rows: int) -> list[int]:
    """Batch sizes to try, largest first."""
    if batch_size == "auto" and effective is None:
        most = max(min(MOST, rows // 4), min(USUAL, rows), 1)
        return [2**power for power in range(int(math.log2(most)), -1, -1)]
    if batch_size == "auto":
        return [effective // n for n in range(1, effective + 1) if effective % n == 0]
    size = guards.check_whole(batch_size, "batch_size", least=1) or USUAL
    if effective % size:
        raise ArgumentError(
            f"`effective_batch_size` = {effective} is no multiple of `batch_size` = {size}.",
            argument="effective_batch_size",
        )
    return [size]


def _note(size: int, effective: Optional[int], refused: list, auto: bool) -> str:
    text = f"Batch size {size}"
    if auto:
        beyond = f": {refused[-1]} does not fit" if refused else ", the most that was tried"
        text += f" (the largest that fits{beyond})" if refused else f" ({beyond[2:]})"
    if effective and effective != size:
        text += f"; {effective // size} steps make one update, as of {effective} rows"
    return text + "."


def _expected_to_fit(model: Any, size: int) -> bool:
    """False where a step of so many rows would clearly take more memory than there is."""
    row = _row_bytes(model)
    if row is None:
        return True
    cards = [one["device"] for one in devices.running("GPU")]
    free = memory.free_bytes(cards[0] if cards else "CPU")
    return free is None or row * size <= _SHARE * free


def _row_bytes(model: Any) -> Optional[int]:
    """Bytes of the outputs of all layers for one row, several copies of each; None if not known."""
    total = 0
    for layer in flat_layers(model):
        try:
            outputs = layer.output
        except (AttributeError, ValueError):  # not called yet, or more than once
            continue
        for _, one in guards.leaves(outputs, ""):
            shape = getattr(one, "shape", None) or ()
            total += math.prod(side or 1 for side in shape[1:]) * 4 * _COPIES
    return total or None


def _state(model: Any) -> list:
    """Every variable of the model and its optimizer with its value."""
    import keras

    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer is not None else ())]
    return [(one, keras.ops.convert_to_numpy(one)) for one in variables]


def _restore(state: list) -> None:
    for variable, value in state:
        variable.assign(value)


@contextlib.contextmanager
def accumulated(model: Any, steps: int) -> Iterator[None]:
    """Within the block, gradients of `steps` steps are averaged before the optimizer makes one update.

    The optimizer's state goes in and comes out: afterwards the model has its own optimizer back.
    """
    if steps == 1:
        yield
        return
    if keras_before(3, 5):
        raise UnsupportedError(
            "`effective_batch_size` needs Keras 3.5 or later: the optimizers of the installed one count "
            "each step of several as an update.",
            hint="Use a newer Keras, or a smaller `batch_size` with a smaller learning rate.",
            argument="effective_batch_size",
        )
    from kerasbridge.training.building import copy_state

    before = model.optimizer
    if getattr(before, "gradient_accumulation_steps", None) or hasattr(before, "inner_optimizer"):
        raise UnsupportedError(
            "`effective_batch_size` can't be used with an optimizer that adds gradients up or scales "
            "losses itself.",
            hint="Leave `gradient_accumulation_steps` to `effective_batch_size`.",
            argument="effective_batch_size",
        )
    config = {**before.get_config(), "gradient_accumulation_steps": steps}
    during = type(before).from_config(config)
    with presses.held():
        for one in (before, during):
            if not one.built and model.built:
                one.build(model.trainable_variables)
    if before.built and during.built:
        copy_state(before, during, steps)
    model.optimizer = during
    model.train_function = None
    try:
        yield
    finally:
        with presses.held():
            if not before.built and model.built:
                before.build(model.trainable_variables)
            copy_state(during, before, 1 / steps)
        model.optimizer = before
        model.train_function = None
