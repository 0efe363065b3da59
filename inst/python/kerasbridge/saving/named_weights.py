"""Weights by layer: what both models have in common is loaded, the rest is reported.

Two kinds of files. Those that keep a list of arrays for each layer (the layout of Keras 1 and 2,
safetensors) are put into the layers one by one. Those in the layout of Keras 3 are a tree like that of the
model: the model's own tree is written to a temporary file, the parts that both have are exchanged
there, and Keras reads it back; so everything a layer keeps comes along by Keras' own rules.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import zipfile
from typing import Any, Callable, Iterator, Optional

import numpy as np

from kerasbridge.errors import FileError
from kerasbridge.saving.report import WeightsReport, shapes_differ

_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"


# ---- lists of arrays by layer ----------------------------------------------------------------------
def load_lists(
    model: Any,
    path: str,
    source: dict[str, list],
    skip_mismatch: bool,
    by_name: bool,
    compare: bool = False,
) -> WeightsReport:
    """Give the layers of `model` the arrays of a file.

    Args:
        source: layer name -> arrays (anything with a shape that `numpy.asarray` reads), in the order
            of the layer's weights.
        by_name: layers are matched by name; else the layers that have weights by position.
        compare: only say what would become of each layer.

    Raises:
        FileError: as `WeightsReport.refuse`.
    """
    report = WeightsReport()
    layers = [layer for layer in model.layers if layer.weights]
    filled = {name: arrays for name, arrays in source.items() if arrays}
    if by_name:
        pairs = {layer.name: layer.name for layer in layers}
    else:
        pairs = dict(zip((layer.name for layer in layers), filled))
    jobs = []
    for layer in layers:
        arrays = filled.get(pairs.get(layer.name, ""))
        weights = ordered(layer)
        if arrays is None:
            report.add(layer.name, "missing", "not in the file", len(weights))
            continue
        reason = shapes_differ((w.shape for w in weights), (a.shape for a in arrays))
        report.add(layer.name, "skipped" if reason else "loaded", reason or "", len(weights))
        if reason is None:
            jobs += zip(weights, arrays)
    taken = set(pairs.values())
    for name, arrays in filled.items():
        if name not in taken:
            report.add(name, "unused", "no such layer in the model", len(arrays))
    report.refuse(path, skip_mismatch, by_name)
    for weight, array in () if compare else jobs:
        weight.assign(np.asarray(array))
    return report


def ordered(layer: Any) -> list:
    """A layer's weights in the order in which files by layer keep them."""
    return list(layer.trainable_weights) + list(layer.non_trainable_weights)


# ---- trees ------------------------------------------------------------------------------------------
# A layer as the tree's keys need it: its class, its name, and the layers below it.
Described = "list[tuple[str, str, Described]]"


def _of_model(model: Any) -> Described:
    return [
        (type(layer).__name__, layer.name, _of_model(layer))
        for layer in getattr(model, "layers", [])
    ]


def _of_config(config: Any) -> Described:
    inner = config.get("config") if isinstance(config, dict) else None
    entries = inner.get("layers") if isinstance(inner, dict) else None
    return [
        (entry["class_name"], entry["config"].get("name"), _of_config(entry))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("config"), dict)
    ]


def _by_key(described: Described) -> dict[str, tuple[str, Described]]:
    """The tree's key of each layer -> its name and what is below it.

    A key is the class in snake case, counted from the second of a class on: `dense`, `dense_1`.
    """
    out: dict = {}
    counts: dict = {}
    for kind, name, below in described:
        key = re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", re.sub(r"\W", "", kind))
        key = key.lower()
        seen = counts.get(key, 0)
        counts[key] = seen + 1
        out[f"{key}_{seen}" if seen else key] = (name, below)
    return out


def label_layers(model: Any, path: str) -> None:
    """Write the layers' names into weights that Keras has just written, where it writes none itself.

    Keras 3.0 to 3.5 keeps only the keys, which tell a layer's class and place, so that
    nothing could be found by name later.
    """
    import h5py

    def label(group: Any, described: Described) -> None:
        for key, (name, below) in _by_key(described).items():
            layer = group.get(f"layers/{key}")
            if layer is None:
                continue
            if "vars" in layer and "name" not in layer["vars"].attrs:
                layer["vars"].attrs["name"] = name
            label(layer, below)

    with h5py.File(path, "r+") as file:
        label(file, _of_model(model))


class _Node:
    """A part of a model in Keras 3's layout: its own arrays, parts, and layers.

    `described` names the layers of a file that has only keys.
    """

    def __init__(self, group: Any, by_name: bool, described: Optional[Described] = None):
        self.path = group.name
        own = group.get("vars")
        name = own.attrs.get("name") if own is not None else None
        self.name = name.decode() if isinstance(name, bytes) else name
        self.arrays = {} if own is None else {key: own[key] for key in own if _is_array(own[key])}
        self.parts: dict[str, _Node] = {}
        self.layers: dict[str, _Node] = {}
        for key in group:
            child = group[key]
            if key == "vars" or _is_array(child):
                continue
            if key == "layers":
                known = _by_key(described or [])
                for inner in child:
                    name, below = known.get(inner, (None, None))
                    node = _Node(child[inner], by_name, below)
                    node.name = node.name or name
                    if by_name and node.name is None and _count(node):
                        raise FileError(
                            "The file holds the layers' places and no names, as Keras before 3.6 writes it.",
                            hint="Load it without `by_name` into the model that it came from, and save that again.",
                            argument="by_name",
                        )
                    self.layers[(node.name or inner) if by_name else inner] = node
            else:
                self.parts[key] = _Node(child, by_name)

    def all_arrays(self) -> dict:
        """Relative path -> array, of this part and its parts, not of the layers below it."""
        found = {f"vars/{key}": array for key, array in self.arrays.items()}
        for key, part in self.parts.items():
            found.update({f"{key}/{inner}": a for inner, a in part.all_arrays().items()})
            for name, layer in part.layers.items():
                below = f"{key}/layers/{name}"
                found.update({f"{below}/{inner}": a for inner, a in layer.all_arrays().items()})
        return found


