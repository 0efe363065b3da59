"""What travels with a model beside its weights: the manifest of a file, and the details of a model.

A model object carries details under keys: `attach(model, "schema", {...})`, `details(model)`. They are
written to the manifest when the model is saved and are there again once it is loaded. Values are plain:
None, truth values, numbers, texts, lists and dicts with text keys.

The manifest is the member `kerasbridge.json` of a `.keras` file and the attribute `kerasbridge` of an
HDF5 file; plain Keras leaves both alone. Its fields:

* `format`: number of this description. A reader refuses a number that is higher than its own; adding
  a field leaves the number, a changed meaning raises it.
* `versions`: kerasbridge, keras, backend and its version, python, numpy, and r where R saved.
* `saved`: time in UTC.
* `details`: what `attach` put there.
* `custom_objects`: classes and functions that are not Keras', each with `name`, `registered`, `kind`,
  `origin`, for classes `role` (layer, loss ...) and, where it was written in R, `source` and `programs` (see
  `programs.py` and `function_programs.py`) or `why` there are none; `python`, the source of those written in
  Python.
* `parts`: size and CRC-32 of every other part.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from typing import Any, Optional

from kerasbridge.errors import ArgumentError, FileError
from kerasbridge.runtime.attached import attach, details, forget, session
from kerasbridge.saving.contents import Contents
from kerasbridge.saving.safety.texts import damaged
from kerasbridge.saving.sweeping import Sweep, dataset_checksums

FORMAT = 1
_THREADED = 8 * 2**20  # bytes from which on several threads compute checksums

__all__ = ["FORMAT", "attach", "check_manifest", "details", "forget", "make", "plain_text"]


def check_manifest(value: Any, source: str) -> dict:
    """A manifest that this version can read.

    Raises:
        FileError: it is damaged, or of a later format.
    """
    number = value.get("format") if isinstance(value, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        raise damaged(source, "kerasbridge.json", "it has no format number")
    if number > FORMAT:
        raise FileError(
            f"{source} was written by a later kerasbridge (format {number}; this one reads up to {FORMAT}).",
            hint="Update kerasbridge, or load the file with plain Keras.",
            argument="filepath",
        )
    out = dict(value)
    for key, kind in (
        ("versions", dict),
        ("details", dict),
        ("parts", dict),
        ("custom_objects", list),
    ):
        out.setdefault(key, kind())
        if not isinstance(out[key], kind):
            raise damaged(source, "kerasbridge.json", f"'{key}' is not what it should be")
    for key, part in out["parts"].items():
        if not isinstance(part, dict) or not isinstance(part.get("crc32"), int):
            raise damaged(source, "kerasbridge.json", f"the part '{key}' has no checksum")
    out["custom_objects"] = [item for item in out["custom_objects"] if isinstance(item, dict)]
    return out


def origins(manifest: Optional[dict]) -> dict:
    """The custom objects of a manifest by registered name and by name."""
    out = {}
    for item in (manifest or {}).get("custom_objects", []):
        for key in (item.get("name"), item.get("registered")):
            if isinstance(key, str):
                out[key] = item
    return out


def make(model: Any, parts: dict, custom_objects: list) -> dict:
    """The manifest of a model that was just written."""
    import platform

    import keras
    import numpy as np

    import kerasbridge

    backend = keras.config.backend()
    versions = {
        "kerasbridge": kerasbridge.__version__,
        "keras": keras.__version__,
        "backend": backend,
        "backend_version": str(getattr(sys.modules.get(backend), "__version__", "")),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    held = details(model)
    for key in ("notes", "stand_ins"):  # what is said of a file that was loaded
        held.pop(key, None)
    versions.update(session)
    return {
        "format": FORMAT,
        "versions": versions,
        "saved": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "details": held,
        "custom_objects": custom_objects,
        "parts": parts,
    }


def plain_text(manifest: dict) -> str:
    """The manifest as JSON.

    Raises:
        ArgumentError: a detail is not a plain value.
    """
    try:
        return json.dumps(manifest, allow_nan=True, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as err:
        raise ArgumentError(
            f"A detail of the model can't be written as plain values: {err}.",
            hint="attach() takes numbers, texts, lists and dicts.",
        ) from err


def part_checksums(contents: Contents, known: Optional[dict] = None) -> dict:
    """Name -> size and CRC-32 of every part of a file but the manifest, as the file is now.

    `known`: those of weights that were just written, see `summing.py`.
    """
    if contents.kind == "keras":
        return {
            name: {"size": info.file_size, "crc32": info.CRC}
            for name, info in contents.members.items()
            if name != "kerasbridge.json"
        }
    out = {name: {"crc32": value} for name, value in contents.texts.items()}
    out["structure"] = {"crc32": contents.structure}
    left = []
    for stored in contents.datasets:
        shape, dtype, value = (known or {}).get(f"/{stored.path}", (None, None, 0))
        if (stored.shape, stored.dtype) == (shape, dtype):
            out[f"/{stored.path}"] = {"crc32": value}
        else:
            left.append(stored)
    large = sum(stored.nbytes for stored in left) > _THREADED
    threads = min(4, os.cpu_count() or 1) if large else 1
    with open(contents.path, "rb") as file:
        rest = replace(contents, datasets=left)
        for path, value in dataset_checksums(rest, Sweep(file), threads).items():
            out[path] = {"crc32": value}
    return out
