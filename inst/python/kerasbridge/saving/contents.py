"""What a model file holds, read without building anything and without Keras.

`read_contents` is the one reader of files: loading and `inspect_model` both start from it, so that what
is refused is refused before a value is used.
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from kerasbridge.errors import FileError, UnsafeFileError
from kerasbridge.saving.safety.archives import check_zip, data_offset, read_member
from kerasbridge.saving.safety.hdf5 import Range, check_hdf5, open_hdf5
from kerasbridge.saving.safety.tensors import (
    check_safetensors,
    is_safetensors,
    structure_of_arrays,
)
from kerasbridge.saving.safety.texts import check_text_size, damaged, read_json

PathLike = Union[str, "os.PathLike[str]"]
# ending -> what a file is that holds no model
_OTHERS = {
    ".weights.json": "A list of files of weights: make the model, then `load_model_weights()`.",
    **dict.fromkeys(
        (".json", ".yaml", ".yml"), "An architecture without weights: `load_model_config()`."
    ),
    ".index": "A part of a TensorFlow checkpoint: `load_model_weights_tf()` with the name without '.index'.",
    ".rds": "`readRDS()` reads it.",
}
MAGIC = {b"PK\x03\x04": "zip", b"\x89HDF": "hdf5"}
MANIFEST = "kerasbridge.json"  # in a zip; in HDF5 the attribute of the name without its ending
WEIGHTS, WEIGHTS_NPZ = "model.weights.h5", "model.weights.npz"
_WORDS = {
    "keras": "a whole model (.keras)",
    "h5": "a whole model (.h5)",
    "weights": "weights alone, layout of Keras 3",
    "older_weights": "weights alone, layout of Keras 1 and 2",
    "safetensors": "weights alone (safetensors)",
}


@dataclass
class Contents:
    """A file looked at: its `kind` (a key of the words above), texts, parts and datasets."""

    path: str
    kind: str
    size: int
    config: Optional[dict] = None
    training: Optional[dict] = None
    versions: dict = field(default_factory=dict)
    manifest: Optional[dict] = None
    members: dict = field(default_factory=dict)  # of a zip: name -> ZipInfo
    datasets: list = field(default_factory=list)
    names: dict = field(
        default_factory=dict
    )  # group of arrays -> the layer's name, as Keras 3 tells it
    structure: int = 0  # checksum of all names, shapes and attributes of HDF5 or safetensors
    texts: dict = field(default_factory=dict)  # checksums of the texts of HDF5

    @property
    def source(self) -> str:
        return f"'{self.path}'"

    @property
    def what(self) -> str:
        return _WORDS[self.kind]

    @property
    def declared(self) -> int:
        """Bytes of all weights."""
        return sum(stored.nbytes for stored in self.datasets)

    @property
    def compile_config(self) -> Optional[dict]:
        """How the model was compiled, or None."""
        if self.training is not None:
            return self.training
        found = (self.config or {}).get("compile_config")
        return found if isinstance(found, dict) else None


def check_source(path: PathLike) -> str:
    """The path with `~` expanded, of something that is there and not empty.

    Raises:
        FileError: nothing is there, or an empty file.
    """
    name = os.path.expanduser(os.fspath(path))
    if not os.path.exists(name):
        checkpoint = os.path.exists(name + ".index")
        raise FileError(
            f"There is no file '{name}'.",
            hint="It is a TensorFlow checkpoint: `load_model_weights_tf()`."
            if checkpoint
            else f"The current folder is '{os.getcwd()}'.",
            argument="filepath",
        )
    if os.path.isfile(name) and os.path.getsize(name) == 0:
        raise FileError(f"'{name}' is empty: not a model.", argument="filepath")
    return name


def sniff(path: PathLike) -> Optional[str]:
    """ "zip", "hdf5", or None by the first bytes of a file."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return MAGIC.get(file.read(4))


