"""Rules for the values inside a layer's configuration: activations, initializers and their kin.

Old files name these by function ("glorot_uniform"), by class with a configuration, or (since 2.12)
with a module too. Modules are never imported: a name is looked up among Keras' own, then among the
caller's `custom_objects`, and nowhere else.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

import keras

from kerasbridge.saving.legacy.context import Context, first_line

# names that TensorFlow's own functions got when they stood as an activation
_ACTIVATION_NAMES = {
    "softmax_v2": "softmax",
    "swish": "silu",
    "leaky_relu_v2": "leaky_relu",
    "log_softmax_v2": "log_softmax",
}

# old name -> class or function of today, where only the spelling changed
_INITIALIZER_NAMES = {
    "zero": "Zeros",
    "one": "Ones",
    "uniform": "RandomUniform",
    "normal": "RandomNormal",
    "identity": "Identity",
}
_DISTRIBUTIONS = {"normal": "truncated_normal"}
_REGULARIZER_KEYS = {"L1L2": ("l1", "l2"), "L1": ("l1",), "L2": ("l2",)}


def is_object(value: Any) -> bool:
    """Whether a value stands for an object: a dict with a class and a configuration."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def camel(name: str) -> str:
    """glorot_uniform -> GlorotUniform."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _bare(name: str) -> str:
    """Without a version's mark (`ZerosV2`, `glorot_uniform_v2`)."""
    return re.sub(r"_?[vV][12]$", "", name)


def _public_class(module: Any, name: str) -> Optional[type]:
    value = getattr(module, name, None)
    return value if isinstance(value, type) else None


def _pick(config: dict, accepted: Any) -> dict:
    return {key: config[key] for key in accepted if key in config}


def _read(
    value: Any,
    module: Any,
    names: dict,
    adapt: Callable[[str, dict], dict],
    what: str,
    ctx: Context,
) -> Any:
    if value is None or callable(value):
        return value
    name = value["class_name"] if is_object(value) else value
    if is_object(value) and name == "function":  # Keras 2.12 to 2.15: a function by name
        name, config = value["config"], {}
    else:
        config = dict(value["config"] or {}) if is_object(value) else {}
    if not isinstance(name, str):
        raise ctx.refusal(f"its {what} is not a name: {value!r:.80}.")
    custom = ctx.custom(name, value.get("registered_name") if is_object(value) else None)
    if custom is not None:
        return custom(**config) if isinstance(custom, type) else custom
    bare = _bare(name.rpartition(">")[2])
    bare = names.get(bare, bare)
    cls = _public_class(module, bare) or _public_class(module, camel(bare))
    if cls is None:
        raise ctx.refusal(f"its {what} '{name}' is not part of Keras.")
    try:
        return cls(**adapt(cls.__name__, config))
    except (TypeError, ValueError) as err:
        raise ctx.refusal(f"its {what} '{name}' can't be made: {first_line(err)}") from err


def initializer(value: Any, ctx: Context) -> Any:
    """An initializer. Today's have no `dtype`, and "normal" scaling is called by its full name."""

    def adapt(name: str, config: dict) -> dict:
        config = {k: v for k, v in config.items() if k not in ("dtype", "partition_info")}
        if name == "VarianceScaling" and "distribution" in config:
            config["distribution"] = _DISTRIBUTIONS.get(
                config["distribution"], config["distribution"]
            )
        if name in ("Zeros", "Ones"):
            return {}
        return config

    return _read(value, keras.initializers, _INITIALIZER_NAMES, adapt, "initializer", ctx)


def regularizer(value: Any, ctx: Context) -> Any:
    """A regularizer: numbers may be stored as lists of one, or as arrays written as dicts."""

    def adapt(name: str, config: dict) -> dict:
        keys = _REGULARIZER_KEYS.get(name)
        config = {key: _number(v) for key, v in config.items()}
        return _pick(config, keys) if keys else config

    if isinstance(value, str) and value in ("l1_l2", "l1l2"):
        value = {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.01}}
    return _read(value, keras.regularizers, {}, adapt, "regularizer", ctx)


def _number(value: Any) -> Any:
    if (
        isinstance(value, dict) and "value" in value
    ):  # an array as JSON: {"type": "ndarray", "value": ..}
        value = value["value"]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def constraint(value: Any, ctx: Context) -> Any:
    """A constraint; Keras 1 and early 2 called `max_value` `m`."""

    def adapt(name: str, config: dict) -> dict:
        if "m" in config:
            config["max_value"] = config.pop("m")
        return config

    return _read(value, keras.constraints, {}, adapt, "constraint", ctx)


def activation(value: Any, ctx: Context) -> Any:
    """An activation: a name, a function by name, or a layer used as one.

    "hard_sigmoid" of Keras 2 is max(0, min(1, 0.2 x + 0.5)); Keras 3 has given the name to another
    function, so the old one comes from this package.
    """
    from kerasbridge.layers.hard_sigmoid import keras2_hard_sigmoid

    if value is None or callable(value):
        return value
    name: Any = value
    if is_object(value):
        name = value["config"] if value["class_name"] == "function" else value["class_name"]
    if not isinstance(name, str):
        raise ctx.refusal(f"its activation is not a name: {value!r:.80}.")
    custom = ctx.custom(name, value.get("registered_name") if is_object(value) else None)
    if custom is not None:
        if isinstance(custom, type):
            return custom(**(value["config"] if isinstance(value, dict) else {}))
        return custom
    bare = name.rpartition(">")[2]
    bare = _ACTIVATION_NAMES.get(bare, bare)
    if bare == "hard_sigmoid":
        return keras2_hard_sigmoid
    function = getattr(keras.activations, bare, None)
    if callable(function) and not isinstance(function, type) and not bare.startswith("_"):
        if bare not in ("get", "serialize", "deserialize"):
            return function
    if is_object(value) and isinstance(value["config"], dict):
        from kerasbridge.saving.legacy.layer_rules import layer_from

        return layer_from(value, ctx)
    raise ctx.refusal(f"its activation '{name}' is not part of Keras.")


def policy(value: Any) -> Any:
    """A dtype: today's policies go by name; a name is left as it is."""
    if is_object(value):
        config = value["config"] or {}
        return config.get("name") or None
    return value


# ending of an option's name -> the rule for its value
BY_ENDING = {
    "_initializer": initializer,
    "_regularizer": regularizer,
    "_constraint": constraint,
    "activation": activation,
}


def by_name(key: str, value: Any, ctx: Context) -> Any:
    """The value of the option `key` of a layer, converted by what the option's name says."""
    for ending, rule in BY_ENDING.items():
        if key.endswith(ending):
            return rule(value, ctx)
    if key == "dtype":
        return policy(value)
    return value
