"""Shapes of the data against those of the model, before the first step."""

from __future__ import annotations

from typing import Any, Optional

from kerasbridge.data.tables import side_by_side
from kerasbridge.errors import DataError
from kerasbridge.training.guards import leaves

# losses that compare each number of `y` with the output's number at the same place
_ELEMENTWISE = {
    "mse", "mae", "mape", "msle", "mean_squared_error", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_logarithmic_error", "binary_crossentropy",
    "categorical_crossentropy", "huber", "log_cosh", "logcosh", "poisson", "kl_divergence",
    "kullback_leibler_divergence", "kld", "hinge", "squared_hinge", "categorical_hinge",
    "cosine_similarity",
}  # fmt: skip


def _text(shape: Any) -> str:
    return "(" + ", ".join("any" if d is None else str(d) for d in shape) + ")"


def _fits(given: tuple, wanted: tuple) -> bool:
    """Whether data of shape `given` can go where `wanted` is expected, as Keras adjusts it."""
    if len(given) == len(wanted) - 1 and wanted[-1] in (1, None):
        given = (*given, 1)
    elif len(given) == len(wanted) + 1 and given[-1] == 1:
        given = given[:-1]
    if len(given) != len(wanted):
        return False
    return all(w is None or g is None or g == w for g, w in zip(given[1:], wanted[1:]))


def _advice(given: tuple, wanted: tuple) -> str:
    if len(given) == len(wanted) - 1 and wanted[-1] == 1 and not _fits((1, *given), wanted):
        return (
            "An axis is missing at the end: array_reshape(x, c(dim(x), 1)) adds it in R, "
            "numpy.expand_dims(x, -1) in Python."
        )
    if len(given) == len(wanted) - 1 and _fits((1, *given), wanted):
        return (
            "This looks like a single case: one axis before it makes it a batch of one: "
            f"{_kept(len(given))} or array_reshape(x, c(1, dim(x))) in R, "
            "numpy.expand_dims(x, 0) in Python. `expand = TRUE` does it."
        )
    if len(given) == len(wanted) - 2 and wanted[-1] == 1 and _fits((1, *given, 1), wanted):
        return (
            "This looks like a single case of one channel: array_reshape(x, c(1, dim(x), 1)) adds both "
            "axes in R, numpy.reshape(x, (1, *x.shape, 1)) in Python; `expand = TRUE` does too."
        )
    if len(given) == len(wanted) and sorted(map(str, given[1:])) == sorted(map(str, wanted[1:])):
        return "The axes seem to be in another order: rows come first, then the axes of one case."
    return "The first axis counts the cases; the others must match the model's input."


def expand(model: Any, x: Any) -> Any:
    """`x` with a first axis of 1 before each part that is a single case of the model's input."""
    wanted = _inputs(model)
    if wanted is None:
        return x

    def one(part: Any, shape: tuple) -> Any:
        given = tuple(getattr(part, "shape", ()))
        alone = given and not _fits(given, shape) and _fits((1, *given), shape)
        return part[None] if alone else part

    if isinstance(x, dict):
        shapes = dict(wanted)
        return {k: one(part, shapes[k]) if k in shapes else part for k, part in x.items()}
    if isinstance(x, (list, tuple)):
        return (
            [one(part, shape) for part, (_, shape) in zip(x, wanted)]
            if len(x) == len(wanted)
            else x
        )
    return one(x, wanted[0][1]) if len(wanted) == 1 else x


def _kept(axes: int) -> str:
    """How R takes one case out of many and keeps its first axis, such as x[1, , , drop = FALSE]."""
    return "x[1," + " ," * (axes - 1) + " , drop = FALSE]"


def _inputs(model: Any) -> Optional[list]:
    """(name, shape) of each input of a model that declares them."""
    try:
        tensors = model.inputs
    except (AttributeError, ValueError):
        return None
    if not tensors:
        return None
    return [(t.name, tuple(t.shape)) for t in tensors]


def _both_sides(model: Any, x: Any) -> str:
    """What the model takes and what was given, as two columns of text."""
    wanted = [f"{t.name} {_text(t.shape)} {t.dtype}" for t in model.inputs]
    parts = x.items() if isinstance(x, dict) else enumerate(x)
    given = [
        f"{name if isinstance(name, str) else ''} {_text(getattr(part, 'shape', ()))} "
        f"{getattr(getattr(part, 'dtype', None), 'name', getattr(part, 'dtype', ''))}".strip()
        for name, part in parts
    ]
    return side_by_side(wanted, given)


