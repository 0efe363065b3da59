"""The manifest of a file that Keras has just written."""

from __future__ import annotations

import contextlib
import os
import threading
import zipfile
from typing import Any, Iterator

from kerasbridge.saving import manifest
from kerasbridge.saving.contents import MANIFEST, Contents, read_contents
from kerasbridge.saving.safety.config import audit_config
from kerasbridge.saving.verifying import BESIDE

_UNLIMITED = 2**62


def _flush(path: str) -> None:
    with contextlib.suppress(OSError), open(path, "rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def settings_kept(model: Any) -> Iterator[None]:
    """Around Keras' writer of `.h5`, which takes the optimizer out of what the model was compiled with.

    Without it, all that is written of the model afterwards (`.keras`, JSON) lacks its optimizer.
    """
    held = getattr(getattr(model, "_compile_config", None), "config", None)
    before = dict(held) if isinstance(held, dict) else None
    try:
        yield
    finally:
        if before is not None:
            held.clear()
            held.update(before)


def add_manifest(model: Any, path: str) -> None:
    """Write the manifest of `model` into the file at `path`, which holds it.

    The checksums of a zip are those that it keeps anyway; those of HDF5 are computed from the bytes as
    they lie in the file.
    """
    contents = read_contents(path, _UNLIMITED)
    flushing = None
    if contents.kind != "keras" and contents.size > BESIDE:
        # the disk works while the checksums are computed; what is flushed at the end is little then
        flushing = threading.Thread(target=_flush, args=(path,), daemon=True)
        flushing.start()
    made = manifest.make(model, manifest.part_checksums(contents), custom_objects_of(contents))
    text = manifest.plain_text(made)
    if flushing is not None:
        flushing.join()
    if contents.kind == "keras":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(MANIFEST, text.encode("utf-8"))
        return
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs["kerasbridge"] = text


def custom_objects_of(contents: Contents) -> list:
    """The classes and functions of a file that are not Keras', each with its origin.

    Returns:
        Dicts with `name`, `registered`, `kind`, `origin` and, for code written in R, `source`.
    """
    import keras

    out: dict = {}
    for config in (contents.config, contents.compile_config):
        for item in audit_config(config).missing if config else ():
            key = item.registered or item.name
            held = keras.saving.get_registered_object(key) or keras.saving.get_registered_object(
                item.name
            )
            told = {"name": item.name, "registered": key, "kind": item.kind, "origin": item.origin}
            origin, source = getattr(held, "_r_origin", None), getattr(held, "_r_source", None)
            if origin:
                told["origin"] = origin
            elif held is not None:
                told["origin"] = (
                    f"Python: {held.__module__}.{getattr(held, '__qualname__', item.name)}"
                )
            if source:
                told["source"] = source
            out.setdefault((item.kind, key), told)
    return list(out.values())
