"""Arrays of other programs' files: which weight of a model each one is, told by names, numbers and shapes.

A file without a list of layers has names as its writer chose them: `dense/kernel`, `dense/kernel:0`,
`model.encoder.dense.kernel`, `0`. They are tried in this order:

1. a name is that of one weight, or one of the two is the end of the other: `dense/kernel` for the only
   layer `dense`, however deep it lies in the model;
2. the same without the numbers that Keras gives: `lstm/lstm_cell_1/kernel` for the only `lstm/lstm_cell/kernel`;
3. names that differ in their numbers only, such as `dense/kernel` and `dense_1/kernel`, by shape and in the
   order of these numbers; one array that is left of a shape.

By name, only the first counts. What would be a guess between two weights is refused.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from typing import Any, Iterable, NamedTuple

import numpy as np

from kerasbridge.errors import FileError
from kerasbridge.saving.door import few
from kerasbridge.saving.kept_values import Writing
from kerasbridge.saving.named_weights import finish_layers, ordered
from kerasbridge.saving.report import WeightsReport, in_words, shapes_differ

Parts = "tuple[str, ...]"
_OWN = (
    "Name the layers as the file does, or write it with `save_model_weights()`, which keeps a list of "
    "the layers."
)


class Place(NamedTuple):
    """A weight of a model, and the names under which a file may hold it, the fullest first."""

    layer: str
    variable: Any
    names: list

    @property
    def shape(self) -> tuple:
        return tuple(self.variable.shape)


def parts_of(name: str) -> Parts:
    """The parts of a name, whatever stands between them; TensorFlow's `:0` is no part of it."""
    bare = re.sub(r":\d+$", "", name)
    return tuple(part for part in re.split(r"[/.\\]", bare) if part) or (name,)


def places(model: Any) -> list[Place]:
    """The weights of a model in its order, those of nested models under the names of all they are in."""
    out: list[Place] = []
    seen: set = set()

    def add(title: str, chain: tuple, variables: list) -> None:
        for variable in variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            path = parts_of(getattr(variable, "path", None) or variable.name)
            below = path[-1:]
            if chain and chain[-1] in path[:-1]:
                below = path[len(path) - 1 - path[::-1].index(chain[-1]) + 1 :] or below
            full = (*chain, *below)
            names = dict.fromkeys([full, (model.name, *full), path, (*chain, below[-1])])
            out.append(Place(title, variable, list(names)))

    def walk(owner: Any, chain: tuple) -> None:
        for layer in owner.layers:
            here = (*chain, layer.name)
            if getattr(layer, "layers", None):
                walk(layer, here)
            add("/".join(here), here, ordered(layer))

    walk(model, ())
    add(model.name, (), list(model.weights))
    position = {id(variable): at for at, variable in enumerate(model.weights)}
    return sorted(out, key=lambda place: position.get(id(place.variable), len(position)))


def _fit(place: Place, key: Parts) -> tuple:
    """How well a name fits: the length of what both share, and how much more one of them has.

    One has to be the end of the other, and more than the weight's own name ("kernel") has to agree.
    """
    best = (0, 0)
    for name in place.names:
        shared, rest = min(len(name), len(key)), -abs(len(name) - len(key))
        if name[-shared:] == key[-shared:] and (shared > 1 or rest == 0):
            best = max(best, (shared, rest))
    return best


def _by_names(found: dict[int, Place], keys: dict[str, Parts]) -> dict[int, str]:
    """Place -> key of the file, where each is the best of the other and no second is as good.

    What is told is put aside and the rest looked at again.
    """
    told: dict = {}
    while True:
        ends: dict = defaultdict(list)
        for key, parts in _without(keys, told.values()).items():
            ends[parts[-2:]].append(key)
        of_place: dict = {}
        of_key: dict = defaultdict(dict)
        for index, place in found.items():
            if index in told:
                continue
            near = {key for name in place.names for key in ends.get(name[-2:], ())}
            scores = {key: _fit(place, keys[key]) for key in near}
            of_place[index] = {key: score for key, score in scores.items() if score[0]}
            for key, score in of_place[index].items():
                of_key[key][index] = score
        new = {
            index: key
            for index, scores in of_place.items()
            for key in _only_best(scores)
            if _only_best(of_key[key]) == [index]
        }
        if not new:
            return told
        told.update(new)


