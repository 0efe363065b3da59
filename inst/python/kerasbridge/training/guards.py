"""What is checked before the first step, so that a mistake is named instead of trained on."""

from __future__ import annotations

import numbers
from typing import Any, Iterable, Optional

import numpy as np

from kerasbridge.errors import ArgumentError, DataError


def check_whole(value: Any, name: str, *, least: int, none: bool = True) -> Optional[int]:
    """A whole number >= `least` (32 and 32.0 alike), or None where that is allowed."""
    if value is None and none:
        return None
    whole = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if not whole or float(value) != int(value) or value < least:
        raise ArgumentError(
            f"`{name}` must be a whole number of at least {least}, not {value!r}.", argument=name
        )
    return int(value)


def check_share(value: Any, name: str) -> float:
    """A number in [0, 1)."""
    if value is None:
        return 0.0
    if not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise ArgumentError(
            f"`{name}` must be a number from 0 up to, not including, 1; got {value!r}.",
            argument=name,
        )
    return float(value)


def check_given(x: Any) -> None:
    if x is None:
        raise DataError("`x` is missing: there are no input data.", argument="x")


def check_compiled(model: Any, verb: str) -> None:
    if not getattr(model, "compiled", False):
        raise ArgumentError(
            f"The model is not compiled, so `{verb}` has no loss to work with.",
            hint="Call `compile` with an optimizer and a loss first.",
            argument="model",
        )


def check_epochs(epochs: Any, initial_epoch: Any) -> tuple[int, int]:
    epochs = check_whole(epochs, "epochs", least=0, none=False)
    initial_epoch = check_whole(initial_epoch, "initial_epoch", least=0, none=False)
    if initial_epoch > epochs:
        raise ArgumentError(
            f"`initial_epoch` is {initial_epoch} but `epochs` is {epochs}: nothing to train.",
            hint="`epochs` is the number of the last epoch, not how many to add.",
            argument="epochs",
        )
    return epochs, initial_epoch


def leaves(structure: Any, prefix: str) -> Iterable[tuple[str, Any]]:
    """Each array of a nested list, tuple or dict with a name such as `x[1]` or `x['age']`."""
    if structure is None:
        return
    if isinstance(structure, dict):
        for key, value in structure.items():
            yield from leaves(value, f"{prefix}[{key!r}]")
    elif isinstance(structure, (list, tuple)):
        for index, value in enumerate(structure):
            yield from leaves(value, f"{prefix}[{index}]")
    else:
        yield prefix, structure


def check_range(**given: Any) -> None:
    """Refuse numbers that Keras would turn into infinite ones: it casts to `keras.config.floatx()`.

    Raises:
        DataError: names the argument and the largest number there is.
    """
    import keras

    kind = keras.config.floatx()
    if kind not in ("float16", "float32"):
        return
    most = float(np.finfo(kind).max)
    for argument, values in given.items():
        for label, leaf in leaves(values, argument):
            if not isinstance(leaf, np.ndarray) or leaf.dtype.kind != "f" or not leaf.size:
                continue
            if leaf.dtype.itemsize <= np.dtype(kind).itemsize:
                continue
            ends = np.asarray([leaf.min(), leaf.max()])  # NaN and infinite ones are told by others
            if np.isfinite(ends).all() and np.abs(ends).max() > most:
                raise DataError(
                    f"A number of `{label}` is too large for {kind}, which ends at {most:.2g}.",
                    hint="Divide the values by a power of ten, or take their logarithm.",
                    argument=argument,
                )


def count_rows(x: Any, y: Any = None, sample_weight: Any = None, *, empty: bool = False) -> int:
    """The number of rows all arrays share.

    Raises:
        DataError: an array without rows, or two that differ, named with their sizes.
    """
    counts: list[tuple[str, int]] = []
    for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        for label, array in leaves(part, name):
            shape = getattr(array, "shape", None)
            if shape is None or len(shape) == 0:
                raise DataError(f"`{label}` is not an array with rows.", argument=name)
            counts.append((label, int(shape[0])))
    if not counts:
        raise DataError("There is no data: `x` is missing.", argument="x")
    first_name, first = counts[0]
    for label, rows in counts[1:]:
        if rows != first:
            raise DataError(
                f"`{label}` has {rows} rows but `{first_name}` has {first}.",
                hint="Every array needs one row for each case.",
                argument=label.split("[")[0],
                details={name: n for name, n in counts},
            )
    if first == 0 and not empty:
        raise DataError(f"`{first_name}` has no rows.", argument=first_name.split("[")[0])
    return first


