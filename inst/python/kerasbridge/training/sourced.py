"""What `fit`, `evaluate` and `predict` see to before a source is read, whichever way that goes then."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Iterator, Optional

from kerasbridge.data.attached import attach_schema, schema_of
from kerasbridge.data.sources.base import Source
from kerasbridge.data.tables import model_inputs
from kerasbridge.errors import ArgumentError, DataError
from kerasbridge.training import guards, shapes


def prepare(model: Any, arguments: dict) -> dict:
    """The arguments of `fit` with the source cut, sized and ordered as they say.

    Raises:
        ArgumentError: what the source has itself was given beside it.
    """
    source = arguments["x"]
    check_alone(y=arguments["y"], sample_weight=arguments["sample_weight"])
    check_levels(model, source)
    source = for_inputs(model, source)
    found = dict(arguments)
    found["validation_data"] = for_inputs(model, found["validation_data"])
    if arguments["validation_split"] and arguments["validation_data"] is None:
        source, found["validation_data"] = source.split(arguments["validation_split"])
    elif found["validation_data"] is None:
        found["validation_data"] = source.validation
    found["validation_split"] = 0.0
    if arguments["batch_size"] is not None:
        source = source.with_batch_size(arguments["batch_size"])
    if arguments["shuffle"] is False and source.shuffle:
        source = source.in_order()
    found["x"], found["batch_size"] = source, None
    found["shuffle"] = False  # for Keras: batches come in the source's own order
    return found


def for_inputs(model: Any, source: Any) -> Any:
    """A source of a table as the model takes it.

    Where x is columns, those are text whose inputs take text; and a missing value is what the rule of
    the model's schema says, or stays one where the model itself fills it.
    """
    layout = getattr(source, "layout", None)
    if layout is None:
        return source
    inputs = model_inputs(model) if layout.encode == "columns" else None
    texts = {name for name, _, dtype in inputs or [] if dtype == "string"}
    texts &= {column.name for column in layout.x if column.kind == "factor"} if texts else set()
    fills = _fills(schema_of(model), layout, texts)
    return source.laid_out(texts, fills) if texts or fills else source


def _fills(schema: Any, layout: Any, texts: set) -> dict:
    """What stands for a missing value, by column of x that has a rule for them."""
    found: dict = {}
    for column in layout.x:
        known = schema.columns.get(column.name) if schema is not None else None
        if known is None or known.missing == "refuse":
            continue
        if column.name in texts:
            found[column.name] = known.missing_level
        elif column.kind == "number" and not known.levelled:
            if schema.inside:
                found[column.name] = float("nan")
            elif not known.indicator:  # its column of 0 and 1 is none of the source's
                found[column.name] = known.fill
    return found


def check_levels(model: Any, source: Source) -> None:
    """The classes of the source are those the model was trained on, in their order."""
    known = schema_of(model)
    levels = getattr(source, "y_levels", None) or getattr(source, "class_names", None)
    if known is None or known.target is None or known.target.levels is None or levels is None:
        return
    if list(known.target.levels) != list(levels):
        raise DataError(
            f"The source's classes are {', '.join(map(repr, levels[:10]))}; the model was trained "
            f"on {', '.join(map(repr, known.target.levels[:10]))}.",
            hint="Give the source the model's classes, in their order, as `levels` or `classes`.",
            argument="x",
        )


def keep_levels(model: Any, source: Source) -> None:
    """Let the model know the columns and classes of the source it was trained on."""
    learnt = getattr(source, "learnt", None)
    if learnt is not None and schema_of(model) is None:
        attach_schema(model, learnt())


def check_alone(**beside: Any) -> None:
    for name, value in beside.items():
        if value is not None:
            raise ArgumentError(
                f"`{name}` can't be given beside a source, which brings its own.", argument=name
            )


def ordered(model: Any, source: Source, batch_size: Optional[int], **beside: Any) -> Source:
    """The source as evaluation and prediction read it: rows as they lie."""
    check_alone(**beside)
    check_levels(model, source)
    source = for_inputs(model, source)
    return (source if batch_size is None else source.with_batch_size(batch_size)).in_order()


def check_window(model: Any, window: Any, targets: bool = True) -> None:
    """The rows of a window fit the model, as `fit` sees to it for arrays.

    Raises:
        DataError: a shape, a class number or a token is none that the model takes.
    """
    x, y, _ = (*window, None, None)[:3]
    shapes.check_inputs(model, x)
    if targets:
        shapes.check_targets(model, y)
        guards.check_labels(model, y)
    guards.check_tokens(model, x)


@contextlib.contextmanager
def looked_at(model: Any, arguments: dict, targets: bool = True) -> Iterator[None]:
    """Within, each window of the sources is checked before Keras' own loops get it.

    Not every backend does: JAX takes a class number beyond the classes and trains on nothing.
    """
    sources = [value for value in arguments.values() if isinstance(value, Source)]
    for source in sources:
        source.look = functools.partial(check_window, model, targets=targets)
    try:
        yield
    finally:
        for source in sources:
            source.look = None
