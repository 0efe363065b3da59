"""The manifest of a file that Keras has just written."""

from __future__ import annotations

import contextlib
import copyreg
import os
import sys
import threading
import zipfile
from typing import Any, Iterator, Optional

from kerasbridge.runtime import r_functions
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.runtime.recording import NotExpressible
from kerasbridge.saving import manifest, python_source
from kerasbridge.saving.contents import MANIFEST, Contents, read_contents
from kerasbridge.saving.safety.config import audit_config
from kerasbridge.saving.verifying import BESIDE

_UNLIMITED = 2**62
_MAX_ATTRIBUTE = 60_000  # bytes of text that HDF5 takes as an attribute


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


@contextlib.contextmanager
def settings_copied() -> Iterator[None]:
    """Around Keras' writer of `.h5`, which copies settings that layers keep in lists and dicts of Keras' own.

    Such a list (`value_range` of RandomBrightness) holds on to all that watches it, modules too, and can't
    be copied; here its copy is a plain one.
    """
    import keras

    layer = keras.layers.Layer(name="settings")
    layer.kept_list, layer.kept_dict = [0], {"a": 0}
    watched = {type(layer.kept_list): list, type(layer.kept_dict): dict}
    watched = {cls: plain for cls, plain in watched.items() if cls is not plain}
    before = {cls: copyreg.dispatch_table.get(cls) for cls in watched}
    for cls, plain in watched.items():
        copyreg.pickle(cls, lambda value, plain=plain: (plain, (plain(value),)))
    try:
        yield
    finally:
        for cls, held in before.items():
            copyreg.dispatch_table.pop(cls, None)
            if held is not None:
                copyreg.dispatch_table[cls] = held


@contextlib.contextmanager
def weights_named_apart(model: Any) -> Iterator[None]:
    """Around Keras' writer of `.h5`, which before Keras 3.3 takes the bare names of a layer's weights.

    In a layer made of layers (MultiHeadAttention, Bidirectional, a model) several have the same name,
    and the file can't be written. Here each has its path as its name, as newer versions write it.
    """
    before = {id(w): (w, w.name) for w in model.weights} if keras_before(3, 3) else {}
    for weight, _ in before.values():
        weight.name = weight.path
    try:
        yield
    finally:
        for weight, name in before.values():
            weight.name = name


def add_manifest(model: Any, path: str, known: Optional[dict] = None) -> None:
    """Write the manifest of `model` into the file at `path`, which holds it.

    The checksums of a zip are those that it keeps anyway; those of HDF5 are computed from the bytes as
    they lie in the file, but for those that are `known`: see `summing.py`.
    """
    contents = read_contents(path, _UNLIMITED)
    flushing = None
    if contents.kind != "keras" and contents.size > BESIDE:
        # the disk works while the checksums are computed; what is flushed at the end is little then
        flushing = threading.Thread(target=_flush, args=(path,), daemon=True)
        flushing.start()
    made = manifest.make(
        model, manifest.part_checksums(contents, known), custom_objects_of(contents, model)
    )
    text = manifest.plain_text(made)
    if contents.kind != "keras" and len(text) > _MAX_ATTRIBUTE:
        for item in made["custom_objects"]:
            if item.pop("programs", None):
                item["why"] = "an .h5 file has no room for what it computes; save it as .keras"
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


def custom_objects_of(contents: Contents, model: Any) -> list:
    """The classes and functions of a file that are not Keras', each with its origin.

    Returns:
        Dicts with `name`, `registered`, `kind`, `origin`, for classes `role` (layer, loss ...), for code
        written in R `source` and `programs`, or `why` there are none (metrics and optimizers have neither);
        for code written in Python `python`, its source.
    """
    from kerasbridge.saving.function_programs import small_parts
    from kerasbridge.saving.programs import custom_layers

    layers = list(custom_layers(model))
    parts = small_parts(model)
    out: dict = {}
    pending = [config for config in (contents.config, contents.compile_config) if config]
    while pending:
        for item in audit_config(pending.pop(0)).missing:
            key = (item.kind, item.registered or item.name)
            if key not in out:
                out[key] = told = _told(item, layers, parts)
                pending.extend(_inner(told))
    return list(out.values())


def _told(item: Any, layers: list, parts: list) -> dict:
    """What the manifest says of one class or function; see `custom_objects_of`."""
    import keras

    key = item.registered or item.name
    named = [part for part in parts if part.name == item.name]
    mine: list = []
    if item.kind == "class":
        own = [layer for layer in layers if type(layer).__name__ == item.name]
        mine = [layer for layer in own if getattr(type(layer), "_r_origin", None)]
        mine = mine or [part for part in named if hasattr(type(part.value), "_r_origin")]
        held = next((type(getattr(v, "value", v)) for v in own or mine), None)
    else:
        mine = [
            part
            for part in named
            if hasattr(part.value, "_r_forms") or hasattr(part.value, "_program")
        ]
        held = (mine or named)[0].value if named else r_functions.find(item.name)
    held = (
        held
        or keras.saving.get_registered_object(key)
        or keras.saving.get_registered_object(item.name)
        or vars(sys.modules.get(item.module, manifest)).get(item.name)
    )
    told = {"name": item.name, "registered": key, "kind": item.kind, "origin": item.origin}
    origin, source = getattr(held, "_r_origin", None), getattr(held, "_r_source", None)
    if callable(source):  # a plain function of R
        about = source()
        origin, source = about["origin"], about.get("source")
    if origin:
        told["origin"] = origin
    elif held is not None:
        told["origin"] = f"Python: {held.__module__}.{getattr(held, '__qualname__', item.name)}"
        python = python_source.source_of(held)
        if python is not None:
            told["python"] = python
    role = _role(held)
    if role:
        told["role"] = role
    if source:
        told["source"] = source
    if mine:
        told.update(_programs(mine))
    return told


def _inner(told: dict) -> list:
    """The configurations in programs: they may name further classes and functions."""
    from kerasbridge.saving.stand_ins import configurations

    return [config for config in configurations(told) if config] if "programs" in told else []


def _role(held: Any) -> Optional[str]:
    """What a class is in a model."""
    import keras

    roles = {
        "model": keras.Model,
        "layer": keras.Layer,
        "loss": keras.Loss,
        "metric": keras.Metric,
        "optimizer": keras.Optimizer,
        "schedule": keras.optimizers.schedules.LearningRateSchedule,
        "initializer": keras.Initializer,
        "regularizer": keras.Regularizer,
        "constraint": keras.constraints.Constraint,
    }
    fits = (
        role for role, base in roles.items() if isinstance(held, type) and issubclass(held, base)
    )
    return next(fits, None)


def _programs(mine: list) -> dict:
    """What the layers, functions or objects of one name compute, or why that can't be told."""
    from kerasbridge.saving.function_programs import Found, program_of_function
    from kerasbridge.saving.programs import canonical, program_of

    try:
        if not isinstance(mine[0], Found):
            made = {canonical(p["config"]): p for p in map(program_of, mine)}
            return {"programs": list(made.values())}
        alike: dict = {}
        for found in mine:
            alike.setdefault(found.configuration(), []).append(found)
        return {"programs": [program_of_function(found) for found in alike.values()]}
    except NotExpressible as reason:
        return {"why": str(reason)}
