"""Weights as safetensors: plain arrays by name, read by many programs, without any code in the file.

Names are `<layer>/<weight>`, such as `dense/kernel` or `encoder/lstm_cell/bias`; the text field
`layers` of the file's header lists for each layer its names in the order of the layer's weights, the
text field `kerasbridge` is the manifest.
Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import contextlib
import json
import os
from functools import partial
from typing import Any, Optional, Union

import numpy as np

from kerasbridge.errors import ArgumentError, FileError, InstallError
from kerasbridge.files import leftovers, replacing
from kerasbridge.saving import manifest
from kerasbridge.saving.contents import checksum
from kerasbridge.saving.foreign_names import load_foreign
from kerasbridge.saving.kept_values import Writing
from kerasbridge.saving.named_weights import Later, finish_layers, load_lists, ordered
from kerasbridge.saving.report import WeightsReport
from kerasbridge.saving.safety.tensors import MANIFEST, structure_of_arrays

PathLike = Union[str, "os.PathLike[str]"]


def _library() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as err:
        raise InstallError(
            "Files ending in .safetensors need the Python package safetensors, which is not installed.",
            hint="Install it in the environment of Keras: `pip install safetensors`.",
        ) from err
    return safetensors


def names(model: Any) -> dict[str, list]:
    """Layer -> [(name in the file, variable)] for every weight; the model's own under its name."""
    taken: set[str] = set()
    seen: set[int] = set()
    out: dict[str, list] = {}

    def add(owner: str, weights: list) -> None:
        found = []
        for weight in weights:
            if id(weight) in seen:
                continue
            seen.add(id(weight))
            parts = (getattr(weight, "path", None) or weight.name).split("/")
            # the path below the layer, where it names the layer at all
            below = parts[parts.index(owner) + 1 :] if owner in parts[:-1] else parts
            name = base = "/".join([owner, *below])
            number = 1
            while name in taken:
                name, number = f"{base}_{number}", number + 1
            taken.add(name)
            found.append((name, weight))
        if found:
            out[owner] = out.get(owner, []) + found

    for layer in model.layers:
        add(layer.name, ordered(layer))
    add(model.name, list(model.weights))
    return out


def write_safetensors(model: Any, path: PathLike, overwrite: bool) -> None:
    """Write the weights of `model`.

    Raises:
        InstallError: the package safetensors is not installed.
        ArgumentError: the model has no weights yet.
        FileError: as `kerasbridge.files.replacing`.
    """
    import keras

    library = _library()
    table = names(model)
    if not table:
        raise ArgumentError(
            "The model has no weights yet.",
            hint="Say the shape of its input, or call it on data once.",
            argument="model",
        )
    arrays = {
        name: np.asarray(keras.ops.convert_to_numpy(weight), order="C")
        for found in table.values()
        for name, weight in found
    }
    header = {
        "format": "keras",
        "keras_version": keras.__version__,
        "layers": json.dumps({layer: [n for n, _ in found] for layer, found in table.items()}),
    }
    parts = {f"/{name}": {"crc32": checksum(_octets(array))} for name, array in arrays.items()}
    described = [(name, array.shape, array.dtype) for name, array in arrays.items()]
    parts["structure"] = {"crc32": structure_of_arrays(described, header)}
    header[MANIFEST] = manifest.plain_text(manifest.make(model, parts, []))
    with replacing(path, overwrite) as temporary:
        # the library writes to a name of its own beside the one it is given: in a folder that the next
        # save clears, should this process be killed
        with leftovers.room(os.path.dirname(temporary)) as folder:
            written = os.path.join(folder, "weights")
            library.numpy.save_file(arrays, written, metadata=header)
            os.replace(written, temporary)


def _octets(array: np.ndarray) -> np.ndarray:
    """The bytes of an array as they lie in the file, without a copy."""
    return array.reshape(-1).view(np.uint8)


def load_safetensors(
    model: Any,
    path: str,
    skip_mismatch: bool = False,
    by_name: bool = False,
    writing: Writing = contextlib.nullcontext,
) -> WeightsReport:
    """Load weights by the list of layers in the file; where there is none, see `foreign_names.py`.

    The file has been looked at: see `safety/tensors.py`.

    Raises:
        FileError: the file is damaged, or its weights don't fit.
    """
    library = _library()
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(library.safe_open(path, framework="numpy"))
            keys, header = list(file.keys()), file.metadata() or {}
            order = _order(keys, header)
            arrays = {
                name: Later(file.get_slice(name).get_shape(), partial(file.get_tensor, name))
                for name in keys
            }
        except (library.SafetensorError, ValueError, TypeError) as err:
            raise FileError(
                f"'{path}' is damaged, or not a safetensors file: {str(err).splitlines()[0]}.",
                argument="filepath",
            ) from err
        return _load(model, path, order, arrays, skip_mismatch, by_name, writing)


def _load(
    model: Any,
    path: str,
    order: Optional[dict],
    arrays: dict,
    skip_mismatch: bool,
    by_name: bool,
    writing: Writing,
) -> WeightsReport:
    if order is None:
        return load_foreign(model, path, arrays, skip_mismatch, by_name, writing)
    mine = names(model).get(model.name, [])
    top = [layer.name for layer in model.layers]
    source = {
        layer: [arrays[name] for name in found]
        for layer, found in order.items()
        if layer in top or by_name or not mine
    }
    report = load_lists(model, path, source, skip_mismatch, by_name, writing=writing)
    if mine and all(name in arrays and arrays[name].shape == tuple(w.shape) for name, w in mine):
        with writing():
            for name, weight in mine:
                weight.assign(np.asarray(arrays[name]))
            finish_layers([model])
        report.add(model.name, "loaded", weights=len(mine))
    return report


def _order(keys: list, header: dict) -> Optional[dict[str, list]]:
    """Layer -> its arrays in order, where the file lists them."""
    if "layers" not in header or MANIFEST not in header:
        return None
    order = json.loads(header["layers"])
    listed = [name for found in order.values() for name in found]
    if sorted(listed) != sorted(keys):
        raise ValueError("its list of layers does not fit its arrays")
    return order
