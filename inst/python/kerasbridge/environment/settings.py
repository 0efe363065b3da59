"""Keras' own settings: keras.json, KERAS_HOME, KERAS_BACKEND, and which of them counts."""

from __future__ import annotations

import json
import os
import sys
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


def origins(environ: Optional[Mapping[str, str]] = None) -> Dict[str, object]:
    """Keras' settings and where each comes from, as plain values; starts nothing.

    Returns:
        `backend`, `source` (what decided it), `running` (the backend in use, None before the start),
        `home` and `home_source`, `file` (keras.json), `file_there`, `content` (its values),
        `overruled` (sentences on settings that another one beats), `problem` ("" if all is well).
    """
    environ = os.environ if environ is None else environ
    found = read_settings(environ)
    keras = sys.modules.get("keras")
    running = keras.config.backend() if hasattr(keras, "config") else None
    named = found.content.get("backend")
    overruled = []
    if environ.get("KERAS_BACKEND") and named and str(named).lower() != found.backend:
        overruled.append(f'{found.file} says "{named}"; KERAS_BACKEND wins.')
    if running is not None and running != found.backend:
        overruled.append(f"Keras runs on {running} already; a change counts in a new session.")
    return {
        "backend": found.backend,
        "source": found.source,
        "running": running,
        "home": os.path.dirname(found.file),
        "home_source": "the environment variable KERAS_HOME"
        if environ.get("KERAS_HOME")
        else "Keras' default",
        "file": found.file,
        "file_there": os.path.exists(found.file),
        "content": found.content,
        "overruled": overruled,
        "problem": found.problem,
    }
