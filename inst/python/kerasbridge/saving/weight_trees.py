"""Weights in the layout of Keras 3: a tree like that of the model, compared with the model's and loaded.

Where every array of the model's own tree is a variable (`own_tree.py`), the arrays that model and file both
have go straight from the file into the layers. Else the model's tree is written to a temporary file, the
parts that both have are exchanged there, and Keras reads it back; so everything a layer keeps comes along
by Keras' own rules.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from typing import Any, Callable, NamedTuple, Optional

from kerasbridge.errors import FileError
from kerasbridge.saving.contents import Contents
from kerasbridge.saving.door import warn_of
from kerasbridge.saving.kept_values import Writing, is_small, values_kept
from kerasbridge.saving.older_weights import is_bfloat16
from kerasbridge.saving.own_tree import APART, OwnTree, hand_over, own_tree, reading
from kerasbridge.saving.report import WeightsReport, loaded_whole, shapes_differ

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

    Args:
        tree: what is below it: `vars` -> key -> path of the array; other keys -> trees.
        names: path of a `vars` group -> name of its owner.
        shapes: path of an array -> its shape.
        described: names of the layers of a file that has only keys.
    """

    def __init__(
        self,
        tree: dict,
        names: dict,
        shapes: dict,
        by_name: bool,
        described: Optional[Described] = None,
        path: str = "",
    ):
        self.name = names.get(f"{path}vars")
        held = tree.get("vars", {})
        self.arrays = {k: _Array(v, shapes[v]) for k, v in held.items() if isinstance(v, str)}
        self.parts: dict[str, _Node] = {}
        self.layers: dict[str, _Node] = {}
        for key, child in tree.items():
            if key == "vars" or isinstance(child, str):
                continue
            if key == "layers":
                known = _by_key(described or [])
                for inner in child:
                    name, below = known.get(inner, (None, None))
                    place = f"{path}layers/{inner}/"
                    node = _Node(child[inner], names, shapes, by_name, below, place)
                    node.name = node.name or name
                    if by_name and node.name is None and _count(node):
                        raise FileError(
                            "The file holds the layers' places and no names, as Keras before 3.6 writes it.",
                            hint="Load it without `by_name` into the model that it came from, and save that again.",
                            argument="by_name",
                        )
                    self.layers[(node.name or inner) if by_name else inner] = node
            else:
                self.parts[key] = _Node(child, names, shapes, by_name, None, f"{path}{key}/")

    def all_arrays(self) -> dict:
        """Relative path -> array, of this part and its parts, not of the layers below it."""
        found = {f"vars/{key}": array for key, array in self.arrays.items()}
        for key, part in self.parts.items():
            found.update({f"{key}/{inner}": a for inner, a in part.all_arrays().items()})
            for name, layer in part.layers.items():
                below = f"{key}/layers/{name}"
                found.update({f"{below}/{inner}": a for inner, a in layer.all_arrays().items()})
        return found


class _Array(NamedTuple):
    path: str
    shape: tuple


def _root(shapes: dict, names: dict, by_name: bool, described: Described) -> _Node:
    """The tree of a model or file: its arrays' paths and shapes, and names of the layers."""
    tree: dict = {}
    for path in shapes:
        *above, key = path.split("/")
        below = tree
        for step in above:
            below = below.setdefault(step, {})
        below[key] = path
    node = _Node(tree, names, shapes, by_name, described)
    # what a model keeps under names of its own (a subclassed one) counts as its layers
    for key in [k for k in node.parts if k not in APART]:
        part = node.parts.pop(key)
        if part.all_arrays() or part.layers:
            node.layers[(part.name or key) if by_name else key] = part
    for key in APART:
        node.parts.pop(key, None)
    return node


def _exchange(
    mine: _Node, theirs: Optional[_Node], title: str, report: WeightsReport, jobs: list
) -> None:
    """Pair the layers of two trees; `jobs` gets (my path, their path)."""
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
            jobs += [(own[k].path, other[k].path) for k in keys]
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


STATE = "optimizer/vars/"  # of the optimizer, in a file


def compare_tree(
    model: Any, own: OwnTree, files: list[Contents], by_name: bool = False
) -> tuple[WeightsReport, list]:
    """What would become of each layer of `model` if the weights of a file were loaded.

    Args:
        files: one, or all that hold a set of weights together.

    Returns:
        The report, and pairs (path in the model's tree, path in the file) of what is to be loaded.
    """
    report, jobs = WeightsReport(), []
    shapes = {s.path: s.shape for contents in files for s in contents.datasets}
    names = {group: name for contents in files for group, name in contents.names.items()}
    here = _root(own.shapes, own.names, by_name, _of_model(model))
    there = _root(shapes, names, by_name, _of_config(files[0].config))
    _exchange(here, there, "", report, jobs)
    report.layer = [name or model.name for name in report.layer]
    return report, jobs


