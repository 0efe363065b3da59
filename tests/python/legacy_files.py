"""The files of older versions of Keras that the tests read (`fixtures/legacy`)."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import keras
import numpy as np

FOLDER = Path(__file__).parent / "fixtures" / "legacy"


def unpacked(name: str, folder: Path) -> str:
    """The path of a file of the fixtures, unpacked into `folder`."""
    target = folder / name
    if name.endswith(".sm"):
        with tarfile.open(FOLDER / f"{name}.tar.gz") as archive:
            archive.extractall(folder)
    else:
        target.write_bytes(gzip.decompress((FOLDER / f"{name}.gz").read_bytes()))
    return str(target)


def text(name: str) -> str:
    return gzip.decompress((FOLDER / f"{name}.gz").read_bytes()).decode()


def recorded(case: str) -> dict:
    """Arrays x0, x1, ..., y0, y1, ... of a case."""
    with np.load(FOLDER / f"{case}.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


def inputs(case: str) -> list:
    arrays = recorded(case)
    return [arrays[f"x{i}"] for i in range(sum(key.startswith("x") for key in arrays))]


def difference(model, case: str, names: tuple = ()) -> float:
    """Largest difference between the outputs of `model` and those recorded."""
    x = inputs(case)
    x = dict(zip(names, x)) if names else x if len(x) > 1 else x[0]
    found = model.predict(x, batch_size=64, verbose=0)
    if isinstance(found, dict):
        found = [found[key] for key in sorted(found)]
    found = found if isinstance(found, list) else [found]
    wanted = recorded(case)
    assert len(found) == sum(key.startswith("y") for key in wanted)
    for i, value in enumerate(found):
        assert value.shape == wanted[f"y{i}"].shape
    return max(
        float(np.abs(np.asarray(value, "float64") - wanted[f"y{i}"]).max())
        for i, value in enumerate(found)
    )


class Scale(keras.layers.Layer):
    """The custom layer of the files: inputs * w * k."""

    def __init__(self, k=2.0, **kwargs):
        super().__init__(**kwargs)
        self.k = k

    def build(self, shape):
        self.w = self.add_weight(name="w", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.w * self.k

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "k": self.k}


class M(keras.Model):
    """The subclassed model of the files: one dense layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = keras.layers.Dense(2)

    def call(self, x):
        return self.head(x)
