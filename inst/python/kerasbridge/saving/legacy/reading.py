"""What an old file holds, as plain values; nothing is built here."""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from kerasbridge.errors import FileError


@dataclass
class Stored:
    """The content of a model's file.

    Attributes:
        version: Keras' version as the file says it, or None.
        config: `{"class_name", "config", ...}` of the model; None in a file of weights.
        training: how it was compiled, or None.
        layers: layer's name -> (names of its weights, their values), in the file's order
            (`.h5`).
        optimizer: (names, values) of the optimizer's state, empty without one.
        layout: "h5" or "keras".
    """

    version: Optional[str] = None
    config: Optional[dict] = None
    training: Optional[dict] = None
    layers: dict = field(default_factory=dict)
    optimizer: tuple = ((), ())
    layout: str = "h5"


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def names_of(group: Any, attribute: str) -> list:
    """Names in an attribute, also where it was cut into `attribute0`, `attribute1`, ..."""
    if attribute in group.attrs:
        return [_text(n) for n in group.attrs[attribute]]
    found: list = []
    piece = 0
    while f"{attribute}{piece}" in group.attrs:
        found += [_text(n) for n in group.attrs[f"{attribute}{piece}"]]
        piece += 1
    return found


def arrays_of(group: Any) -> tuple:
    """Names and values of the weights in a layer's group."""
    names = names_of(group, "weight_names")
    return names, [np.asarray(group[name]) for name in names]


def read_h5(path: str) -> Stored:
    """The content of an `.h5` file of Keras 1 to 3 (a model or weights).

    Raises:
        FileError: damaged, or neither a model nor weights.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _read_h5(file)
    except (OSError, KeyError, RuntimeError, json.JSONDecodeError, UnicodeDecodeError) as err:
        if isinstance(err, FileError):
            raise
        raise FileError(
            f"'{path}' is damaged or truncated ({os.path.getsize(path):,} bytes): {err}",
            hint="Save or copy it again.",
            argument="filepath",
        ) from err


def _read_h5(file: Any) -> Stored:
    group = file["model_weights"] if "model_weights" in file else file
    stored = Stored(
        version=_text(file.attrs.get("keras_version", group.attrs.get("keras_version")))
    )
    for name, attribute in (("config", "model_config"), ("training", "training_config")):
        value = file.attrs.get(attribute)
        if value is not None:
            setattr(stored, name, json.loads(_text(value)))
    for name in names_of(group, "layer_names"):
        stored.layers[name] = arrays_of(group[name])
    if "top_level_model_weights" in group:
        own = arrays_of(group["top_level_model_weights"])
        if own[0]:
            stored.layers["top_level_model_weights"] = own
    if "optimizer_weights" in file:
        stored.optimizer = arrays_of(file["optimizer_weights"])
    return stored


def read_keras(path: str) -> Stored:
    """Version, configuration and training settings of a `.keras` file (weights stay in the file)."""
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read("metadata.json"))
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, OSError) as err:
        raise FileError(
            f"'{path}' is damaged or truncated ({os.path.getsize(path):,} bytes): {err}",
            hint="Save or copy it again.",
            argument="filepath",
        ) from err
    return Stored(
        version=metadata.get("keras_version"),
        config=config,
        training=config.get("compile_config"),
        layout="keras",
    )


def major(version: Optional[str]) -> Optional[int]:
    """The first number of a version; tf.keras wrote "2.4.0" and "2.1.6-tf"."""
    found = re.match(r"(\d+)\.", version or "")
    return int(found.group(1)) if found else None


def version_of(path: str) -> Optional[str]:
    """Keras' version as a model's file says it, read without anything else; None where it doesn't."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("metadata.json")).get("keras_version")
        import h5py

        with h5py.File(path, "r") as file:
            attributes = file.attrs
            if "keras_version" not in attributes and "model_weights" in file:
                attributes = file["model_weights"].attrs
            return _text(attributes.get("keras_version"))
    except (OSError, KeyError, ValueError, RuntimeError):
        return None
