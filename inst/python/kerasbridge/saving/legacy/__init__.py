"""Reads what Keras 2.1 to 2.15 and tf-keras wrote: `.h5`, `.keras`, JSON, weights.

The configuration is read by rules, one for each difference to today (`layer_rules`, `values`,
`operations`, `compiling`); the model is built by calling today's layers (`graph`); weights and the
optimizer's state find their places by names, shapes and order (`weights`, `tree`, `slots`).
"""

from __future__ import annotations

import importlib

_LAZY = {
    "compile_model": "kerasbridge.saving.legacy.compiling",
    "convert_model": "kerasbridge.saving.legacy.converting",
    "is_older_tree": "kerasbridge.saving.legacy.entry",
    "load_weights": "kerasbridge.saving.legacy.weights",
    "model_from_tree": "kerasbridge.saving.legacy.entry",
    "read": "kerasbridge.saving.legacy.entry",
    "version_of": "kerasbridge.saving.legacy.reading",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kerasbridge.saving.legacy' has no attribute '{name}'")
