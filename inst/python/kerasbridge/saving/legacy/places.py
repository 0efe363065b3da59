"""Where the weights of a layer go: its variables, innermost layer by innermost layer.

Keras 2 listed the weights of a layer "trainable first, then the rest", through nested models and
wrappers; which come first depends on the flags at the time of saving. `orders` gives the possible
orders, and `best_order` picks the one that the stored names and shapes fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Optional

import keras


@dataclass(frozen=True, eq=False)
class Place:
    """One variable and the innermost layer it belongs to."""

    layer: Any
    variable: Any
    frozen: bool  # the layer, or one around it, was not trainable

    @property
    def shape(self) -> tuple:
        return tuple(self.variable.shape)

    @property
    def name(self) -> str:
        return self.variable.name


def children(layer: Any) -> Optional[list]:
    """Layers inside a model, a wrapper or a recurrent layer, in Keras 2's order; None for others."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    if isinstance(layer, keras.layers.StackedRNNCells):
        return list(layer.cells)
    if isinstance(layer, (keras.layers.TimeDistributed, keras.layers.Wrapper)):
        return [layer.layer]
    cell = getattr(layer, "cell", None)
    if isinstance(cell, keras.layers.Layer):
        return [cell]
    return None


def places(layer: Any, frozen: bool = False) -> list:
    """Every variable of a layer, layer by layer; a layer used twice counts once."""
    return _places(layer, frozen, set())


def _places(layer: Any, frozen: bool, seen: set) -> list:
    if id(layer) in seen:
        return []
    seen.add(id(layer))
    frozen = frozen or not layer.trainable
    inner = children(layer)
    found = []
    if inner is not None:
        for child in inner:
            found += _places(child, frozen, seen)
    known = {id(place.variable) for place in found}
    own = [v for v in layer.weights if id(v) not in known]
    return [Place(layer, v, frozen) for v in own] + found


def _is_state(place: Place) -> bool:
    """Not trainable by nature (a moving mean), whatever the flags."""
    flags = place.layer.trainable
    if flags:
        return not place.variable.trainable
    name = place.name
    return name.startswith("moving_") or name in ("mean", "variance", "count")


def orders(layer: Any, all_places: Optional[list] = None) -> Iterable[list]:
    """Orders in which Keras 2 may have listed the weights, the likeliest first."""
    every = places(layer) if all_places is None else all_places
    first = [p for p in every if not p.frozen and not _is_state(p)]
    taken = {id(p) for p in first}
    yield first + [p for p in every if id(p) not in taken]
    trained = [p for p in every if not _is_state(p)]
    yield trained + [p for p in every if _is_state(p)]
    yield every


def bare(name: str) -> str:
    """The last part of a stored name: "lstm/lstm_cell/kernel_1:0" -> "kernel"."""
    last = name.split(":")[0].split("/")[-1]
    head, _, tail = last.rpartition("_")
    return head if head and tail.isdigit() else last


def _likeness(order: list, names: list) -> float:
    score = 0.0
    for place, name in zip(order, names):
        parts = name.split(":")[0].split("/")
        score += bare(name) == bare(place.name)
        score += 0.5 * (place.layer.name in parts)
    return score


def best_order(layer: Any, names: list, shapes: list, adapt: Any = None) -> Optional[list]:
    """The places for stored weights in their stored order, or None where none fits.

    Args:
        layer: a layer or model of today.
        names, shapes: of the stored weights.
        adapt: function (place, shape) -> the shape that the stored one becomes.
    """
    best, score = None, -1.0
    for order in orders(layer):
        if len(order) != len(names):
            continue
        becomes = [adapt(p, s) if adapt else s for p, s in zip(order, shapes)]
        if any(p.shape != tuple(s) for p, s in zip(order, becomes)):
            continue
        likeness = _likeness(order, names)
        if likeness > score:
            best, score = order, likeness
    return best
