"""A model behind HTTP: rows of JSON in, predictions out; see `server.ModelServer`."""

from __future__ import annotations

import importlib

_LAZY = {
    "ModelServer": "kerasbridge.serving.server",
    "answer": "kerasbridge.serving.requests",
    "describe": "kerasbridge.serving.requests",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kerasbridge.serving' has no attribute '{name}'")
