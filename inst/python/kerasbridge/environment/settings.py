"""Keras' own settings: keras.json, KERAS_HOME, KERAS_BACKEND, and which of them counts."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Dict, Mapping, Optional

_BACKENDS = ("tensorflow", "jax", "torch", "openvino")


@dataclass
class KerasSettings:
    """`backend` is what Keras will use and `source` what says so; `problem` is empty if all is well."""

    backend: str
    source: str
    file: str
    content: Dict[str, object] = field(default_factory=dict)
    problem: str = ""


def read_settings(environ: Optional[Mapping[str, str]] = None) -> KerasSettings:
    """Read the settings as Keras would, without importing it and without writing the file."""
    environ = os.environ if environ is None else environ
    user = environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")
    home = environ.get("KERAS_HOME") or os.path.join(user, ".keras")
    file = os.path.join(home, "keras.json")
    content: Dict[str, object] = {}
    problem = ""
    try:
        with open(file, encoding="utf-8") as handle:
            value = json.load(handle)
        if isinstance(value, dict):
            content = value
        else:
            problem = f"{file} holds no settings (an object in braces is expected)."
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        problem = f"{file} can't be read: {error}"
    backend, source = "tensorflow", "Keras' default"
    if content.get("backend"):
        backend, source = str(content["backend"]).lower(), file
    if environ.get("KERAS_BACKEND"):
        backend, source = environ["KERAS_BACKEND"].lower(), "the environment variable KERAS_BACKEND"
    if not problem and backend not in _BACKENDS:
        problem = f'"{backend}" (from {source}) is no backend of Keras 3.'
    return KerasSettings(backend, source, file, content, problem)