def _is_array(item: Any) -> bool:
    return hasattr(item, "shape")


def _exchange(
    mine: _Node, theirs: Optional[_Node], title: str, report: WeightsReport, jobs: list
) -> None:
    """Pair the layers of two trees; `jobs` gets (my dataset, their dataset)."""
    own = mine.all_arrays()
    if own and theirs is None:
        report.add(title, "missing", "not in the file", len(own))
    elif own:
        other = theirs.all_arrays()
        keys = list(own)
        if set(keys) == set(other):
            reason = shapes_differ((own[k].shape for k in keys), (other[k].shape for k in keys))
        else:
            reason = shapes_differ([(0,)] * len(own), [(0,)] * len(other))
            reason = reason or "the arrays have other names in the file"
        report.add(title, "skipped" if reason else "loaded", reason or "", len(own))
        if reason is None:
            jobs += [(own[k], other[k]) for k in keys]
    there = {} if theirs is None else theirs.layers
    for name, layer in mine.layers.items():
        _exchange(layer, there.get(name), _below(title, layer.name or name), report, jobs)
    for name, layer in there.items():
        if name not in mine.layers:
            count = _count(layer)
            if count:
                label = _below(title, layer.name or name)
                report.add(label, "unused", "no such layer in the model", count)


def _below(title: str, name: str) -> str:
    return f"{title}/{name}" if title else name


def _count(node: _Node) -> int:
    return len(node.all_arrays()) + sum(_count(layer) for layer in node.layers.values())


# parts of the root that are not of the model itself
APART = ("optimizer", "loss_tracker", "metrics", "_metrics")


def load_tree(
    model: Any, path: str, skip_mismatch: bool, by_name: bool, compare: bool = False
) -> WeightsReport:
    """Load the weights of a `.weights.h5` or `.keras` file as far as the models agree.

    Args:
        compare: only say what would become of each layer.

    Raises:
        FileError: as `WeightsReport.refuse`.
    """
    import h5py

    report, jobs = WeightsReport(), []
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder, _tree_file(path) as theirs:
        own_path = os.path.join(folder, "own.weights.h5")
        model.save_weights(own_path)
        with h5py.File(own_path, "r+") as mine:
            here = _Node(mine, by_name, _of_model(model))
            there = _Node(theirs, by_name, _of_config(_config_of(path)))
            for node in (here, there):
                # what a model keeps under names of its own (a subclassed one) counts as its layers
                for key in [k for k in node.parts if k not in APART]:
                    part = node.parts.pop(key)
                    if part.all_arrays() or part.layers:
                        node.layers[(part.name or key) if by_name else key] = part
                for key in APART:
                    node.parts.pop(key, None)
            _exchange(here, there, "", report, jobs)
            report.layer = [name or model.name for name in report.layer]
            report.refuse(path, skip_mismatch, by_name)
            if compare:
                return report
            for own, other in jobs:
                own[...] = other[...]
        model.load_weights(own_path)
    return report


@contextlib.contextmanager
def _tree_file(path: str) -> Iterator[Any]:
    """The HDF5 file with the weights of a `.weights.h5` or `.keras` file."""
    import h5py

    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        if _WEIGHTS not in archive.namelist():
            raise FileError(f"'{path}' holds no weights.", argument="filepath")
        with archive.open(_WEIGHTS) as stored, h5py.File(stored, "r") as file:
            yield file


def _config_of(path: str) -> Any:
    """The configuration in a `.keras` file; None for weights alone."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(_CONFIG)) if _CONFIG in archive.namelist() else None


def prepare_optimizer(model: Any, path: str) -> None:
    """Build the optimizer of a model that hasn't trained where the file has the state of one that has.

    Keras drops the state otherwise.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or optimizer.built:
        return
    with _tree_file(path) as file:
        stored = file.get("optimizer/vars")
        if stored is not None and len(stored) > len(optimizer.variables):
            optimizer.build(model.trainable_variables)


@contextlib.contextmanager
def values_kept(model: Any) -> Iterator[None]:
    """Around a load that writes before it compares: on an error every weight has its value again."""
    import keras

    optimizer = getattr(model, "optimizer", None)
    variables = [*model.weights, *getattr(optimizer, "variables", ())]
    before = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]
    try:
        yield
    except BaseException:
        for variable, value in zip(variables, before):
            variable.assign(value)
        raise


def loaded_whole(model: Any, load: Callable[[], Any]) -> WeightsReport:
    """Run a load that takes everything or fails, and report it as such."""
    load()
    report = WeightsReport()
    for layer in model.layers:
        if layer.weights:
            report.add(layer.name, "loaded", weights=len(layer.weights))
    return report