def check_inputs(model: Any, x: Any) -> None:
    """Every part of `x` has the shape of the model's input it goes to.

    Raises:
        DataError: naming the input, the shape expected and the shape given.
    """
    wanted = _inputs(model)
    if wanted is None or x is None:
        return
    if isinstance(x, dict):
        names = [name for name, _ in wanted]
        parts = [(f"x[{name!r}]", x[name], shape) for name, shape in wanted if name in x]
        missing = [name for name in names if name not in x]
        if missing and isinstance(getattr(model, "input", None), dict):
            return  # the model names its inputs by its own structure
        if missing:
            raise DataError(
                f"`x` lacks the input{'s' if len(missing) > 1 else ''} "
                f"{', '.join(map(repr, missing))}.\n{_both_sides(model, x)}",
                hint="Parts are matched by name; without names by position.",
                argument="x",
            )
    elif isinstance(x, (list, tuple)):
        if any(isinstance(part, (list, tuple, dict)) for part in x):
            return
        if len(x) != len(wanted):
            raise DataError(
                f"`x` has {len(x)} part{'' if len(x) == 1 else 's'}; the model has {len(wanted)} "
                f"input{'s' if len(wanted) > 1 else ''}.\n{_both_sides(model, x)}",
                argument="x",
            )
        parts = [(f"x[{i}]", part, shape) for i, (part, (_, shape)) in enumerate(zip(x, wanted))]
    else:
        if len(wanted) > 1:
            raise DataError(
                f"`x` is one array; the model has {len(wanted)} inputs.",
                hint="Give a list: " + ", ".join(f"{n} {_text(s)}" for n, s in wanted) + ".",
                argument="x",
            )
        parts = [("x", x, wanted[0][1])]
    _refuse_text(model, parts)
    for label, part, shape in parts:
        given = getattr(part, "shape", None)
        if given is None or getattr(given, "rank", 0) is None:
            continue
        given = tuple(given)
        if not _fits(given, shape):
            raise DataError(
                f"`{label}` has shape {_text(given)}; the model takes {_text(shape)}.",
                hint=_advice(given, shape),
                argument="x",
                details={"given": list(given), "expected": list(shape)},
            )


def fixed_batch(model: Any, rows: int, batch_size: Optional[int], verb: str) -> Optional[int]:
    """The batch size of a model whose inputs have a first axis of fixed size (stateful layers); else `batch_size`.

    Raises:
        DataError: another batch size, or rows that don't make whole batches of it.
    """
    try:
        sizes = {tensor.shape[0] for tensor in model.inputs or []} - {None}
    except (AttributeError, ValueError):
        return batch_size
    if len(sizes) != 1:
        return batch_size
    size = int(sizes.pop())
    if batch_size not in (None, size):
        raise DataError(
            f"`batch_size` is {batch_size}; the model was made for batches of {size} rows.",
            hint=f"Give batch_size = {size}, or make the model without a fixed batch (`batch_shape`).",
            argument="batch_size",
            details={"batch_size": batch_size, "expected": size},
        )
    if rows % size:
        raise DataError(
            f"{rows} rows are no whole number of batches of {size}, which the model was made for.",
            hint=f"`{verb}` on {rows // size * size} of them, or make the model without a fixed batch "
            "(`batch_shape`).",
            argument="x",
            details={"rows": rows, "expected": size},
        )
    return size


def is_text(part: Any) -> bool:
    """Whether an array or tensor holds text (or other objects)."""
    dtype = getattr(part, "dtype", None)
    return getattr(dtype, "kind", None) in ("O", "U", "S") or getattr(dtype, "name", "") == "string"


def _refuse_text(model: Any, parts: list) -> None:
    """Text goes only where the model takes text."""
    dtypes = [str(tensor.dtype) for tensor in model.inputs]
    if "string" in dtypes or len(dtypes) != len(parts):
        return
    for (label, part, _), dtype in zip(parts, dtypes):
        if is_text(part):
            raise DataError(
                f"`{label}` holds text; the model takes {dtype} numbers.",
                hint="Encode it: feature_space() does, before the model or as a part of it; "
                "so does layer_string_lookup() or layer_text_vectorization() in the model.",
                argument="x",
            )


