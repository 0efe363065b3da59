"""The configuration of a layer, model, optimizer, loss ... as plain values, and the object again.

A configuration travels with the JSON of what Keras made of the object: languages that know fewer types
(R turns a list of one into a single value, and 3 into 3.0) can change a value and leave all others as
they were.
"""

from __future__ import annotations

import json
from typing import Any, Optional

import keras

from kerasbridge.errors import ArgumentError, UnsupportedError
from kerasbridge.saving.arguments import arguments_kept
from kerasbridge.saving.modules import functional_module
from kerasbridge.saving.nested import built_once


def get_config(target: Any) -> dict:
    """Configuration and class of a Keras object.

    Returns:
        A dict: `config` (plain values) and `serialized` (JSON with the class and the same
        configuration).

    Raises:
        ArgumentError: the object has no configuration.
        UnsupportedError: a part of it can't be written as plain values, such as an R function.
    """
    if not hasattr(target, "get_config"):
        raise ArgumentError(
            f"An object of class {type(target).__name__} has no configuration.", argument="object"
        )
    try:
        with arguments_kept(target):
            tree = keras.saving.serialize_keras_object(target)
        tree = {key: tree[key] for key in ("module", "class_name", "config", "registered_name")}
        text = json.dumps(tree)
    except NotImplementedError as err:
        raise UnsupportedError(
            str(err).strip().splitlines()[0],
            hint="Give the class a `get_config()` that returns the arguments of its constructor.",
            argument="object",
        ) from err
    except (TypeError, KeyError) as err:
        raise UnsupportedError(
            f"The configuration of this {type(target).__name__} can't be written as plain values: {err}.",
            argument="object",
        ) from err
    return {"config": json.loads(text)["config"], "serialized": text}


def from_config(
    config: Any,
    serialized: Optional[str] = None,
    custom_objects: Optional[dict[str, Any]] = None,
) -> Any:
    """The object that a configuration describes, with new weights.

    Args:
        config: what `get_config` gave, or its plain values, perhaps changed since; or Keras' own tree with
            `class_name` and `config`.
        serialized: the JSON that `get_config` gave; holds the class.
        custom_objects: name -> class or function, for what isn't part of Keras.

    Raises:
        ArgumentError: the class is not known.
    """
    if isinstance(config, dict) and set(config) == {"config", "serialized"}:
        config, serialized = config["config"], config["serialized"]
    if serialized is not None:
        tree = json.loads(serialized)
        tree["config"] = merged(tree["config"], config)
    elif isinstance(config, dict) and "class_name" in config and "config" in config:
        tree = config
    elif isinstance(config, dict) and "layers" in config:
        functional = "input_layers" in config
        tree = {
            "module": functional_module() if functional else "keras",
            "class_name": "Functional" if functional else "Sequential",
            "config": config,
            "registered_name": None,
        }
    else:
        raise ArgumentError(
            "`config` does not say which class it belongs to.",
            hint="Use the value of get_config(), or a list with `class_name` and `config`.",
            argument="config",
        )
    return keras.saving.deserialize_keras_object(
        built_once(tree), custom_objects=custom_objects or {}
    )


def merged(original: Any, sent: Any) -> Any:
    """`sent`, with the types of `original` wherever both mean the same."""
    if isinstance(original, dict):
        if not sent and not isinstance(sent, dict):
            return {}
        if not isinstance(sent, dict):
            return sent
        return {
            key: merged(original[key], value) if key in original else value
            for key, value in sent.items()
        }
    if isinstance(original, list):
        if sent is None or isinstance(sent, dict):
            return sent
        items = list(sent) if isinstance(sent, (list, tuple)) else [sent]
        like = original if len(original) == len(items) else [None] * len(items)
        return [merged(a, b) for a, b in zip(like, items)]
    if isinstance(original, bool) or isinstance(sent, bool):
        return sent
    if isinstance(original, int) and isinstance(sent, float) and sent.is_integer():
        return int(sent)
    if isinstance(original, float) and isinstance(sent, int):
        return float(sent)
    return sent
