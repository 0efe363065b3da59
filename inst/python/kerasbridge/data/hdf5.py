"""Rows of a dataset in an HDF5 file, without reading the rest."""

from __future__ import annotations

import os
from typing import Any, Optional

import numpy as np

from kerasbridge.errors import ArgumentError, FileError


def read_rows(path: str, dataset: str, start: int = 0, end: Optional[int] = None) -> Any:
    """Rows `start` (0-based) up to, not including, `end` of `dataset`.

    Raises:
        FileError: no such file, or not HDF5.
        ArgumentError: no such dataset, or rows outside of it.
    """
    try:
        import h5py
    except ImportError:
        from kerasbridge.errors import InstallError

        raise InstallError("Reading HDF5 needs h5py.", hint="pip install h5py") from None
    if not os.path.isfile(path):
        raise FileError(f"There is no file '{path}'.", argument="datapath")
    try:
        file = h5py.File(path, "r")
    except OSError as exc:
        raise FileError(f"'{path}' is not an HDF5 file.", argument="datapath") from exc
    with file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            names: list[str] = []
            file.visititems(lambda n, v: names.append(n) if isinstance(v, h5py.Dataset) else None)
            shown = ", ".join(names[:10]) or "none"
            raise ArgumentError(
                f"'{path}' has no dataset '{dataset}'.",
                hint=f"Its datasets: {shown}.",
                argument="dataset",
            )
        rows = found.shape[0] if found.shape else 0
        stop = rows if end is None else end
        if not 0 <= start < stop <= rows:
            raise ArgumentError(
                f"The dataset '{dataset}' has {rows} rows; rows {start + 1} to {stop} are not all "
                "in it.",
                argument="start" if start >= rows else "end",
            )
        values = found[start:stop]
    if values.dtype.kind in "OS":
        values = np.array(
            [v.decode("utf-8") if isinstance(v, bytes) else v for v in values.reshape(-1)],
            dtype=object,
        ).reshape(values.shape)
    return values
