"""The fit, evaluate and predict engine.

`fit`, `evaluate` and `predict` give what Keras gives, sooner: on the TensorFlow backend, data that
fits in memory stays on the device and whole stretches of an epoch run inside one compiled loop
around the model's own `train_step`. Everything that can't run that way takes Keras' ordinary path
without a word. Importing this package imports neither Keras nor a backend.
"""

from __future__ import annotations

import importlib

# public name -> module that defines it, imported on first use
_LAZY = {
    "BackupAndRestore": "kerasbridge.training.checkpoints",
    "BestWeights": "kerasbridge.training.checkpoints",
    "CSVLogger": "kerasbridge.training.csv_log",
    "History": "kerasbridge.training.history",
    "ModelCheckpoint": "kerasbridge.training.checkpoints",
    "TrainingWarning": "kerasbridge.training.history",
    "best_weights": "kerasbridge.training.checkpoints",
    "compile": "kerasbridge.training.compiling",
    "evaluate": "kerasbridge.training.evaluation",
    "fit": "kerasbridge.training.fitting",
    "latest_checkpoint": "kerasbridge.training.checkpoints",
    "predict": "kerasbridge.training.prediction",
    "predict_on_batch": "kerasbridge.training.single",
    "test_on_batch": "kerasbridge.training.single",
    "train_on_batch": "kerasbridge.training.single",
    "warm_up": "kerasbridge.training.prediction",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'kerasbridge.training' has no attribute '{name}'")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