def clean_class_weight(model: Any, y: Any, class_weight: Any) -> Optional[dict[int, float]]:
    """Integer keys; every class that occurs in `y` has a weight and every key is a class.

    Keys may be whole numbers or text that reads as one. `y` holds class numbers (rows,) or
    (rows, 1), or one column per class (rows, classes).
    """
    if class_weight is None:
        return None
    if not isinstance(class_weight, dict) or not class_weight:
        raise ArgumentError(
            "`class_weight` must map class numbers to weights, such as {0: 1.0, 1: 5.0}.",
            argument="class_weight",
        )
    clean: dict[int, float] = {}
    for key, value in class_weight.items():
        try:
            number = float(key)
            weight = float(value)
        except (TypeError, ValueError):
            number, weight = 0.5, 0.0
        if number != int(number) or not np.isfinite(weight) or weight < 0:
            raise ArgumentError(
                f"`class_weight` has the entry {key!r}: {value!r}; keys are class numbers, values "
                "numbers that are not negative.",
                argument="class_weight",
            )
        clean[int(number)] = weight
    if isinstance(y, (list, tuple, dict)):
        raise ArgumentError(
            "`class_weight` works with one output only; this model has several.",
            hint="Give `sample_weight` with one array per output instead.",
            argument="class_weight",
        )
    classes, units = _classes_of(model, y)
    if classes is None:
        return clean
    missing = sorted(set(classes) - set(clean))
    if missing:
        raise ArgumentError(
            f"`class_weight` has no weight for class {', '.join(map(str, missing))}, "
            "which occurs in `y`.",
            hint="Give every class a weight (1 leaves it as it is).",
            argument="class_weight",
            details={"missing": missing},
        )
    known = set(classes) | set(range(units or 0))
    unknown = sorted(set(clean) - known)
    if unknown:
        raise ArgumentError(
            f"`class_weight` names class {', '.join(map(str, unknown))}, which does not exist: "
            f"the classes are {', '.join(map(str, sorted(known)))}.",
            argument="class_weight",
            details={"unknown": unknown},
        )
    return clean


def _classes_of(model: Any, y: Any) -> tuple[Optional[list[int]], Optional[int]]:
    """Class numbers that occur in `y` and the number of classes, None where that can't be told."""
    if y is None or not hasattr(y, "shape"):
        return None, None
    values = np.asarray(y)
    if values.dtype.kind not in "biuf":
        return None, None
    units = output_units(model)
    if values.ndim > 1 and values.shape[-1] != 1:
        return [int(i) for i in np.unique(np.argmax(values, axis=-1))], int(values.shape[-1])
    present = [int(i) for i in np.unique(np.round(values))]
    if units == 1:
        units = 2
    return (present, units) if len(present) <= 100_000 else (None, None)


def class_weight_rows(y: Any, class_weight: dict[int, float], floatx: str) -> np.ndarray:
    """One weight per row (rows,) from the class of each row; a class without an entry weighs 1."""
    values = np.asarray(y)
    if values.ndim > 1:
        values = np.squeeze(values, -1) if values.shape[-1] == 1 else np.argmax(values, axis=-1)
    values = np.round(values).astype("int32")
    weights = np.ones(values.shape, dtype=floatx)
    for number, weight in class_weight.items():
        weights[values == number] = weight
    return weights


def output_units(model: Any) -> Optional[int]:
    """Size of the last axis of a model with one output; None when unknown."""
    try:
        shape = model.output_shape
    except Exception:  # a model that has not been built has no shape to ask for
        return None
    if isinstance(shape, tuple) and shape and isinstance(shape[-1], int):
        return shape[-1]
    return None


