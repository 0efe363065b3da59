"""Model files for R: results as plain values, warnings left to R."""

from __future__ import annotations

import warnings
from typing import Any

from kerasbridge.saving import inspecting


def load_model(**arguments: Any) -> Any:
    """`saving.load_model`; what it would warn of is among the details of the model, under `notes`."""
    from kerasbridge.saving.door import ModelFileWarning
    from kerasbridge.saving.models import load_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelFileWarning)
        return load_model(**arguments)


def inspect_model(filepath: str, max_size: Any = None) -> dict:
    """`saving.inspect_model` as a plain dict, with the table it prints under `text`."""
    found = inspecting.inspect_model(filepath, max_size)
    return {**found, "text": str(found)}
