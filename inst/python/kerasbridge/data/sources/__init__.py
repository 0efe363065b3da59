"""Data that need not fit in memory: files and functions that give batch after batch.

Each source is a `keras.utils.PyDataset`, so that Keras' own `fit` takes it, and is read by
`kerasbridge.training` in large blocks. One module per format over the common base in `base.py`.
"""

from __future__ import annotations

import importlib

# public name -> module that defines it, imported on first use
_LAZY = {
    "CsvSource": "kerasbridge.data.sources.csv",
    "FunctionSource": "kerasbridge.data.sources.function",
    "Hdf5Source": "kerasbridge.data.sources.arrays",
    "ImageSource": "kerasbridge.data.sources.images",
    "NpySource": "kerasbridge.data.sources.arrays",
    "ParquetSource": "kerasbridge.data.sources.parquet",
    "Source": "kerasbridge.data.sources.base",
    "TextSource": "kerasbridge.data.sources.text",
    "TimeseriesSource": "kerasbridge.data.sources.timeseries",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'kerasbridge.data.sources' has no attribute '{name}'")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