def read_contents(filepath: PathLike, max_size: Optional[int] = None) -> Contents:
    """Look at a file.

    Args:
        filepath: a `.keras`, `.h5`, `.weights.h5` or `.safetensors` file under any name.
        max_size: bytes that the content may have once expanded; by default 256 MiB, for larger files
            20 times their size.

    Raises:
        FileError: missing, empty, damaged, or not a model file.
        UnsafeFileError: links, paths that lead out, sizes that lie; names the part.
    """
    name = check_source(filepath)
    if os.path.isdir(name):
        if os.path.exists(os.path.join(name, "config.json")):
            raise UnsafeFileError(
                f"'{name}' is refused. It is a folder with the parts of a .keras file, not a file.",
                hint="Files can be looked at as a whole; save the model to a file.",
                argument="filepath",
            )
        raise FileError(f"'{name}' is a folder, not a model file.", argument="filepath")
    if not os.path.isfile(name):
        raise FileError(f"'{name}' is not an ordinary file.", argument="filepath")
    kind = sniff(name)
    if kind is None:
        if is_safetensors(name):
            return _read_safetensors(name, max_size)
        raise FileError(
            f"'{name}' is not a model file.",
            hint=next(
                (hint for ending, hint in _OTHERS.items() if name.lower().endswith(ending)),
                "A model file is a .keras (zip) or an .h5 (HDF5) file.",
            ),
            argument="filepath",
        )
    return _read_zip(name, max_size) if kind == "zip" else _read_hdf5(name, max_size)


# ---- .keras -----------------------------------------------------------------------------------------------


def _read_zip(path: str, max_size: Optional[int]) -> Contents:
    source = f"'{path}'"
    members = check_zip(path, source, max_size)
    out = Contents(path, "keras", os.path.getsize(path), members=members)
    if "config.json" not in members:
        raise FileError(
            f"{source} is not a model file: a zip without a config.json.",
            hint="A .keras file has one.",
            argument="filepath",
        )
    out.config = _json_member(path, members, "config.json", source)
    if not isinstance(out.config, dict) or "class_name" not in out.config:
        raise damaged(source, "config.json", "it does not describe a model")
    if "metadata.json" in members:
        found = _json_member(path, members, "metadata.json", source)
        out.versions = found if isinstance(found, dict) else {}
    if MANIFEST in members:
        out.manifest = _as_manifest(_json_member(path, members, MANIFEST, source), source)
    if WEIGHTS in members:
        _look_at_weights(out, members[WEIGHTS], max_size)
    elif WEIGHTS_NPZ in members:
        _look_at_npz(out, read_member(path, WEIGHTS_NPZ, source))
    else:
        raise damaged(source, WEIGHTS, "this part is missing", out.size)
    return out


def _json_member(path: str, members: dict, name: str, source: str) -> Any:
    check_text_size(members[name].file_size, name, source)
    return read_json(read_member(path, name, source), name, source)


def _look_at_weights(out: Contents, info: zipfile.ZipInfo, max_size: Optional[int]) -> None:
    if info.compress_type == zipfile.ZIP_STORED:
        inner: Any = Range(out.path, data_offset(out.path, info), info.file_size)
    else:
        inner = io.BytesIO(read_member(out.path, info.filename, out.source))
    with inner, open_hdf5(inner, out.source, WEIGHTS) as file:
        with _second(out.path, info, inner) as raw:
            out.datasets = check_hdf5(file, raw, info.file_size, out.source, WEIGHTS, max_size)
            out.names = _names_of(file)


def _names_of(file: Any) -> dict:
    """Path of each group `vars` -> the name of what keeps its arrays (Keras 3.6 and later)."""
    found: dict = {}

    def note(path: str, item: Any) -> None:
        if path.rsplit("/", 1)[-1] == "vars":
            name = item.attrs.get("name")
            if isinstance(name, (str, bytes)):
                found[path] = _text(name)

    file.visititems(note)
    return found


def _second(path: str, info: zipfile.ZipInfo, first: Any) -> Any:
    """The same bytes as `first`, with a place of its own."""
    if isinstance(first, io.BytesIO):
        return io.BytesIO(first.getbuffer())
    return Range(path, data_offset(path, info), info.file_size)


def _look_at_npz(out: Contents, content: bytes) -> None:
    """The arrays of an `.npz`: by their headers, which say whether they hold objects (pickles)."""
    import numpy as np

    from kerasbridge.saving.safety.hdf5 import Stored

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                with archive.open(info) as file:
                    version = np.lib.format.read_magic(file)
                    read = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}")
                    shape, _, dtype = read(file)
                if dtype.hasobject:  # as Keras itself writes them: one pickled dict a layer
                    raise _objects(out, info.filename)
                nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
                if nbytes > info.file_size:
                    raise damaged(out.source, WEIGHTS_NPZ, f"'{info.filename}' is too short")
                out.datasets.append(Stored(info.filename, tuple(shape), str(dtype), nbytes, None))
    except FileError:
        raise
    except Exception as err:  # noqa: B902 - zipfile, zlib and numpy each have their own
        raise damaged(out.source, WEIGHTS_NPZ, str(err)[:200]) from err