def _without(mapping: dict, gone: Iterable) -> dict:
    """What is left of a mapping without these keys."""
    gone = set(gone)
    return {key: value for key, value in mapping.items() if key not in gone}


def _only_best(scores: dict) -> list:
    """The one with the highest score, alone in a list; an empty list where there are two, or none."""
    top = max(scores.values(), default=None)
    best = [key for key, score in scores.items() if score == top]
    return best if len(best) == 1 else []


def _pattern(parts: Parts) -> Parts:
    """A name without its numbers: that of `dense`, `dense_1` and `dense_2` is one."""
    return tuple(re.sub(r"_?\d+", "", part) for part in parts)


def _natural(parts: Parts) -> list:
    """What to sort by: numbers as numbers, and a name without one before that with one."""
    return [[int(n) if n.isdecimal() else n for n in re.split(r"(\d+)", part)] for part in parts]


def _whole_families(found: dict, keys: dict, told: dict) -> dict:
    """Leave out what agrees by chance: `dense_1` of two models whose numbers begin elsewhere."""
    broken = {_pattern(n) for place in _without(found, told).values() for n in place.names}
    broken |= {_pattern(parts) for parts in _without(keys, told.values()).values()}
    return {
        index: key
        for index, key in told.items()
        if _pattern(keys[key]) not in broken
        and not any(_pattern(name) in broken for name in found[index].names)
    }


def _by_order(found: dict, keys: dict, shapes: dict, path: str) -> dict:
    """What names left open, told by shape and number; empty where the counts don't agree.

    Raises:
        FileError: two weights could be the same array.
    """
    if len(found) != len(keys):
        return {}
    numbered = sorted(keys, key=lambda key: _natural(keys[key]))
    alike = len({_pattern(parts) for parts in keys.values()}) == 1
    if alike and all(p.shape == shapes[key] for p, key in zip(found.values(), numbered)):
        return dict(zip(found, numbered))
    roles = {parts[-1] for parts in keys.values()} <= {p.names[0][-1] for p in found.values()}
    groups: dict = defaultdict(lambda: ([], []))
    for index, place in found.items():
        groups[(place.names[0][-1] if roles else "", place.shape)][0].append(index)
    for key in numbered:
        groups[(keys[key][-1] if roles else "", shapes[key])][1].append(key)
    if any(len(here) != len(there) for here, there in groups.values()):
        return {}
    for (_, shape), (here, there) in groups.items():
        if len({_pattern(keys[key]) for key in there}) > 1:
            one, two = (found[index].layer for index in here[:2])
            raise FileError(
                f"The weights in '{path}' can't be told apart: the arrays '{there[0]}' and '{there[1]}' have "
                f"the shape {in_words(shape)}, and each could be that of layer '{one}' or of layer '{two}'.",
                hint=_OWN,
                argument="filepath",
                details={"arrays": there, "layers": [found[index].layer for index in here]},
            )
    return {index: key for here, there in groups.values() for index, key in zip(here, there)}


def _match(found: dict, keys: dict, shapes: dict, by_name: bool, path: str) -> tuple:
    """Place -> key; and those of them that names alone don't tell.

    Raises:
        FileError: see `_by_order` and `_refuse_transposed`.
    """
    named = _by_names(found, keys)
    if len(named) == len(found) == len(keys):
        return named, {}
    _refuse_transposed(_without(found, named), _without(keys, named.values()), shapes, path)
    if by_name:
        return named, {}
    told = _whole_families(found, keys, named)
    bare = {
        index: place._replace(names=[_pattern(name) for name in place.names])
        for index, place in _without(found, told).items()
    }
    rest = _without(keys, told.values())
    guessed = _by_names(bare, {key: _pattern(parts) for key, parts in rest.items()})
    left, rest = _without(found, {**told, **guessed}), _without(rest, guessed.values())
    numbered = _by_order(left, rest, shapes, path)
    if left and not numbered:
        return named, {}
    return {**told, **guessed, **numbered}, {**guessed, **numbered}


