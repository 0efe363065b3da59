"""Weights in the HDF5 layout of Keras 1 and 2: a group for each layer, found by the layer's name.

Layout: attribute `layer_names` of the root (or of the group `model_weights` of a whole model); each
group of a layer has the attribute `weight_names` and one dataset for each. Attributes over HDF5's
limit of 64 KiB are cut into pieces `layer_names0`, `layer_names1`, ...
Source of the layout: files written by Keras 2.1 to 2.15.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Union

import numpy as np

from kerasbridge.files import replacing
from kerasbridge.saving.safety.hdf5 import BFLOAT16
from kerasbridge.saving.safety.texts import damaged

_ATTRIBUTE_LIMIT = 64000  # bytes, below HDF5's limit for an object's header


@contextlib.contextmanager
def read_lists(path: Union[str, os.PathLike]) -> Iterator[dict[str, list]]:
    """Layer name -> its datasets, in order, of a file in the older layout, open as long as needed.

    Raises:
        FileError: its lists name what is not there.
    """
    import h5py

    with h5py.File(path, "r") as file:
        group = file["model_weights"] if "model_weights" in file else file
        try:
            lists = {
                layer: [group[layer][name] for name in _read_names(group[layer], "weight_names")]
                for layer in _read_names(group, "layer_names")
            }
        except (KeyError, ValueError) as err:
            how = f"a list of its layers or weights names what is not there ({err})"
            raise damaged(f"'{os.fspath(path)}'", "", how) from err
        yield lists


def _read_names(group: Any, attribute: str) -> list[str]:
    found = list(group.attrs.get(attribute, []))
    piece = 0
    while f"{attribute}{piece}" in group.attrs:
        found += list(group.attrs[f"{attribute}{piece}"])
        piece += 1
    return [name.decode("utf8") if isinstance(name, bytes) else str(name) for name in found]


def write_older(model: Any, path: Union[str, os.PathLike], overwrite: bool) -> None:
    """Write the weights of `model` in the older layout."""
    import h5py
    import keras

    from kerasbridge.saving.writing import add_manifest

    with replacing(path, overwrite) as temporary:
        with h5py.File(temporary, "w") as file:
            layers = list(model.layers)
            _write_names(file, "layer_names", [layer.name for layer in layers])
            file.attrs["backend"] = keras.config.backend().encode()
            file.attrs["keras_version"] = keras.__version__.encode()
            for layer in layers:
                weights = list(layer.trainable_weights) + list(layer.non_trainable_weights)
                _write_weights(file.create_group(layer.name), weights)
            inside = {id(w) for layer in layers for w in layer.weights}
            own = [w for w in model.weights if id(w) not in inside]
            _write_weights(file.create_group("top_level_model_weights"), own)
        add_manifest(model, temporary)


def _write_weights(group: Any, weights: list) -> None:
    import keras

    names: list[str] = []
    for weight in weights:
        name = getattr(weight, "path", weight.name)
        while name in names:
            name += "_"
        names.append(name)
    _write_names(group, "weight_names", names)
    for name, weight in zip(names, weights):
        values = np.asarray(keras.ops.convert_to_numpy(weight))
        group.create_dataset(name, data=_widened(values) if is_bfloat16(values) else values)


def widen_bfloat16(path: Union[str, os.PathLike]) -> None:
    """Write as float32 what Keras wrote as bfloat16 into an `.h5` file.

    The layout has no such type, and Keras reads its own bytes back from none; float32 holds each value.
    """
    import h5py

    found = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "V" and item.dtype.itemsize == 2:
            found.append(name)

    with h5py.File(path, "r+") as file:
        file.visititems(note)
        for name in found:
            values = _widened(file[name][()].view(BFLOAT16))
            del file[name]
            file.create_dataset(name, data=values)


def is_bfloat16(values: np.ndarray) -> bool:
    return str(values.dtype) == BFLOAT16


def _widened(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, "float32")


def _write_names(group: Any, attribute: str, names: list) -> None:
    array = np.asarray([name.encode("utf8") for name in names] or [], dtype="S" if names else "S1")
    pieces = max(1, -(-array.nbytes // _ATTRIBUTE_LIMIT))
    if pieces == 1:
        group.attrs[attribute] = array
        return
    for i, piece in enumerate(np.array_split(array, pieces)):
        group.attrs[f"{attribute}{i}"] = piece
