"""Weights of `.h5` files: layer by layer, with the rules for weights whose layout has changed."""

from __future__ import annotations

import os
import zipfile
from typing import Any, Optional

import numpy as np

from kerasbridge.errors import FileError
from kerasbridge.saving.legacy import places, reading
from kerasbridge.saving.legacy.context import Context
from kerasbridge.saving.legacy.layer_rules import safe_name

TOP = "top_level_model_weights"


# ---- rules: stored array -> array of today -----------------------------------------------------------
def _gates(cell: Any) -> int:
    return {"LSTMCell": 4, "GRUCell": 3}.get(type(cell).__name__, 0)


def adapted(place: places.Place, array: np.ndarray, cudnn: bool = False) -> np.ndarray:
    """A stored array in today's layout.

    CuDNN's layers kept each gate's kernel transposed and two biases (of input and of recurrence) end
    to end: an LSTM has their sum today, a GRU both as rows. The order of gates is the same. Whether an
    array is CuDNN's is told by its bias; the kernels' shapes are the same.
    """
    gates = _gates(place.layer)
    if cudnn and gates:
        name = places.bare(place.name)
        if name == "bias":
            halves = array.reshape(2, -1)
            return halves.sum(axis=0) if gates == 4 else halves
        pieces = np.split(array, gates, axis=1)
        if name == "kernel":
            pieces = [p.T.reshape(p.shape, order="F") for p in pieces]
        else:
            pieces = [p.T for p in pieces]
        return np.concatenate(pieces, axis=1)
    return array


def _becomes(place: places.Place, shape: tuple) -> tuple:
    """The shape a stored one takes; CuDNN's biases are the only change of shape."""
    if _is_cudnn_bias(place, shape):
        return place.shape
    return tuple(shape)


def _is_cudnn_bias(place: places.Place, shape: tuple) -> bool:
    gates = _gates(place.layer)
    if not gates or places.bare(place.name) != "bias" or len(shape) != 1:
        return False
    units = int(place.layer.units)
    return shape[0] == 2 * gates * units


def order_of(layer: Any, names: list, arrays: list) -> Optional[list]:
    """The places of stored weights, in their order, or None where they don't fit the layer."""
    return places.best_order(layer, names, [a.shape for a in arrays], _becomes)


def assign(order: list, arrays: list) -> None:
    """Gives the places their stored arrays."""
    cudnn = {id(p.layer) for p, a in zip(order, arrays) if _is_cudnn_bias(p, a.shape)}
    for place, array in zip(order, arrays):
        place.variable.assign(adapted(place, array, id(place.layer) in cudnn))
    for layer in {id(p.layer): p.layer for p in order}.values():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


# ---- a whole model -----------------------------------------------------------------------------------
def load(model: Any, stored: reading.Stored, ctx: Context) -> list:
    """Puts the stored weights into a model that `graph.model_from` built.

    Returns:
        The places filled, in the file's order.

    Raises:
        UnsupportedError: weights don't fit their layer; the error names it and both shapes.
    """
    filled: list = []
    for layer, name, names, arrays in _pairs(model, stored, ctx):
        order = order_of(layer, names, arrays)
        with ctx.at(name, type(layer).__name__):
            if order is None:
                raise ctx.refusal(
                    f"its weights don't fit: the file has {_shapes(a.shape for a in arrays)}, the layer "
                    f"takes {_shapes(p.shape for p in places.places(layer))}.",
                    hint="The model must be the one the weights were saved from.",
                )
        assign(order, arrays)
        filled += order
    return filled


def _shapes(shapes: Any) -> str:
    return ", ".join(str(tuple(s)) for s in shapes) or "none"


def _pairs(model: Any, stored: reading.Stored, ctx: Context) -> list:
    """(layer, its name in the file, names, arrays) for every layer of the file that has weights.

    By name where all the names are the model's; else by order, as Keras does.
    """
    with_weights = {name: value for name, value in stored.layers.items() if value[0]}
    own = with_weights.pop(TOP, None)
    by_name = {layer.name: layer for layer in model.layers}
    found = []
    if all(safe_name(name) in by_name for name in with_weights):
        for name, (names, arrays) in with_weights.items():
            found.append((by_name[safe_name(name)], name, names, arrays))
    else:
        layers = [layer for layer in model.layers if layer.weights]
        if len(layers) != len(with_weights):
            raise ctx.refusal(
                f"the file has weights of {len(with_weights)} layers, the model has {len(layers)} with "
                "weights.",
                hint="The model must be the one the weights were saved from.",
            )
        for layer, (name, (names, arrays)) in zip(layers, with_weights.items()):
            found.append((layer, name, names, arrays))
    if own is not None:
        found.append((_Own(model), model.name, *own))
    missing = [
        layer.name
        for layer in model.layers
        if layer.weights and layer not in [pair[0] for pair in found]
    ]
    if missing:
        raise ctx.refusal(
            f"the file has no weights for the layer '{missing[0]}'.",
            hint="The model must be the one the weights were saved from.",
        )
    return found


class _Own:
    """The weights of a model that belong to none of its layers, as if they were a layer."""

    trainable = True

    def __init__(self, model: Any):
        inside = {id(v) for layer in model.layers for v in layer.weights}
        self.weights = [v for v in model.weights if id(v) not in inside]
        self.name = model.name


def load_weights(model: Any, path: str) -> Any:
    """Weights of a file of Keras 1 or 2 (whole models included) into `model`.

    Raises:
        FileError: damaged, or without weights.
        UnsupportedError: they don't fit; names the layer.
    """
    source = os.path.basename(path)
    if zipfile.is_zipfile(path):
        from kerasbridge.saving.legacy import tree

        tree.load(model, path, Context(reading.version_of(path), source=source))
        return model
    stored = reading.read_h5(path)
    if not stored.layers:
        raise FileError(f"'{path}' holds no weights in the layout of Keras 2.", argument="filepath")
    load(model, stored, Context(stored.version, source=source))
    return model
