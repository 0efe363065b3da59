"""Weights of `.keras` files of Keras 2.12 to 2.15: a tree of groups that mirrors the objects.

A layer's own variables are `vars/0`, `vars/1`, ...; its inner layers are groups named after the
attribute that holds them; a model's layers are in `layers` (2.12: `_layer_checkpoint_dependencies`),
named after their class, counted from the second on: `dense`, `dense_1`. The file leads: what it holds
must find its place.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import keras
import numpy as np

from kerasbridge.saving.legacy import places, weights
from kerasbridge.saving.legacy.context import Context

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")


def snake(name: str) -> str:
    """Conv2DTranspose -> conv2d_transpose, as Keras names a layer after its class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def load(model: Any, path: str, ctx: Context) -> tuple:
    """Puts the weights of a `.keras` file into a model that `graph.model_from` built from it.

    Returns:
        The places of all weights in the file's order of layers, and the optimizer's variables as arrays.

    Raises:
        UnsupportedError: something in the file finds no place; the error names it.
    """
    import h5py

    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r") as file:
        filled: list = []
        _layer(model, file, ctx, filled)
        state = _numbered(file["optimizer"]["vars"]) if "optimizer" in file else []
    missing = {id(v) for v in model.weights} - {id(p.variable) for p in filled}
    if missing:
        lacking = next(v for v in model.weights if id(v) in missing)
        raise ctx.refusal(f"the file has no values for the weight '{lacking.path}'.")
    return _in_order(model, ctx), state


def _in_order(model: Any, ctx: Context) -> list:
    """The places in the order in which Keras 2 lists a model's weights: its layers in the file's order."""
    found: list = []
    seen: set = set()
    for layer in [child for _, child in _parts(model, ctx) if child is not None] + [model]:
        for place in next(iter(places.orders(layer))):
            if id(place.variable) not in seen:
                seen.add(id(place.variable))
                found.append(place)
    return found


def _numbered(group: Any) -> list:
    return [np.asarray(group[str(i)]) for i in range(len(group))]


def _layer(layer: Any, group: Any, ctx: Context, filled: list) -> None:
    arrays = _numbered(group["vars"]) if "vars" in group else []
    with ctx.at(layer.name, type(layer).__name__):
        keys = [
            key for key in group if key not in ("vars", "optimizer", "metrics", "compile_metrics")
        ]
        if arrays:
            inner = {id(v) for key in keys for v in _weights_of(_attribute(layer, key))}
            own = [p for p in places.places(layer) if p.layer is layer]
            _assign([p for p in own if id(p.variable) not in inner], arrays, ctx, filled)
        for key in sorted(keys, key=lambda key: key in CONTAINERS):
            _child(layer, key, group[key], ctx, filled)


def _assign(order: list, arrays: list, ctx: Context, filled: list) -> None:
    shapes = [a.shape for a in arrays]
    if len(order) != len(arrays) or any(
        p.shape != weights._becomes(p, s) for p, s in zip(order, shapes)
    ):
        raise ctx.refusal(
            f"its weights don't fit: the file has {weights._shapes(shapes)}, the layer takes "
            f"{weights._shapes(p.shape for p in order)}."
        )
    weights.assign(order, arrays)
    known = {id(p.variable) for p in filled}
    filled += [p for p in order if id(p.variable) not in known]


def _attribute(layer: Any, key: str) -> Any:
    """The part of a layer that a group's name stands for; Keras 3 shows some without the underscore."""
    child = getattr(layer, key.lstrip("_"), None)
    return child if child is not None else getattr(layer, key, None)


def _weights_of(part: Any) -> list:
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        return [v for one in part for v in _weights_of(one)]
    return list(part.weights) if isinstance(part, keras.layers.Layer) else []


def _holds_values(group: Any) -> bool:
    if not hasattr(group, "keys"):
        return True
    return any(_holds_values(group[key]) for key in group)


def _child(layer: Any, key: str, group: Any, ctx: Context, filled: list) -> None:
    if not _holds_values(group):
        return
    if key in CONTAINERS:
        _container(_parts(layer, ctx), group, ctx, filled)
        return
    child = _attribute(layer, key)
    if isinstance(child, (list, tuple)):
        _container([(type(one).__name__, one) for one in child], group, ctx, filled)
    elif isinstance(child, dict):
        _container([(type(one).__name__, one) for one in child.values()], group, ctx, filled)
    elif isinstance(child, keras.layers.Layer):
        _layer(child, group, ctx, filled)
    elif "seed_generator" not in key and "random_generator" not in key:
        raise ctx.refusal(f"the file has weights of a part `{key}` that this layer lacks.")


def _parts(model: Any, ctx: Context) -> list:
    known = ctx.parts.get(id(model))
    if known is not None:
        return known
    return [(type(one).__name__, one) for one in model.layers]


def _container(parts: list, group: Any, ctx: Context, filled: list) -> None:
    counts: dict[str, int] = {}
    for class_name, child in parts:
        base = snake(class_name.rpartition(">")[2])
        number = counts.get(base, 0)
        counts[base] = number + 1
        key = base if number == 0 else f"{base}_{number}"
        if child is not None and key in group:
            _layer(child, group[key], ctx, filled)