def load_tree(
    model: Any,
    path: str,
    files: list[Contents],
    skip_mismatch: bool,
    by_name: bool,
    writing: Writing,
) -> WeightsReport:
    """Load weights in the layout of Keras 3 as far as the models agree.

    Args:
        path: what a message names.
        files: as for `compare_tree`.
        writing: what surrounds the writing of values, all of which fit by then.

    Raises:
        FileError: as `WeightsReport.refuse`.
    """
    own = own_tree(model)
    report, jobs = compare_tree(model, own, files, by_name)
    report.refuse(path, skip_mismatch, by_name)
    with reading(files) as readers:
        held = {mine: readers[theirs] for mine, theirs in jobs}
        if not own.known:
            _through_a_file(model, held, writing)
        else:
            with writing():
                hand_over(own, held)
    return report


def _through_a_file(model: Any, jobs: dict, writing: Writing) -> None:
    """Write the whole model, exchange arrays in that file, and let Keras read it."""
    import h5py

    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder:
        path = os.path.join(folder, "own.weights.h5")
        model.save_weights(path)
        with h5py.File(path, "r+") as file:
            for mine, read in jobs.items():
                values = read()
                file[mine][...] = values.view(file[mine].dtype) if is_bfloat16(values) else values
        with writing():
            model.load_weights(path)


def load_whole_tree(
    model: Any,
    path: str,
    files: list[Contents],
    by_keras: Callable[[], Any],
    writing: Writing,
    straight: bool = False,
) -> WeightsReport:
    """Load all weights in the layout of Keras 3.

    What is large goes straight from the files into the layers, once it is known that all fits: no value
    is kept for the case of a failure. The rest Keras reads, and the values are kept meanwhile.

    Args:
        path, files, writing: as for `load_tree`.
        by_keras: reads them by Keras.
        straight: small ones as well; what doesn't fit is told by layer.
    """
    report = _load_whole(model, path, files, by_keras, writing, straight)
    note = _on_optimizer(model, path, files)
    if note:
        report.notes.append(warn_of(model, note))
    return report


def _load_whole(
    model: Any,
    path: str,
    files: list[Contents],
    by_keras: Callable[[], Any],
    writing: Writing,
    straight: bool,
) -> WeightsReport:
    if straight or not is_small(model, sum(contents.size for contents in files)):
        own = own_tree(model)
        jobs = whole_jobs(own, files)
        if jobs is not None:
            with writing(), reading(files) as readers:
                hand_over(own, {job: readers[job] for job in jobs})
            return loaded_whole(model, lambda: None)
        if straight and own.known:
            return load_tree(model, path, files, False, False, writing)
    with values_kept(model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        return loaded_whole(model, by_keras)


def _on_optimizer(model: Any, path: str, files: list[Contents]) -> Optional[str]:
    """What to say where the state in a file is that of another optimizer."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    held = sorted(s.shape for f in files for s in f.datasets if s.path.startswith(STATE))
    wanted = sorted(tuple(variable.shape) for variable in optimizer.variables)
    # one that has not trained keeps its step and its rate alone
    if len(held) <= 2 or held == wanted:
        return None
    from kerasbridge.saving.optimizer_state import other_optimizer  # (it starts Keras)

    return other_optimizer(path, held, optimizer)


def whole_jobs(own: OwnTree, files: list[Contents]) -> Optional[list]:
    """Paths of all arrays that Keras would load, or None where it isn't known that each of them fits."""
    if not own.known:
        return None
    mine: dict = {}
    theirs: dict = {}
    shapes = {s.path: s.shape for contents in files for s in contents.datasets}
    for tree, found in ((mine, own.shapes), (theirs, shapes)):
        for path, shape in found.items():
            tree.setdefault(path.rpartition("/")[0], {})[path] = tuple(shape)
    jobs: list = []
    for group, held in mine.items():
        other = theirs.pop(group, {})
        if held == other:
            jobs += other
        elif group.split("/", 1)[0] != "optimizer":  # one that is another stays as it is
            return None
    left = [group for group in theirs if group.split("/", 1)[0] not in APART]
    return None if left else jobs


def prepare_optimizer(model: Any, files: list[Contents]) -> None:
    """Build the optimizer of a model that hasn't trained where the files have the state of one that has.

    Keras drops the state otherwise.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or optimizer.built:
        return
    stored = [s for f in files for s in f.datasets if s.path.startswith(STATE)]
    if len(stored) > len(optimizer.variables):
        optimizer.build(model.trainable_variables)