def check_targets(model: Any, y: Any, called: str = "y") -> None:
    """`y` is there, its names are outputs, and it fits them, for losses that compare numbers.

    Raises:
        DataError: naming both shapes, or the outputs.
    """
    loss = getattr(model, "loss", None)
    if y is None:
        from kerasbridge.training.compiling import overrides

        if loss is not None and not any(
            overrides(model, n) for n in ("train_step", "compute_loss")
        ):
            raise DataError(
                f"`{called}` is missing, which the loss needs.",
                hint="Give the targets; a loss that needs none is added inside the model (add_loss).",
                argument="y",
            )
        return
    _check_names(model, y)
    for output, shape, own, (label, part) in _targets(model, y, loss, called):
        _check_target(output, shape, own, label, part)


def _targets(model: Any, y: Any, loss: Any, called: str) -> list:
    """(name of the output, its shape, its loss, (label, array)) for each target whose place is plain."""
    names = _output_names(model)
    parts = list(leaves(y, called))
    try:
        shapes = model.output_shape
    except (AttributeError, ValueError):
        return []
    if _is_shape(shapes):
        if len(parts) != 1 or isinstance(loss, (list, tuple, dict)):
            return []
        return [(names[0] if names else "the output", shapes, loss, parts[0])]
    if not isinstance(shapes, (list, tuple)) or not all(map(_is_shape, shapes)):
        return []
    if not names or not len(names) == len(shapes) == len(parts):
        return []
    if isinstance(y, dict):
        placed = {name: part for name, part in zip(y, parts)}
        parts = [placed[name] for name in names]
    if isinstance(loss, dict):
        losses = [loss.get(name) for name in names]
    elif isinstance(loss, (list, tuple)):
        losses = list(loss) if len(loss) == len(names) else [None] * len(names)
    else:
        losses = [loss] * len(names)
    return list(zip(names, shapes, losses, parts))


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(d is None or isinstance(d, int) for d in value)


def _check_target(output: str, shape: tuple, loss: Any, label: str, part: Any) -> None:
    """A target whose numbers the loss compares with those of an output has them at the same places."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", None)
    module = getattr(type(loss), "__module__", "")
    known = isinstance(loss, str) or module.split(".")[0] == "keras"
    given = getattr(part, "shape", None)
    if name not in _ELEMENTWISE or not known or given is None:
        return
    if getattr(given, "rank", 0) is None:
        return
    given = tuple(given)
    if _fits(given, shape):
        return
    crossed = "crossentropy" in name
    if len(given) == len(shape) and given[-1] == 1 and not crossed:
        return  # Keras repeats the single column, one target for several units
    hint = "`y` needs one number for each output."
    if crossed and (len(given) < len(shape) or given[-1] == 1) and shape[-1] not in (None, 1):
        hint = (
            "Class numbers go with the loss 'sparse_categorical_crossentropy'; "
            "this one takes a column for each class (to_categorical makes them)."
        )
    elif len(given) == len(shape) and shape[-1] == 1:
        hint = (
            f"Keras would train its one number on all {given[-1]} columns at once. Give `y` one "
            f"column, or the last layer {given[-1]} units; a loss that means it is one of your own."
        )
    raise DataError(
        f"`{label}` has shape {_text(given)}; the output '{output}' gives {_text(shape)} for the "
        f"loss '{name}'.",
        hint=hint,
        argument="y",
        details={"given": list(given), "expected": list(shape)},
    )


def _check_names(model: Any, y: Any) -> None:
    """Named targets carry names of outputs."""
    names = _output_names(model)
    try:
        shape = model.output_shape
    except (AttributeError, ValueError):
        return
    if not isinstance(y, dict) or not names or isinstance(shape, dict):
        return
    unknown = [name for name in y if name not in names]
    if unknown:
        raise DataError(
            f"`y` names {', '.join(map(repr, unknown[:5]))}, which is no output of the model.",
            hint=f"Its outputs: {', '.join(map(repr, names[:10]))}; without names they go by position.",
            argument="y",
        )


def _output_names(model: Any) -> Optional[list]:
    """Names of the outputs; of a chain of layers that of the last one."""
    names = getattr(model, "output_names", None)
    if names is None and isinstance(getattr(model, "layers", None), list) and model.layers:
        names = [model.layers[-1].name]
    return names


def sole_target(model: Any, y: Any) -> Any:
    """The target itself where a model of one output got it by name, which Keras has no ear for."""
    names = _output_names(model)
    named = isinstance(y, dict) and names is not None and len(names) == 1 and list(y) == list(names)
    return y[names[0]] if named and not isinstance(model.output_shape, dict) else y
