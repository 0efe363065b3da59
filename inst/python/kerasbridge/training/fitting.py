"""`fit`: checks, the choice of a path, and what happens when a person stops it."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, Optional, Union

from kerasbridge.errors import ArgumentError, KerasBridgeError
from kerasbridge.runtime import presses, spreading
from kerasbridge.runtime.facts import facts
from kerasbridge.training import entering, guards, shapes
from kerasbridge.training.compiling import as_compiled
from kerasbridge.training.history import History
from kerasbridge.training.progress import Progress, check_verbose
from kerasbridge.training.within_memory import USUAL, fit_within, told

ENGINES = ("auto", "keras", "graph", "xla")


def check_engine(engine: Any) -> str:
    if engine not in ENGINES:
        raise ArgumentError(
            f"`engine` must be one of {', '.join(ENGINES)}, not {engine!r}.", argument="engine"
        )
    return engine


def is_arrays(*parts: Any) -> bool:
    """Whether every part is None or a nest of arrays with rows (no dataset, generator, source)."""
    for part in parts:
        for _, leaf in guards.leaves(part, ""):
            shape = getattr(leaf, "shape", None)
            if leaf is not None and (shape is None or not hasattr(leaf, "dtype")):
                if not hasattr(leaf, "dtypes"):  # a pandas table has no single type
                    return False
    return True


def is_source(x: Any) -> bool:
    """Whether x is a source of `kerasbridge.data.sources`, without importing what isn't used."""
    base = sys.modules.get("kerasbridge.data.sources.base")
    return base is not None and isinstance(x, base.Source)


def ordinary_reason(
    model: Any, verb: str, engine: str, arrays: bool, callbacks: list, validation_data: Any = None
) -> Optional[str]:
    """Why Keras' ordinary path is taken; None if the resident one may be tried."""
    from kerasbridge.training.eligible import backend_reason, callback_reason, model_reason

    if engine == "keras":
        return "asked for"
    if not arrays:
        return "the data are not arrays in memory"
    known = is_source(validation_data) or (
        isinstance(validation_data, tuple) and is_arrays(*validation_data)
    )
    if validation_data is not None and not known:
        return "the validation data are not arrays in memory"
    return backend_reason() or model_reason(model, verb) or callback_reason(callbacks, verb)


def try_resident(model: Any, arguments: dict, callbacks: list, engine: str) -> tuple:
    """(everything a resident fit needs, None) or (None, why not). No step has run."""
    from kerasbridge.training.building import first_step_whole
    from kerasbridge.training.placing import NotResident
    from kerasbridge.training.resident import Resident

    if is_source(arguments["x"]):
        from kerasbridge.training.streaming import StreamResident as Resident
    try:
        with first_step_whole(model, "train"):
            return Resident(model, arguments, callbacks, engine), None
    except NotResident as reason:
        return None, str(reason)
    except KerasBridgeError:
        raise
    except Exception as error:
        # Keras' own path meets the same trouble and reports it in its own words, or copes with it
        return None, f"the step could not be compiled ({type(error).__name__})"


def _known_rows(x: Any, y: Any, sample_weight: Any) -> Optional[int]:
    if is_source(x):
        return x.samples
    return guards.count_rows(x, y, sample_weight) if is_arrays(x, y, sample_weight) else None


