"""Saving's answers as plain values."""

from __future__ import annotations

from typing import Any


def load_weights(model: Any, **arguments: Any) -> dict:
    """The columns of the report on what was loaded."""
    from kerasbridge.saving import load_weights

    return load_weights(model, **arguments).as_dict()
