"""Functional models of code that was followed, in which some inputs lead to no output.

Keras 3.10 to 3.13 take an input only if something was made of it. A layer that ignores its mask, or has a
weight for training alone, leaves such inputs; `keras.layers.Identity` makes something of each that no output needs.
"""

from __future__ import annotations

import copy
from typing import Any

import keras

from kerasbridge.runtime import structures
from kerasbridge.runtime.keras_version import keras_before


def _asks_for_use() -> bool:
    return keras_before(3, 14) and not keras_before(3, 10)


def _use(inputs: Any) -> None:
    for tensor in structures.flatten(inputs):
        keras.layers.Identity(dtype=tensor.dtype)(tensor)


class _Used(keras.Model):
    """Read from a configuration: a model each of whose inputs is used."""

    def __init__(self, *args: Any, **kwargs: Any):
        _use(kwargs["inputs"])
        super().__init__(*args, **kwargs)


def followed_model(inputs: list, outputs: Any) -> Any:
    """The functional model from symbolic inputs to outputs, whether or not each input leads to one."""
    if _asks_for_use():
        _use(inputs)
    return keras.Model(inputs, outputs)


def read_model(config: dict) -> Any:
    """Such a model from its configuration, which stays as it is."""
    cls = _Used if _asks_for_use() else keras.Model
    return cls.from_config(copy.deepcopy(config))  # Keras changes what it is given
