"""kerasbridge: data, training, saving and diagnosis for Keras 3.

Importing this package imports neither Keras nor a backend: every public name below is looked up
when it is first used.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

# public name -> module that defines it, imported on first use
_LAZY = {
    "KerasBridgeError": "kerasbridge.errors",
}

# subpackages reachable as attributes, imported on first use
_SUBPACKAGES = (
    "bridge",
    "cluster",
    "data",
    "environment",
    "errors",
    "files",
    "layers",
    "runtime",
    "saving",
    "serving",
    "training",
)

__all__ = ["__version__", *_LAZY, *_SUBPACKAGES]


def __getattr__(name: str):
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in _SUBPACKAGES:
        value = importlib.import_module(f"kerasbridge.{name}")
    else:
        raise AttributeError(f"module 'kerasbridge' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
