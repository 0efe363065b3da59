"""The tree in which Keras keeps a model's weights, known without a copy of the weights.

While Keras writes the model to a temporary file, every variable shows a number in place of its values
(`keras.StatelessScope`); so the small file tells which variable stands where. What keeps the variables of
a group, a layer or an optimizer, is found by letting each part of the model write its own under the same
numbers. With both known, arrays can be compared with a file before the first value is written, and then
go one by one through the part's `load_own_variables()`, as Keras itself hands them over.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional

import numpy as np

from kerasbridge.saving.contents import WEIGHTS, Contents
from kerasbridge.saving.safety.archives import data_offset, read_member
from kerasbridge.saving.safety.hdf5 import Range, Stored, open_hdf5
from kerasbridge.saving.safety.texts import damaged

# parts of the root that are not of the model itself
APART = ("optimizer", "loss_tracker", "metrics", "_metrics")
_FIRST = 1_000_003  # no number that a layer would keep by itself


@dataclass
class OwnTree:
    """Where the arrays of a model stand in the layout of Keras 3.

    Attributes:
        shapes: path of each array, such as `layers/dense/vars/0`, -> its shape.
        names: group (`layers/dense/vars`) -> the name that Keras writes for its owner.
        owners: group -> the part of the model that keeps it; None where the model keeps something that
            is no variable as it is.
    """

    shapes: dict
    names: dict
    owners: Optional[dict]

    @property
    def known(self) -> bool:
        """Whether all of it is told."""
        return self.owners is not None


def own_tree(model: Any) -> OwnTree:
    """The tree of `model`; where a layer keeps what is computed from its variables, only the paths."""
    import keras

    class Numbers(keras.StatelessScope):
        def __init__(self) -> None:
            super().__init__()
            self.seen: dict = {}  # id of a variable -> (number, what shows it, the variable)
            self.by_number: dict = {}

        def get_current_value(self, variable: Any) -> Any:
            if id(variable) not in self.seen:
                number = _FIRST + len(self.seen)
                shown = keras.ops.convert_to_tensor(number, dtype="int32")
                self.seen[id(variable)] = shown
                self.by_number[number] = variable
            return self.seen[id(variable)]

    numbers, found = Numbers(), None
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder, _without_optimizer(model):
        path = os.path.join(folder, "own.weights.h5")
        with contextlib.suppress(Exception):  # a layer that computes with values says what it likes
            with numbers:
                model.save_weights(path)
            shapes, names, found = _read_tree(path)
        if found is None or not all(number in numbers.by_number for number in found.values()):
            numbers.by_number = {}
            path = os.path.join(folder, "whole.weights.h5")  # what failed may still be open
            model.save_weights(path)
            shapes, names, found = _read_tree(path)
    for group, part in _of_optimizer(model).items():
        found.update({f"{group}/{k}": n for k, n in _numbers_of(part, numbers).items()})
    variables = {name: numbers.by_number.get(number) for name, number in found.items()}
    if any(variable is None for variable in variables.values()):
        return OwnTree(shapes, names, None)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    return OwnTree(shapes, names, _owners(model, found, numbers))


def _read_tree(path: str) -> tuple[dict, dict, dict]:
    """Shapes, names and numbers in a file of a model's own."""
    import h5py

    shapes, names, found = {}, {}, {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            shapes[name], found[name] = tuple(item.shape), _number(item)
        elif "name" in item.attrs:
            names[name] = item.attrs["name"]

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return shapes, names, found


@contextlib.contextmanager
def _without_optimizer(model: Any) -> Iterator[None]:
    """Whenever Keras writes an optimizer it makes another one, which must not happen among numbers."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        yield
        return
    model.optimizer = None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _of_optimizer(model: Any) -> dict:
    """Group -> part of the optimizer, as Keras names them."""
    found, group, part = {}, "optimizer", getattr(model, "optimizer", None)
    while part is not None:
        found[f"{group}/vars"] = part
        group, part = f"{group}/inner_optimizer", getattr(part, "inner_optimizer", None)
    return found


def _number(value: Any) -> Optional[int]:
    """The number that stands for a variable, or None."""
    if value.ndim or value.dtype.kind != "i":
        return None
    return int(value[()])


def _numbers_of(part: Any, numbers: Any) -> dict:
    """Key -> number of each variable that a part of a model keeps by itself."""
    held: dict = {}
    try:
        with numbers:
            part.save_own_variables(held)
            return {key: _number(np.asarray(value)) for key, value in held.items()}
    except Exception:  # noqa: B902 - as said of its like above
        return {"": None}


def _owners(model: Any, found: dict, numbers: Any) -> Optional[dict]:
    groups: dict = {}
    for name, number in found.items():
        above, key = name.rpartition("/")[::2]
        groups.setdefault(above, {})[key] = number
    wanted = {frozenset(held.items()): group for group, held in groups.items()}
    owners: dict = {}
    for part in parts_of(model):
        group = wanted.get(frozenset(_numbers_of(part, numbers).items()))
        if group is not None:
            if group in owners:
                return None
            owners[group] = part
    return owners if len(owners) == len(groups) else None


def parts_of(item: Any) -> list:
    """What keeps variables in a model, layer, or list of them: layers, optimizers, metrics, at any depth."""
    found: list = []
    todo, seen = [item], set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, (list, tuple)):
            todo += item
        elif hasattr(type(item), "save_own_variables"):
            found.append(item)
            todo += vars(item).values()
    return found


# ---- the values of a file ---------------------------------------------------------------------------


class Values:
    """The arrays of a file of weights, each read when it is asked for, into memory of its own."""

    def __init__(self, contents: Contents):
        self._contents = contents
        self._opened: list = []
        info = contents.members.get(WEIGHTS)
        if info is None:
            self._bytes: Any = Range(contents.path, 0, contents.size)
        elif info.compress_type == zipfile.ZIP_STORED:
            self._bytes = Range(contents.path, data_offset(contents.path, info), info.file_size)
        else:
            self._bytes = io.BytesIO(read_member(contents.path, WEIGHTS, contents.source))

    def __enter__(self) -> Values:
        return self

    def __exit__(self, *_: Any) -> None:
        for opened in [*self._opened, self._bytes]:
            opened.close()

    def read(self, stored: Stored) -> np.ndarray:
        """The values of one dataset.

        Raises:
            FileError: the file ends before they do.
        """
        if stored.offset is None and stored.nbytes:
            return self._file()[stored.path][()].view(stored.dtype)
        out = np.empty(stored.shape, stored.dtype)
        view = memoryview(out.reshape(-1).view(np.uint8))
        self._bytes.seek(stored.offset or 0)
        while len(view):
            got = self._bytes.readinto(view)
            if not got:
                raise damaged(self._contents.source, stored.path, "it is cut short")
            view = view[got:]
        return out

    def _file(self) -> Any:
        if not self._opened:
            self._opened = [open_hdf5(self._bytes, self._contents.source)]
        return self._opened[0]


@contextlib.contextmanager
def reading(files: list[Contents]) -> Iterator[dict]:
    """Path of each array in files that belong together -> function that reads it."""
    with contextlib.ExitStack() as opened:
        readers: dict = {}
        for contents in files:
            values = opened.enter_context(Values(contents))
            readers.update({s.path: partial(values.read, s) for s in contents.datasets})
        yield readers


class _Group(Mapping):
    """The arrays of one group, for `load_own_variables()`: each is read when it is taken."""

    def __init__(self, sources: dict):
        self._sources = sources  # key -> function that reads

    def __getitem__(self, key: str) -> np.ndarray:
        return self._sources[key]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


def hand_over(own: OwnTree, jobs: dict) -> None:
    """Give the parts of a model their arrays.

    Args:
        jobs: path in the model's tree -> function that reads the array. A group is given as a whole.
    """
    groups: dict = {}
    for path, read in jobs.items():
        above, key = path.rpartition("/")[::2]
        groups.setdefault(above, {})[key] = read
    for group, sources in groups.items():
        own.owners[group].load_own_variables(_Group(sources))
