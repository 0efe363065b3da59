"""Weights that a file holds and that no layer of the model took: Keras passes over them in silence."""

from __future__ import annotations

from typing import Any, Iterable

from kerasbridge.saving.contents import Contents, of_training
from kerasbridge.saving.older_weights import read_lists
from kerasbridge.saving.own_tree import APART, own_tree


def unused_weights(model: Any, contents: Contents) -> list:
    """(layer, reason, number of arrays) of what was left over when all of a file was loaded.

    The model's own tree is asked for only where the file holds more arrays than the model has.
    """
    paths = [s.path for s in contents.datasets if not of_training(s.path)]
    if contents.kind in ("h5", "older_weights"):
        return _unlisted(contents, paths)
    if contents.kind not in ("keras", "weights"):
        return []
    held = _of_layers(paths)
    if len(held) <= len(model.variables) - len(model.metrics_variables) or not model.built:
        return []
    own = _of_layers(own_tree(model).shapes)
    if not own <= held:
        return []  # laid out otherwise (Keras 2.12 to 2.15): its reader takes all by other names
    return _by_layer(sorted(held - own), "no such layer in the model")


def _of_layers(paths: Iterable) -> set:
    return {path for path in paths if path.split("/", 1)[0] not in APART}


def _unlisted(contents: Contents, paths: list) -> list:
    """Arrays of the older layout that the list of no layer names."""
    top = "model_weights/" if contents.kind == "h5" else ""
    with read_lists(contents.path) as lists:
        known = {dataset.name.lstrip("/") for held in lists.values() for dataset in held}
    apart = f"{top}top_level_model_weights/"
    left = [p for p in paths if p not in known and not p.startswith(apart)]
    return _by_layer([path[len(top) :] for path in left], "in the list of no layer of the file")


def _by_layer(paths: list, reason: str) -> list:
    count: dict = {}
    for path in paths:
        layer = path.split("/vars/", 1)[0].removesuffix("/vars").replace("layers/", "")
        count[layer] = count.get(layer, 0) + 1
    return [(layer, reason, number) for layer, number in count.items()]
