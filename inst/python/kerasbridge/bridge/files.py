"""Model files for R: results as plain values, warnings left to R."""

from __future__ import annotations

import warnings
from typing import Any

from kerasbridge.saving import inspecting


def load_model(**arguments: Any) -> Any:
    """`saving.load_model`; what it would warn of is among the details of the model, under `notes`."""
    return _quietly("kerasbridge.saving.models:load_model", arguments)


def model_from_bytes(**arguments: Any) -> Any:
    """`saving.model_from_bytes`, warnings as those of `load_model`."""
    return _quietly("kerasbridge.saving.models:model_from_bytes", arguments)


def load_weights(**arguments: Any) -> dict:
    """The columns of the report on what was loaded; what it would warn of is under `notes`."""
    return _quietly("kerasbridge.saving.weights:load_weights", arguments).as_dict()


def load_saved_model(**arguments: Any) -> Any:
    """`saving.load_saved_model`, warnings as those of `load_model`."""
    return _quietly("kerasbridge.saving.saved_model:load_saved_model", arguments)


def load_model_tf(**arguments: Any) -> Any:
    """`saving.load_model_tf`, warnings as those of `load_model`."""
    return _quietly("kerasbridge.saving.saved_model:load_model_tf", arguments)


def load_weights_tf(**arguments: Any) -> dict:
    """`saving.load_weights_tf`; the columns of its report, and `notes`."""
    return _quietly("kerasbridge.saving.checkpoints:load_weights_tf", arguments).as_dict()


def _quietly(function: str, arguments: dict) -> Any:
    from kerasbridge.bridge.verbs import load
    from kerasbridge.saving.door import ModelFileWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelFileWarning)
        return load(function)(**arguments)


def inspect_model(filepath: str, max_size: Any = None) -> dict:
    """`saving.inspect_model` as a plain dict, with the table it prints under `text`."""
    found = inspecting.inspect_model(filepath, max_size)
    return {**found, "text": str(found)}