def _objects(out: Contents, name: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{out.source} is refused. '{name}' in the part '{WEIGHTS_NPZ}' holds Python objects (a pickle), "
        "which run code when read.",
        hint="Save the weights as HDF5 where the file was made.",
        argument="filepath",
    )


# ---- HDF5 -------------------------------------------------------------------------------------------------


def _read_hdf5(path: str, max_size: Optional[int]) -> Contents:
    source, size = f"'{path}'", os.path.getsize(path)
    with open_hdf5(path, source) as file, open(path, "rb") as raw:
        datasets = check_hdf5(file, raw, size, source, "", max_size)
        try:
            attributes = dict(file.attrs)
            group = file["model_weights"] if "model_weights" in file else file
            older = "layer_names" in group.attrs or "layer_names0" in group.attrs
            out = Contents(path, "h5" if "model_config" in attributes else "weights", size)
            if out.kind == "weights" and older:
                out.kind = "older_weights"
            out.structure = structure_of(file, datasets)
            out.names = {} if older else _names_of(file)
            inner = dict(group.attrs) if older else {}
        except FileError:
            raise
        except Exception as err:  # noqa: B902 - h5py raises what the library reports
            raise damaged(source, "", str(err)[:200]) from err
    out.datasets = datasets
    for name in ("keras_version", "backend"):
        value = attributes.get(name, inner.get(name))
        if isinstance(value, (str, bytes)):
            out.versions[name] = _text(value)
    if "kerasbridge" in attributes:
        found = read_json(_text(attributes["kerasbridge"]), "kerasbridge", source)
        out.manifest = _as_manifest(found, source)
    for name in ("model_config", "training_config"):
        if name in attributes:
            text = _text(attributes[name])
            out.texts[name] = checksum(text.encode("utf-8", "surrogateescape"))
            value = read_json(text, name, source)
            if name == "model_config":
                out.config = value
            else:
                out.training = value
    if out.kind == "h5" and not (isinstance(out.config, dict) and "class_name" in out.config):
        raise damaged(source, "model_config", "it does not describe a model")
    if out.kind == "h5" and not older:
        raise damaged(source, "model_weights", "this part is missing", size)
    return out


def _read_safetensors(path: str, max_size: Optional[int]) -> Contents:
    source = f"'{path}'"
    datasets, texts = check_safetensors(path, source, max_size)
    out = Contents(path, "safetensors", os.path.getsize(path), datasets=datasets)
    out.structure = structure_of_arrays([(s.path, s.shape, s.dtype) for s in datasets], texts)
    if "keras_version" in texts:
        out.versions["keras_version"] = texts["keras_version"]
    if "kerasbridge" in texts:
        out.manifest = _as_manifest(read_json(texts["kerasbridge"], "kerasbridge", source), source)
    return out


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _as_manifest(value: Any, source: str) -> dict:
    from kerasbridge.saving.manifest import check_manifest

    return check_manifest(value, source)


def of_optimizer(path: str) -> bool:
    """Whether a dataset belongs to the optimizer."""
    return path.startswith(("optimizer/", "optimizer_weights/", "_optimizer/"))


def of_training(path: str) -> bool:
    """Whether a dataset belongs to the optimizer or a metric, not to the model itself."""
    return of_optimizer(path) or path.startswith(
        ("metrics/", "_compile_metrics/", "_loss_tracker/")
    )


def checksum(data: Any, start: int = 0) -> int:
    """CRC-32: finds damage, cheaply; it is no protection against intent."""
    import zlib

    return zlib.crc32(data, start) & 0xFFFFFFFF


def structure_of(file: Any, datasets: list) -> int:
    """Checksum of names, shapes, types and attributes, the manifest itself left out."""
    import numpy as np

    value = 0
    for stored in datasets:
        value = checksum(f"{stored.path} {stored.shape} {stored.dtype}\n".encode(), value)
    owners = {"/"} | {s.path for s in datasets}
    for stored in datasets:
        parts = stored.path.split("/")[:-1]
        owners.update("/".join(parts[: i + 1]) for i in range(len(parts)))
    for owner in sorted(owners):
        attributes = file[owner].attrs
        for name in sorted(attributes):
            if owner == "/" and name == "kerasbridge":
                continue
            held = attributes[name]
            text = held.encode("utf-8", "surrogateescape") if isinstance(held, str) else held
            raw = text if isinstance(text, bytes) else repr(np.asarray(held).tolist()).encode()
            value = checksum(f"{owner}@{name}={len(raw)}\n".encode() + raw, value)
    return value
