"""Functional models of code that was followed, whose layers were called before, and their configuration.

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


def config_of(model: Any) -> dict:
    """The configuration of such a model.

    Keras 3.0 and 3.1 number the calls of a layer as they were made, and read them as those of the model alone.
    """
    config = model.get_config()
    if not keras_before(3, 2):
        return config
    calls = {}
    for one in model.operations:
        before = (
            [None] if hasattr(one, "_nodes") else []
        )  # a functional model has a call of its own
        numbers = range(len(one._inbound_nodes))
        calls[one.name] = before + [i for i in numbers if f"{id(one)}_ib-{i}" in model._nodes]

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            history = value.get("keras_history")
            if history:
                name, call, tensor = history
                value["keras_history"] = [name, calls[name].index(call), tensor]
            for item in value.values():
                walk(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item)

    for entry in config["layers"]:
        walk(entry["inbound_nodes"])
    return config


def read_model(config: dict) -> Any:
    """Such a model from its configuration, which stays as it is."""
    cls = _Used if _asks_for_use() else keras.Model
    return cls.from_config(copy.deepcopy(config))  # Keras changes what it is given
