"""The optimizer's state: Keras 2's variables into the optimizer of today.

Three layouts: Keras 1 to 2.3 (numbered variables, one kind after the other), TensorFlow's optimizers
until 2.10 (`Adam/dense/kernel/m`, one kind after the other), and those since 2.11 (`Adam/m/dense/kernel`,
in the order that Keras 3 kept). All list the model's variables in the order of its layers in the file.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, Optional

import numpy as np

# today's kinds of variables, the longer names first
KINDS = (
    "accumulated_delta_var", "accumulated_grad", "average_gradient", "velocity_hat", "accumulator",
    "momentum", "velocity", "linear", "norm",
)  # fmt: skip

# kind in TensorFlow's older optimizers -> today's
_SLOTS = {
    "m": "momentum",
    "v": "velocity",
    "vhat": "velocity_hat",
    "rms": "velocity",
    "mg": "average_gradient",
    "momentum": "momentum",
    "accumulator": "accumulator",
    "accum_grad": "accumulated_grad",
    "accum_var": "accumulated_delta_var",
    "linear": "linear",
}

# the order of kinds where variables are only numbered
_NUMBERED = {
    "SGD": ("momentum",),
    "RMSprop": ("velocity",),
    "Adagrad": ("accumulator",),
    "Adadelta": ("accumulated_grad", "accumulated_delta_var"),
    "Adam": ("momentum", "velocity", "velocity_hat"),
    "Adamax": ("momentum", "norm"),
    "Nadam": ("momentum", "velocity"),
}


def _kind(variable: Any) -> Optional[str]:
    path = variable.path
    return next((kind for kind in KINDS if path.endswith(f"_{kind}")), None)


def _today(optimizer: Any) -> dict:
    """kind -> the optimizer's variables of that kind, in the order of the model's variables."""
    found: dict[str, list] = {}
    for variable in optimizer.variables:
        kind = _kind(variable)
        if kind is not None:
            found.setdefault(kind, []).append(variable)
    return found


def freeze_as_stored(model: Any, filled: list, arrays: list, unsaid: list) -> None:
    """Freezes the inner models that were frozen, which files of Keras 2.1 to 2.3 don't say.

    The optimizer's variables tell: there are none for frozen weights. Only models in `unsaid` (those
    whose configuration has no flag) are frozen, and only where one choice of them fits the shapes.
    """
    stored = [tuple(np.shape(a)) for a in arrays if np.ndim(a)]
    trained = {id(v) for v in model.trainable_variables}
    order = [p.variable for p in filled if id(p.variable) in trained]
    if not stored or len(unsaid) > 8 or _starts_with(stored, order):
        return
    fitting = []
    for choice in range(1, 2 ** len(unsaid)):
        frozen = [m for i, m in enumerate(unsaid) if choice >> i & 1]
        out = {id(v) for m in frozen for v in m.weights}
        kept = [v for v in order if id(v) not in out]
        if kept and len(kept) < len(order) and _starts_with(stored, kept):
            fitting.append(frozen)
    if len(fitting) == 1:
        for inner in fitting[0]:
            inner.trainable = False


def _starts_with(stored: list, variables: list) -> bool:
    """Whether the stored shapes begin with those of the variables, and then begin anew (or end)."""
    shapes = [tuple(v.shape) for v in variables]
    count = len(shapes)
    again = stored[count : 2 * count]
    return stored[:count] == shapes and (again == shapes or len(stored) == count)


def restore(model: Any, filled: list, names: list, arrays: list) -> bool:
    """Gives the optimizer of a compiled model the stored state; True if it fitted.

    Args:
        model: compiled; its weights are loaded.
        filled: the places of all weights in the file's order (see `weights.load`).
        names, arrays: the stored variables; names are empty for a `.keras` file.
    """
    optimizer = model.optimizer
    if optimizer is None or not arrays:
        return False
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    trained = {id(v): i for i, v in enumerate(model.trainable_variables)}
    # position in the file -> position among today's variables
    order = [trained[id(p.variable)] for p in filled if id(p.variable) in trained]
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    today = _today(optimizer)
    arrays = [np.asarray(a) for a in arrays]
    names = [n.split(":")[0] for n in names]
    if not names or names[0] in ("iteration", "iterations"):
        found = _newest(optimizer, arrays, order, today)
    else:
        found = _older(optimizer, names, arrays, len(order))
    steps, kinds = found if found is not None else (None, None)
    fits = kinds is not None and all(
        len(kinds[kind]) == len(order)
        and all(tuple(today[kind][order[i]].shape) == a.shape for i, a in enumerate(kinds[kind]))
        for kind in kinds
        if kind in today
    )
    if not fits or not set(today) <= set(kinds):
        warnings.warn(
            f"The state of the optimizer in the file doesn't fit {type(optimizer).__name__} of today; "
            "training goes on from a fresh one.",
            stacklevel=2,
        )
        return False
    for kind in today:
        for i, array in enumerate(kinds[kind]):
            today[kind][order[i]].assign(array)
    if steps is not None:
        optimizer.iterations.assign(int(steps))
        _restore_product(optimizer, int(steps))
    return True


def _restore_product(optimizer: Any, steps: int) -> None:
    """Nadam's product of its momenta so far, which Keras 2 didn't store; it follows from the steps."""
    if type(optimizer).__name__ != "Nadam":
        return
    # Keras gives it no name of its own: it is `variable`, and `variable_1` in the next optimizer
    named = re.compile(r"(.*/)?variable(_\d+)?")
    scalar = [v for v in optimizer.variables if not len(v.shape) and named.fullmatch(v.path)]
    if len(scalar) == 1:
        t = np.arange(1, steps + 1)
        scalar[0].assign(float(np.prod(optimizer.beta_1 * (1 - 0.5 * 0.96**t))))


def _newest(optimizer: Any, arrays: list, order: list, today: dict) -> Optional[tuple]:
    """Keras 2.11 on: the steps, then per variable or per kind as Keras 3 does."""
    pattern: list = []
    counts: dict[str, int] = {}
    for variable in optimizer.variables:
        kind = _kind(variable)
        if kind is not None:
            pattern.append((kind, counts.get(kind, 0)))
            counts[kind] = counts.get(kind, 0) + 1
    rest = [a for a in arrays[1:] if a.shape or not _all_scalars(arrays)]
    if not pattern:  # plain SGD: Keras 2 kept momenta that it didn't use
        return arrays[0], {}
    if len(rest) < len(pattern):
        return None
    kinds: dict[str, list] = {kind: [None] * n for kind, n in counts.items()}
    for (kind, i), array in zip(pattern, rest):
        kinds[kind][i] = array
    return arrays[0], kinds


def _all_scalars(arrays: list) -> bool:
    return all(not a.shape for a in arrays)


def _older(optimizer: Any, names: list, arrays: list, count: int) -> Optional[tuple]:
    """Keras 1 to 2.10: the steps (RMSprop of 2.1 had none), then one kind after the other."""
    steps = None
    named: dict[str, list] = {}
    numbered: list = []
    for name, array in zip(names, arrays):
        last = name.split("/")[-1]
        if last.startswith("iter") and not array.shape:
            steps = array
        elif last in _SLOTS and len(name.split("/")) > 2 and not name.startswith("training/"):
            named.setdefault(_SLOTS[last], []).append(array)
        elif array.shape or last.startswith(("Variable", "m_", "v_")):
            numbered.append(array)
    if named:
        if type(optimizer).__name__ == "Adamax" and "velocity" in named:
            named["norm"] = named.pop("velocity")
        return steps, named
    kinds = _NUMBERED.get(type(optimizer).__name__)
    if kinds is None or count == 0:
        return None
    pieces = [numbered[i : i + count] for i in range(0, len(numbered), count)]
    if len(pieces) < len(kinds) - (kinds[-1] == "velocity_hat"):
        return None
    return steps, dict(zip(kinds, pieces))
