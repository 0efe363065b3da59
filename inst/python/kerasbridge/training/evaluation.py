"""`evaluate`: loss and metrics of a compiled model on data, by name."""

from __future__ import annotations

from typing import Any, Optional

from kerasbridge.errors import KerasBridgeError
from kerasbridge.runtime import presses, spreading
from kerasbridge.training import entering, guards, shapes
from kerasbridge.training.compiling import as_compiled
from kerasbridge.training.fitting import check_engine, is_arrays, is_source, ordinary_reason
from kerasbridge.training.progress import Progress, check_verbose
from kerasbridge.training.within_memory import told


def evaluate(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: Optional[int] = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: Optional[int] = None,
    callbacks: Any = None,
    engine: str = "auto",
    expand: bool = False,
    output: Any = None,
    stop: Any = None,
) -> dict[str, float]:
    """Loss and metrics by name; arguments as in Keras, `engine`, `expand`, `output`, `stop` as in `fit`.

    Raises:
        KeyboardInterrupt: a person stopped it; there is no partial result.
    """
    entering.check_outside_graph("evaluate")
    entering.check_on_backend(model, "evaluate")
    engine = check_engine(engine)
    progress = Progress(output, check_verbose(verbose))
    guards.check_compiled(model, "evaluate")
    batch_size = guards.check_whole(batch_size, "batch_size", least=1)
    steps = guards.check_whole(steps, "steps", least=1)
    arrays = is_arrays(x, y, sample_weight)
    if arrays:
        x = shapes.expand(model, x) if expand else x
        guards.check_given(x)
        rows = guards.count_rows(x, y, sample_weight)
        batch_size = shapes.fixed_batch(model, rows, batch_size, "evaluate")
        guards.check_labels(model, y)
        shapes.check_inputs(model, x)
        shapes.check_targets(model, y)
        y = shapes.sole_target(model, y)
        guards.check_tokens(model, x)

    from kerasbridge.training.plain import callback_list, evaluate_plain

    source = is_source(x)
    free = batch_size is None
    if source:
        from kerasbridge.training.sourced import ordered

        x, batch_size = ordered(model, x, batch_size, y=y, sample_weight=sample_weight), None
    arguments = {
        "x": x,
        "y": y,
        "batch_size": batch_size,
        "sample_weight": sample_weight,
        "steps": steps,
    }
    callbacks = callback_list(callbacks)
    sizes = (x.samples, x.batch_size) if source else (rows if arrays else None, batch_size)
    try:
        progress.expect()
        with (
            presses.between_steps(),
            spreading.any_rows(sizes),
            as_compiled(model),
            told("evaluate", batch_size),
        ):
            if ordinary_reason(model, "evaluate", engine, arrays or source, callbacks) is None:
                run = _evaluate_source if source else _evaluate_resident
                found = run(model, arguments, callbacks, progress, stop, engine, free)
                if found is not None:
                    return found
            return evaluate_plain(model, callbacks, progress, stop, arguments)
    finally:
        progress.close()


def _evaluate_resident(
    model: Any, arguments: dict, callbacks: list, progress: Progress, stop: Any, engine: str,
    free: bool,
) -> Optional[dict[str, float]]:  # fmt: skip
    """The metrics, or None where Keras has to do it."""
    import keras

    from kerasbridge.training.placing import place
    from kerasbridge.training.resident import Evaluator, pack
    from kerasbridge.training.watch import Watch

    try:
        data = place(pack(arguments["x"], arguments["y"], arguments["sample_weight"]))
        evaluator = Evaluator(
            model,
            data,
            arguments["batch_size"],
            arguments["steps"],
            free=free,
            engine=engine,
        )
    except Exception:
        # NotResident, or an error that Keras' own path meets too and reports in its own words
        return None
    watch = Watch(progress, stop, title="Evaluate")
    listing = keras.callbacks.CallbackList(
        [*callbacks, watch],
        add_history=False,
        add_progbar=False,
        verbose=0,
        epochs=1,
        steps=evaluator.rows.epoch_steps,
        model=model,
    )
    return evaluator.run(listing, watch, progress)


def _evaluate_source(
    model: Any, arguments: dict, callbacks: list, progress: Progress, stop: Any, engine: str,
    free: bool,
) -> Optional[dict[str, float]]:  # fmt: skip
    from kerasbridge.training.streaming import StreamEvaluator, evaluate_source
    from kerasbridge.training.watch import Watch

    try:
        evaluator = StreamEvaluator(
            model,
            arguments["x"],
            arguments["steps"],
            free=free,
            engine=engine,
        )
    except KerasBridgeError:
        raise
    except Exception:
        # as above: Keras meets the same trouble
        return None
    watch = Watch(progress, stop, title="Evaluate")
    return evaluate_source(evaluator, callbacks, watch, progress)