def fit(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: Union[int, str, None] = None,
    effective_batch_size: Optional[int] = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: Any = True,
    class_weight: Optional[dict] = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: Optional[int] = None,
    validation_steps: Optional[int] = None,
    validation_batch_size: Optional[int] = None,
    validation_freq: Any = 1,
    engine: str = "auto",
    expand: bool = False,
    output: Any = None,
    stop: Any = None,
) -> History:
    """Train a compiled model; arguments as in Keras, and five more.

    Args:
        batch_size: also "auto": the largest that fits in memory (see `within_memory.fit_within`).
        effective_batch_size: rows that count for one update; gradients of several steps are averaged
            where `batch_size` is smaller.
        engine: "auto" measures and chooses, "keras" is Keras' own loop, "graph" and "xla" ask for
            the resident loop without or with XLA (Keras' loop is still taken where they can't run,
            and `History.engine_reason` says why).
        expand: give a single case that lacks its first axis that axis: a batch of one.
        output: None (standard output) or an object with `write(text)`, `terminal`, `width`.
        stop: None or an object with `is_set()`, such as a `threading.Event`; once set, training
            ends as by Ctrl-C, also where it ends in an error.

    Returns:
        A `History`. After Ctrl-C, which waits for the end of a step for half a second at most, it holds
        the finished epochs, `interrupted` is True, and the model keeps the weights it had reached.

    Raises:
        ArgumentError, DataError: something that would fail or train on nonsense, before any step.
        OutOfMemoryError: memory ran out; says of what shape, how much there was, and what to try.
    """
    if batch_size == "auto" or effective_batch_size is not None:
        given = dict(locals())
        guards.check_compiled(model, "fit")
        return fit_within(fit, given.pop("model"), _known_rows(x, y, sample_weight), given)
    entering.check_outside_graph("fit")
    entering.check_trains("fit")
    entering.check_on_backend(model, "fit")
    engine = check_engine(engine)
    verbose = check_verbose(verbose)
    guards.check_compiled(model, "fit")
    batch_size = guards.check_whole(batch_size, "batch_size", least=1)
    epochs, initial_epoch = guards.check_epochs(epochs, initial_epoch)
    steps_per_epoch = guards.check_whole(steps_per_epoch, "steps_per_epoch", least=1)
    validation_steps = guards.check_whole(validation_steps, "validation_steps", least=1)
    validation_batch_size = guards.check_whole(
        validation_batch_size, "validation_batch_size", least=1
    )
    validation_split = guards.check_share(validation_split, "validation_split")
    guards.check_validation_freq(validation_freq)
    if class_weight is not None and sample_weight is not None:
        raise ArgumentError(
            "`class_weight` and `sample_weight` can't be given together.",
            hint="Multiply the class weights into `sample_weight`.",
            argument="class_weight",
        )

    from kerasbridge.training.plain import callback_list, fit_plain

    callbacks = callback_list(callbacks)
    arrays = is_arrays(x, y, sample_weight)
    if expand and arrays:
        x = shapes.expand(model, x)
    samples = validation_samples = None
    if arrays:
        guards.check_given(x)
        samples = guards.count_rows(x, y, sample_weight)
        batch_size = shapes.fixed_batch(model, samples, batch_size, "fit")
        class_weight = guards.clean_class_weight(model, y, class_weight)
        guards.check_labels(model, y)
        shapes.check_inputs(model, x)
        shapes.check_targets(model, y)
        y = shapes.sole_target(model, y)
        guards.check_tokens(model, x)
    if validation_data is not None and isinstance(validation_data, (tuple, list)):
        validation_data = guards.check_validation_data(validation_data)
        if is_arrays(*validation_data):
            validation_samples = guards.count_rows(*validation_data)
            if len(validation_data) > 1 and validation_data[1] is not None:
                shapes.check_targets(model, validation_data[1], "validation_data[1]")
            guards.check_labels(model, validation_data[1] if len(validation_data) > 1 else None)
            guards.check_tokens(model, validation_data[0])
    elif validation_data is None and validation_split and samples is not None:
        kept = guards.split_at(samples, validation_split)
        validation_samples, samples = samples - kept, kept

    arguments = {
        "x": x,
        "y": y,
        "batch_size": batch_size,
        "epochs": epochs,
        "validation_split": validation_split,
        "validation_data": validation_data,
        "shuffle": shuffle,
        "class_weight": class_weight,
        "sample_weight": sample_weight,
        "initial_epoch": initial_epoch,
        "steps_per_epoch": steps_per_epoch,
        "validation_steps": validation_steps,
        "validation_batch_size": validation_batch_size,
        "validation_freq": validation_freq,
    }
    source = is_source(x)
    if source:
        from kerasbridge.training.sourced import keep_levels, prepare

        arguments = prepare(model, arguments)
        samples, batch_size = arguments["x"].samples, arguments["x"].batch_size
    validation_data = arguments["validation_data"]
    if is_source(validation_data):
        validation_samples = validation_data.samples
    validation_size = validation_batch_size or batch_size
    if is_source(validation_data):
        validation_size = validation_data.batch_size
    sizes = [(samples, batch_size)]
    if validation_data is not None or validation_split:
        sizes.append((validation_samples, validation_size))
    history = History(
        {
            "epochs": epochs,
            "initial_epoch": initial_epoch,
            "steps": steps_per_epoch,
            "batch_size": batch_size,
            "samples": samples,
            "validation_samples": validation_samples,
        }
    )
    history.environment = facts()
    progress = Progress(output, verbose)
    resident = None
    started = time.perf_counter()
    try:
        progress.expect()
        usual = batch_size or (USUAL if arrays else None)
        with (
            presses.between_steps(),
            spreading.any_rows(*sizes),
            as_compiled(model),
            told("fit", usual),
        ):
            known = arrays or source
            reason = ordinary_reason(model, "fit", engine, known, callbacks, validation_data)
            if reason is None:
                resident, reason = try_resident(model, arguments, callbacks, engine)
            if resident is not None:
                from kerasbridge.training.resident import fit_resident

                fit_resident(resident, callbacks, history, progress, stop, arguments)
            else:
                if arrays:
                    guards.check_range(x=x, y=y, validation_data=validation_data)
                history.engine, history.engine_reason = "keras", reason
                progress.note(f"Engine: keras ({reason}).", least=2)
                fit_plain(model, callbacks, history, progress, stop, arguments)
    except (KeyboardInterrupt, Exception) as error:
        stopped = stop is not None and stop.is_set()
        if not stopped and not isinstance(error, KeyboardInterrupt):
            raise
        history.interrupted = True
        done = len(history.epoch)
        note = f"Training was stopped after {done} complete epoch{'' if done == 1 else 's'}."
        history.notes.append(note)
        # one press can arrive twice where another program passes it on: the epochs are kept then too
        with contextlib.suppress(KeyboardInterrupt):
            progress.close()
            progress.note(note)
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            progress.close()
        if resident is not None:
            resident.close()
        history.seconds = time.perf_counter() - started
    spreading.give_back(model)
    if source:
        keep_levels(model, x)
    return history.keep_with(model)
