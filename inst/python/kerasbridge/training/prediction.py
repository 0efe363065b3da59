"""`predict`: the outputs of a model for data."""

from __future__ import annotations

from typing import Any, Callable, Optional

from kerasbridge.errors import ArgumentError
from kerasbridge.runtime import presses, spreading
from kerasbridge.training import entering, guards, shapes
from kerasbridge.training.fitting import check_engine, is_arrays, is_source, ordinary_reason
from kerasbridge.training.progress import Progress, check_verbose
from kerasbridge.training.within_memory import told


def predict(
    model: Any,
    x: Any,
    *,
    batch_size: Optional[int] = None,
    verbose: Any = "auto",
    steps: Optional[int] = None,
    callbacks: Any = None,
    engine: str = "auto",
    expand: bool = False,
    output: Any = None,
    stop: Any = None,
) -> Any:
    """Outputs, rows in the order of `x`: an array, or a nest of arrays as the model has outputs.

    Zero rows give arrays with zero rows. Arguments as in Keras, `engine`, `expand`, `output`, `stop` as
    in `fit`.

    Raises:
        KeyboardInterrupt: a person stopped it; there is no partial result.
    """
    entering.check_outside_graph("predict")
    entering.check_on_backend(model, "predict")
    engine = check_engine(engine)
    progress = Progress(output, check_verbose(verbose))
    batch_size = guards.check_whole(batch_size, "batch_size", least=1)
    steps = guards.check_whole(steps, "steps", least=1)
    arrays, source, free = is_arrays(x), is_source(x), batch_size is None
    rows = 0
    if source:
        from kerasbridge.training.sourced import ordered

        x, batch_size = ordered(model, x, batch_size), None
    if arrays:
        x = shapes.expand(model, x) if expand else x
        rows = guards.count_rows(x, empty=True)
        batch_size = shapes.fixed_batch(model, rows, batch_size, "predict")
        shapes.check_inputs(model, x)
        guards.check_tokens(model, x)
        if rows == 0:
            return predict_nothing(model, x)

    from kerasbridge.training.plain import callback_list, predict_plain

    arguments = {"x": x, "batch_size": batch_size, "steps": steps}
    callbacks = callback_list(callbacks)
    sizes = (x.samples, x.batch_size) if source else (rows if arrays else None, batch_size)
    try:
        progress.expect()
        with presses.between_steps(), spreading.any_rows(sizes), told("predict", batch_size):
            if ordinary_reason(model, "predict", engine, arrays or source, callbacks) is None:
                from kerasbridge.training.forward import predict_resident
                from kerasbridge.training.placing import NotResident
                from kerasbridge.training.watch import Watch

                watch = Watch(progress, stop, title="Predict")
                try:
                    if source:
                        from kerasbridge.training.streaming import predict_source

                        return predict_source(model, x, steps, free, callbacks, watch, progress)
                    return predict_resident(
                        model, x, rows, batch_size, steps, callbacks, progress, watch
                    )
                except NotResident:
                    pass
            return predict_plain(model, callbacks, progress, stop, arguments)
    finally:
        progress.close()


def predict_nothing(model: Any, x: Any) -> Any:
    """What `predict` gives for zero rows: output shapes and types with a first axis of 0.

    An axis whose size depends on the data counts as 0 too.
    """
    import keras
    import numpy as np

    def symbolic(array: Any) -> Any:
        dtype = keras.backend.standardize_dtype(array.dtype)
        if dtype.startswith("float"):
            dtype = keras.config.floatx()
        return keras.KerasTensor((None, *array.shape[1:]), dtype=dtype)

    def empty(spec: Any) -> Any:
        shape = tuple(0 if size is None else size for size in spec.shape)
        return np.zeros((0, *shape[1:]), dtype=spec.dtype)

    def each(structure: Any, convert: Callable[[Any], Any]) -> Any:
        if isinstance(structure, dict):
            return {key: each(value, convert) for key, value in structure.items()}
        if isinstance(structure, (list, tuple)):
            return type(structure)([each(value, convert) for value in structure])
        return convert(structure)

    return each(model.compute_output_spec(each(x, symbolic)), empty)


def warm_up(model: Any, rows: int = 1) -> None:
    """Predict `rows` rows of zeros, so that the first real prediction finds everything compiled.

    Raises:
        ArgumentError: the model doesn't say what inputs it takes.
    """
    import numpy as np

    rows = guards.check_whole(rows, "rows", least=1, none=False)
    try:
        inputs = model.inputs
    except (AttributeError, ValueError):
        inputs = None
    if not inputs:
        raise ArgumentError(
            "The model has not been built, so it isn't known what data it takes.",
            hint="Call `predict` on a few rows instead.",
            argument="object",
        )

    def zeros(spec: Any) -> Any:
        shape = (rows, *(1 if size is None else size for size in spec.shape[1:]))
        return np.zeros(shape, "object" if spec.dtype == "string" else spec.dtype)

    named = getattr(model, "input", None)
    if isinstance(named, dict):
        data: Any = {name: zeros(spec) for name, spec in named.items()}
    else:
        data = zeros(inputs[0]) if len(inputs) == 1 else [zeros(spec) for spec in inputs]
    predict(model, data, verbose=0)
