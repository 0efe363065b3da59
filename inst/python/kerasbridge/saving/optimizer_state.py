"""The optimizer's state of an `.h5` file, and what is said of one that belongs to another optimizer.

Keras 3 builds the optimizer of a loaded `.h5` model for the model's own variables only, which leaves
those of its layers out: the state is lost and the next training step fails. Here the state is read
again, for all of them.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np


def other_optimizer(path: str, held: Sized, optimizer: Any) -> str:
    """In words that a file has the state of another optimizer, of which it holds the arrays `held`."""
    kind = type(optimizer).__name__
    return (
        f"'{path}' holds the state of another optimizer, {len(held)} arrays, where this {kind} keeps "
        f"{len(optimizer.variables)}: the weights were loaded, the optimizer is as it was. To train on from "
        "where the other stopped, compile the model with that optimizer, then load."
    )


def _stored(path: str) -> list:
    """The optimizer's variables in the file, in the order they were written."""
    import h5py

    with h5py.File(path, "r") as file:
        group = file.get("optimizer_weights")
        if group is None:
            return []
        names = [n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"]]
        return [np.asarray(group[name]) for name in names]


def restore_from_h5(model, path: str):
    """Give `model`, just loaded from `path`, an optimizer built for all its variables.

    The stored state is put back where its shapes are those of the optimizer's variables; files of
    Keras 2 keep other variables, and then the optimizer starts afresh.
    """
    import keras

    old = getattr(model, "optimizer", None)
    if old is None or not model.built:
        return model
    fresh = keras.optimizers.deserialize(keras.optimizers.serialize(old))
    fresh.build(model.trainable_variables)
    values = _stored(path)
    variables = fresh.variables
    if len(values) == len(variables) and all(
        tuple(v.shape) == tuple(w.shape) for v, w in zip(values, variables)
    ):
        for variable, value in zip(variables, values):
            variable.assign(value)
    model.optimizer = fresh
    return model