def _refuse_transposed(found: dict, keys: dict, shapes: dict, path: str) -> None:
    """Matrices of PyTorch lie the other way round, which shapes don't show where they are square."""
    for key, parts in keys.items():
        if parts[-1] != "weight" or len(shapes[key]) < 2:
            continue
        for place in found.values():
            name = place.names[0][-1]
            if name.endswith("kernel") and sorted(place.shape) == sorted(shapes[key]):
                raise FileError(
                    f"'{path}' comes from PyTorch: its array '{key}' would be the {name} of layer "
                    f"'{place.layer}', and PyTorch keeps the axes of these in another order.",
                    hint="Read the arrays, change the order of their axes, and use `set_weights()`.",
                    argument="filepath",
                )


def load_foreign(
    model: Any,
    path: str,
    arrays: dict,
    skip_mismatch: bool,
    by_name: bool,
    writing: Writing = contextlib.nullcontext,
) -> WeightsReport:
    """Give a model the arrays of a file that lists no layers.

    Args:
        arrays: name in the file -> array, or what `numpy.asarray` reads it from.
        skip_mismatch, by_name: as for `load_weights`; by name, only names count.
        writing: as for `load_lists`.

    Raises:
        FileError: two weights could be the same array, or as `WeightsReport.refuse`.
    """
    found = dict(enumerate(places(model)))
    keys = {key: parts_of(key) for key in arrays}
    shapes = {key: tuple(array.shape) for key, array in arrays.items()}
    told, guessed = _match(found, keys, shapes, by_name, path)
    if not told:
        _refuse_none(found, keys, path)
    report = WeightsReport()
    jobs: list = []
    layers: dict = defaultdict(list)
    for index, place in found.items():
        layers[place.layer].append(index)
    for layer, members in layers.items():
        lacking = [i for i in members if i not in told]
        if len(lacking) == len(members):
            report.add(layer, "missing", "not in the file", len(members))
            continue
        reason = None
        if lacking:
            names = few([f"'{found[i].names[0][-1]}'" for i in lacking])
            reason = f"the file lacks {names}"
        reason = reason or shapes_differ(
            (found[i].shape for i in members), (shapes[told[i]] for i in members)
        )
        report.add(layer, "skipped" if reason else "loaded", reason or "", len(members))
        if reason is None:
            jobs += [(found[i].variable, arrays[told[i]]) for i in members]
    for (name, reason), count in _unused(found, _without(keys, told.values())).items():
        report.add(name, "unused", reason, count)
    report.refuse(path, skip_mismatch, by_name)
    with writing():
        for variable, array in jobs:
            variable.assign(np.asarray(array))
        finish_layers([model])
    if guessed:
        pairs = few([f"'{key}' into '{found[i].layer}'" for i, key in guessed.items()])
        report.notes.append(
            f"'{path}' does not list its layers, and the names in it are not those of the model: "
            f"{len(guessed)} of {len(arrays)} arrays went by number and shape: {pairs}."
        )
    return report


def _refuse_none(found: dict, keys: dict, path: str) -> None:
    """Raise where no array has a place, with what stands in its way."""
    for key, parts in keys.items():
        fits = _fitting(found, parts)
        if len(fits) > 1:
            raise FileError(
                f"The weights in '{path}' can't be told apart: the array '{key}' could be that of layer "
                f"'{fits[0]}' or of layer '{fits[1]}'.",
                hint=_OWN,
                argument="filepath",
                details={"arrays": [key], "layers": fits},
            )
    theirs = few([f"'{key}'" for key in keys])
    own = few([f"'{'/'.join(place.names[0])}'" for place in found.values()])
    raise FileError(
        f"No array in '{path}' has the name of a weight of this model; nothing was loaded.",
        hint=f"It has {theirs}; the model has {own}.",
        argument="filepath",
    )


def _fitting(found: dict, parts: Parts) -> list:
    """The layers of the model that a name fits."""
    return sorted({place.layer for place in found.values() if _fit(place, parts)[0]})


def _unused(found: dict, keys: dict) -> Counter:
    """(layer in the file, why it was not used) -> number of arrays."""
    out: Counter = Counter()
    for key, parts in keys.items():
        fits = _fitting(found, parts)
        reason = "no such layer in the model"
        if len(fits) > 1:
            reason = f"the name fits several layers: {few([repr(one) for one in fits])}"
        out["/".join(parts[:-1]) or key, reason] += 1
    return out
