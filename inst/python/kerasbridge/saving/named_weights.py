"""Weights that a file lists by layer (the layout of Keras 1 and 2, safetensors), put into the layers one by one."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterable, Optional

import numpy as np

from kerasbridge.saving.kept_values import Writing
from kerasbridge.saving.own_tree import parts_of
from kerasbridge.saving.report import WeightsReport, shapes_differ


class Later:
    """An array that is read from its file when `numpy.asarray` asks for it.

    Attributes:
        shape: as the file tells it.
    """

    def __init__(self, shape: Any, read: Callable[[], np.ndarray]):
        self.shape = tuple(shape)
        self._read = read

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        values = self._read()
        return values if dtype is None else values.astype(dtype)


def load_lists(
    model: Any,
    path: str,
    source: dict[str, list],
    skip_mismatch: bool,
    by_name: bool,
    compare: bool = False,
    writing: Writing = contextlib.nullcontext,
) -> WeightsReport:
    """Give the layers of `model` the arrays of a file.

    Args:
        source: layer name -> arrays (anything with a shape that `numpy.asarray` reads), in the order
            of the layer's weights.
        by_name: layers are matched by name; else the layers that have weights by position.
        compare: only say what would become of each layer.
        writing: what surrounds the writing of values, all of which fit by then.

    Raises:
        FileError: as `WeightsReport.refuse`.
    """
    report = WeightsReport()
    layers = [layer for layer in model.layers if layer.weights]
    filled = {name: arrays for name, arrays in source.items() if arrays}
    if by_name:
        pairs = {layer.name: layer.name for layer in layers}
    else:
        pairs = dict(zip((layer.name for layer in layers), filled))
    jobs = []
    for layer in layers:
        arrays = filled.get(pairs.get(layer.name, ""))
        weights = ordered(layer)
        if arrays is None:
            report.add(layer.name, "missing", "not in the file", len(weights))
            continue
        reason = shapes_differ((w.shape for w in weights), (a.shape for a in arrays))
        report.add(layer.name, "skipped" if reason else "loaded", reason or "", len(weights))
        if reason is None:
            jobs += zip(weights, arrays)
    taken = set(pairs.values())
    for name, arrays in filled.items():
        if name not in taken:
            report.add(name, "unused", "no such layer in the model", len(arrays))
    report.refuse(path, skip_mismatch, by_name)
    if not compare:
        with writing():
            for weight, array in jobs:
                weight.assign(np.asarray(array))
            loaded = set(report.names("loaded"))
            finish_layers(layer for layer in layers if layer.name in loaded)
    return report


def finish_layers(layers: Iterable) -> None:
    """Let layers take over weights that were assigned: Normalization computes with what it makes of them."""
    for part in parts_of(list(layers)):
        if hasattr(part, "finalize_state"):
            part.finalize_state()


def ordered(layer: Any) -> list:
    """A layer's weights in the order in which files by layer keep them."""
    return list(layer.trainable_weights) + list(layer.non_trainable_weights)
