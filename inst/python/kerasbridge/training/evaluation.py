"""`evaluate`: loss and metrics of a compiled model on data, by name."""

from __future__ import annotations

from typing import Any, Optional

from kerasbridge.training import guards
from kerasbridge.training.compiling import as_compiled
from kerasbridge.training.fitting import check_engine, is_arrays
from kerasbridge.training.progress import Progress, check_verbose


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
    output: Any = None,
    stop: Any = None,
) -> dict[str, float]:
    """Loss and metrics by name; arguments as in Keras, `engine`, `output`, `stop` as in `fit`.

    Raises:
        KeyboardInterrupt: a person stopped it; there is no partial result.
    """
    engine = check_engine(engine)
    progress = Progress(output, check_verbose(verbose))
    guards.check_compiled(model, "evaluate")
    batch_size = guards.check_whole(batch_size, "batch_size", least=1)
    steps = guards.check_whole(steps, "steps", least=1)
    if is_arrays(x, y, sample_weight):
        guards.count_rows(x, y, sample_weight)
        guards.check_labels(model, y)
        guards.check_tokens(model, x)

    from kerasbridge.training.plain import callback_list, evaluate_plain

    arguments = {
        "x": x,
        "y": y,
        "batch_size": batch_size,
        "sample_weight": sample_weight,
        "steps": steps,
    }
    try:
        with as_compiled(model):
            return evaluate_plain(model, callback_list(callbacks), progress, stop, arguments)
    finally:
        progress.close()
