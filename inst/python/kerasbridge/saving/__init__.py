"""Saving and loading whole models and weights; every write is beside the target, then renamed."""

from __future__ import annotations

import importlib

_LAZY = {
    "load_model": "kerasbridge.saving.models",
    "load_weights": "kerasbridge.saving.models",
    "save_model": "kerasbridge.saving.models",
    "save_weights": "kerasbridge.saving.models",
    "replacing": "kerasbridge.saving.atomic",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kerasbridge.saving' has no attribute '{name}'")
