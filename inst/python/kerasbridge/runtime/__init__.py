"""What runs before Keras: backend choice, quiet start, seeds. Imports no backend until asked."""

from __future__ import annotations

import importlib

# looked up when used: `kerasbridge.environment` takes a module from here on the barest of Pythons
_LAZY = {
    "backend_name": "kerasbridge.runtime.starting",
    "set_random_seed": "kerasbridge.runtime.seeds",
    "start": "kerasbridge.runtime.starting",
}

__all__ = ["backend_name", "set_random_seed", "start"]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kerasbridge.runtime' has no attribute '{name}'")
