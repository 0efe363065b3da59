"""Training on several machines: JAX's distributed runtime under Keras' distribution API, started and watched.

`train_on_cluster` writes a folder that every machine can read, starts one process for each worker and
starts all of them again from the last checkpoint when one dies. Importing this package imports neither
Keras nor a backend.
"""

from __future__ import annotations

import importlib

_LAZY = {"train_on_cluster": "kerasbridge.cluster.driver"}

__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'kerasbridge.cluster' has no attribute '{name}'")
    return getattr(importlib.import_module(_LAZY[name]), name)