def _is_loss(loss: Any, plain: str) -> bool:
    """Whether a loss is Keras' of this name, given without underscores."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return name.lower().replace("_", "") == plain


def _is_sparse_loss(loss: Any) -> bool:
    return _is_loss(loss, "sparsecategoricalcrossentropy")


def has_sparse_loss(model: Any) -> bool:
    """Whether a loss of the model takes class numbers."""
    return any(_is_sparse_loss(loss) for _, loss in leaves(getattr(model, "loss", None), "loss"))


def _output_parts(model: Any, y: Any) -> Iterable[tuple[str, Any, Any, Any]]:
    """(label, labels, loss, output shape) for each output whose loss and shape are known."""
    loss = getattr(model, "loss", None)
    try:
        shape = model.output_shape
    except Exception:
        return
    if not isinstance(y, (list, tuple, dict)):
        if isinstance(shape, tuple) and not isinstance(loss, (list, tuple, dict)):
            yield "y", y, loss, shape
        return
    names = list(getattr(model, "output_names", []))
    if isinstance(shape, dict):
        shapes = dict(shape)
        order = list(shape)
    elif isinstance(shape, list):
        shapes = dict(zip(names, shape))
        order = names
    else:
        return
    targets = y if isinstance(y, dict) else dict(zip(order, y))
    for name, labels in targets.items():
        if name not in shapes:
            continue
        if isinstance(loss, dict):
            one = loss.get(name)
        elif isinstance(loss, (list, tuple)):
            one = loss[order.index(name)] if order.index(name) < len(loss) else None
        else:
            one = loss
        yield f"y[{name!r}]", labels, one, shapes[name]


def check_labels(model: Any, y: Any) -> None:
    """Labels of the sparse losses lie in 0 .. units - 1, those of binary cross-entropy in 0 .. 1."""
    if y is None:
        return
    for label, labels, loss, shape in _output_parts(model, y):
        if loss is not None and (_is_loss(loss, "binarycrossentropy") or _is_loss(loss, "bce")):
            _check_binary(label, labels)
            continue
        if loss is None or not _is_sparse_loss(loss) or not hasattr(labels, "dtype"):
            continue
        units = shape[-1] if len(shape) > 1 else None
        try:
            values = np.asarray(labels)
        except Exception:  # ragged and sparse tensors are Keras' business
            continue
        if not isinstance(units, int) or values.size == 0 or values.dtype.kind not in "iuf":
            continue
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            continue
        broken = np.argwhere(values != np.round(values)) if values.dtype.kind == "f" else ()
        if len(broken):
            raise DataError(
                f"`{label}` has labels that are no whole numbers (first in row {broken[0][0] + 1}); "
                f"this loss takes class numbers from 0 to {units - 1}.",
                hint="For numbers in place of classes use a loss such as 'mse' and one unit.",
                argument="y",
                details={"row": int(broken[0][0]) + 1},
            )
        ignored = getattr(loss, "ignore_class", None)
        if ignored is not None:
            values = values[values != ignored]
            if values.size == 0:
                continue
        low, high = float(values.min()), float(values.max())
        if low < 0 or high >= units:
            shifted = low >= 1 and high == units
            raise DataError(
                f"`{label}` has labels from {low:g} to {high:g}, but the output has {units} units, "
                f"so labels must lie in 0 to {units - 1}.",
                hint=(
                    "Two classes and one unit go with the loss 'binary_crossentropy'."
                    if units == 1 and low == 0 and high == 1
                    else "The labels seem to count from 1: subtract 1 (in R a factor does it too)."
                    if shifted
                    else f"Give the last layer {int(high) + 1} units or more, or recode the labels."
                    if low >= 0
                    else "Recode the labels so that the first class is 0."
                ),
                argument="y",
                details={"min": low, "max": high, "units": units},
            )


def _check_binary(label: str, labels: Any) -> None:
    """Other labels than 0 to 1 train to nonsense without a word."""
    try:
        values = np.asarray(labels)
    except Exception:  # ragged and sparse tensors are Keras' business
        return
    if values.size == 0 or values.dtype.kind not in "iuf":
        return
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise DataError(
            f"`{label}` has labels from {low:g} to {high:g}; binary cross-entropy takes 0 to 1.",
            hint=(
                "More than two classes need a unit each, softmax, and the loss "
                "'sparse_categorical_crossentropy'."
                if low >= 0 and high > 2
                else "Recode the labels as 0 and 1 (in R a factor of two levels does it)."
            ),
            argument="y",
            details={"min": low, "max": high},
        )


def embeds(model: Any) -> bool:
    """Whether ids may go straight into an Embedding of the model."""
    import keras

    return any(isinstance(one, keras.layers.Embedding) for one in getattr(model, "layers", []))


def check_tokens(model: Any, x: Any) -> None:
    """Ids that go straight into an Embedding lie in 0 .. input_dim - 1."""
    for label, ids, layer in _embedded_inputs(model, x):
        try:
            values = np.asarray(ids)
        except Exception:
            continue
        if values.size == 0 or values.dtype.kind not in "biuf":
            continue
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            continue
        low, high = float(values.min()), float(values.max())
        if low < 0 or high >= layer.input_dim:
            raise DataError(
                f"`{label}` has ids from {low:g} to {high:g}, but the embedding '{layer.name}' has "
                f"input_dim = {layer.input_dim}, so ids must lie in 0 to {layer.input_dim - 1}.",
                hint=(
                    f"Use input_dim = {int(high) + 1} or more (the largest id plus one; 0 is "
                    "for padding), or map rare ids to a common one."
                    if low >= 0
                    else "Ids can't be negative; 0 is usually kept for padding."
                ),
                argument="x",
                details={"min": low, "max": high, "input_dim": int(layer.input_dim)},
            )


def _embedded_inputs(model: Any, x: Any) -> Iterable[tuple[str, Any, Any]]:
    import keras

    if not isinstance(model, keras.Model) or not getattr(model, "built", False):
        return
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return
    names = [getattr(tensor, "name", "") for tensor in inputs]
    if isinstance(x, dict):
        arrays = [(f"x[{name!r}]", x.get(name)) for name in names]
    elif isinstance(x, (list, tuple)):
        arrays = [(f"x[{i}]", x[i]) if i < len(x) else ("x", None) for i in range(len(inputs))]
    else:
        arrays = [("x", x)]
    for layer in getattr(model, "layers", []):
        if not isinstance(layer, keras.layers.Embedding):
            continue
        try:
            source = layer.input
        except Exception:  # used more than once, or never: no single input to speak of
            continue
        for tensor, (label, array) in zip(inputs, arrays):
            if source is tensor and hasattr(array, "dtype"):
                yield label, array, layer


def _may_add_logs(callback: Any) -> bool:
    """Whether a callback could put names of its own into the logs."""
    import keras

    if type(callback).__module__.split(".")[0] in ("keras", "kerasbridge"):
        # a list of R functions is a class of its own, whose hook of epochs may return numbers
        hooks = type(callback).__module__ == "kerasbridge.R" and "on_epoch_end" in dir(
            type(callback)
        )
        hooks = hooks and type(callback).on_epoch_end is not keras.callbacks.Callback.on_epoch_end
        return hooks or isinstance(callback, keras.callbacks.LambdaCallback)
    return True


def check_monitors(callbacks: Iterable[Any], names: Iterable[str], validation: bool) -> None:
    """The metric that a callback watches exists.

    Args:
        callbacks: the callbacks of this fit.
        names: what the training step reports.
        validation: whether there is validation data (each name then exists with `val_` too).
    """
    callbacks = list(callbacks)
    if any(_may_add_logs(callback) for callback in callbacks):
        return
    available = list(names)
    if validation:
        available += [f"val_{name}" for name in names]
    known = {*available, "learning_rate"}
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if not isinstance(monitor, str) or monitor in known:
            continue
        if not getattr(callback, "save_best_only", True):
            continue  # it saves whatever happens
        hint = "Choose one of them"
        if monitor.startswith("val_") and not validation:
            hint += ", or give `validation_data` or `validation_split`"
        raise ArgumentError(
            f"{type(callback).__name__} watches '{monitor}', which this model does not report; "
            f"it reports {', '.join(available)}.",
            hint=hint + ".",
            argument="callbacks",
            details={"monitor": monitor, "available": available},
        )


def unreported(callbacks: Iterable[Any], logs: Iterable[str]) -> list[tuple[str, str]]:
    """(callback, name it watches) for names that the first epoch did not report after all.

    Only where a callback may add to the logs; elsewhere `check_monitors` has looked before.
    """
    callbacks = list(callbacks)
    if not any(_may_add_logs(callback) for callback in callbacks):
        return []
    known = {*logs, "learning_rate"}
    return [
        (type(callback).__name__, callback.monitor)
        for callback in callbacks
        if isinstance(getattr(callback, "monitor", None), str) and callback.monitor not in known
    ]


def check_validation_freq(value: Any) -> None:
    """A whole number (every so many epochs) or the epoch numbers, counted from 1."""
    if isinstance(value, (list, tuple, set, range)) or hasattr(value, "__iter__"):
        for epoch in value:
            check_whole(epoch, "validation_freq", least=1, none=False)
    else:
        check_whole(value, "validation_freq", least=1, none=False)


def check_validation_data(data: Any) -> tuple:
    """(x,), (x, y) or (x, y, sample_weight)."""
    if not 1 <= len(data) <= 3:
        raise ArgumentError(
            f"`validation_data` has {len(data)} parts; it takes (x, y) or (x, y, sample_weight).",
            argument="validation_data",
        )
    return tuple(data)


def split_at(rows: int, share: float) -> int:
    """How many of `rows` stay for training when the last `share` of them validate."""
    kept = int(np.floor(rows * (1.0 - share)))
    if kept in (0, rows):
        raise ArgumentError(
            f"`validation_split` = {share:g} of {rows} rows leaves no rows for "
            f"{'training' if kept == 0 else 'validation'}.",
            hint="Give more data, or another share.",
            argument="validation_split",
        )
    return kept
