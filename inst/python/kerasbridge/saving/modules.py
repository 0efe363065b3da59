"""Configurations of `.h5` files with the module of every class, as those of `.keras` files have it.

Keras writes the parts of a model into an `.h5` file without their modules, and reads them as layers:
operations (`x[:, 1]`, `x + 1`, `keras.ops.mean(x)`) are then not found, or taken for the layer of the
same name (Add, Reshape), and an `axis` of several numbers is dropped. With a module Keras reads them right.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from typing import Any, Callable, Optional

from kerasbridge.saving.legacy.compiling import ALIASES
from kerasbridge.saving.safety.names import is_operation


@functools.cache
def functional_module() -> str:
    """The module of the class that `keras.Model(inputs, outputs)` makes, which has no public name."""
    import keras

    made = [cls for cls in keras.Model.__subclasses__() if cls.__name__ == "Functional"]
    return next(cls.__module__ for cls in made if cls.__module__.startswith("keras."))


@functools.cache
def operation_modules() -> dict:
    """Name of the class of each operation of Keras -> its module, as `.keras` files have it."""
    import keras

    places = [keras.ops, keras.random, keras.activations]
    places += [keras.ops.image, keras.ops.linalg, keras.ops.nn, keras.ops.numpy]
    public = [value for place in places for value in vars(place).values() if callable(value)]
    modules = {getattr(value, "__module__", None) or "" for value in public}
    return {
        name: module
        for module in sorted(m for m in modules if m.startswith("keras."))
        for name, value in vars(sys.modules[module]).items()
        if inspect.isclass(value)
        and value.__module__ == module
        and issubclass(value, keras.Operation)
        and not issubclass(value, keras.Layer)
    }


@functools.cache
def _renamed_layers() -> dict:
    """Layers whose class has another name than the public one (GroupedQueryAttention) -> their module."""
    import keras

    public = vars(keras.layers)
    return {
        value.__name__: value.__module__
        for value in public.values()
        if inspect.isclass(value)
        and issubclass(value, keras.Layer)
        and value.__name__ not in public
        and value.__module__.startswith("keras.")
    }


def _module_of(entry: dict) -> Optional[str]:
    import keras

    name = entry["class_name"]
    if is_operation(entry) and name in operation_modules():
        return operation_modules()[name]
    if name == "Functional":
        return functional_module()
    if name in ("Model", "Sequential"):
        return "keras"
    if inspect.isclass(getattr(keras.layers, name, None)):
        return "keras.layers"
    return _renamed_layers().get(name)


def with_modules(config: Any, plain: bool = False) -> Any:
    """A copy of a model's configuration in which the model and each of its parts has a module.

    Classes that aren't Keras' have None; they are found by their registered name.

    Args:
        plain: also turn what the writer of `.h5` files has forms of its own for (tuples, shapes, bytes,
            `...`) into those values.
    """
    made = _copied(config, plain)
    return _marked(made) if isinstance(made, dict) else made


def write_modules(path: str, model: Any) -> None:
    """Write the configuration in the `.h5` file at `path` so that plain Keras reads it.

    See `with_modules` and `with_full_names`. A `model` that is a class of its own, without layers in its
    configuration, also gets what it was built from, as in `.keras` files: Keras leaves it out. (Its own
    reader of `.h5` passes over it, and loads no such model.)
    """
    import h5py

    def described(config: Any) -> Any:
        made = with_modules(config)
        if "layers" not in (made.get("config") or {}):
            import keras

            built_from = keras.saving.serialize_keras_object(model.get_build_config())
            made = {**made, "build_config": built_from} if built_from else made
        return made

    with h5py.File(path, "r+") as file:
        for name, change in (("model_config", described), ("training_config", with_full_names)):
            if name in file.attrs:
                held = change(json.loads(file.attrs[name]))
                file.attrs[name] = json.dumps(held).encode("utf-8")


def with_full_names(training: dict) -> dict:
    """A copy of how a model was compiled in which short names ("mse", "kld") are written out.

    Keras' reader of `.h5` files finds none of the short ones. Metrics become objects that keep the name.
    """
    made = dict(training)
    for key, change in (
        ("loss", _full_loss),
        ("metrics", _full_metric),
        ("weighted_metrics", _full_metric),
    ):
        made[key] = _each_name(made.get(key), change)
    return {key: value for key, value in made.items() if key in training}


def _each_name(value: Any, change: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        return change(value) if value.lower() in ALIASES else value
    if isinstance(value, list):
        return [_each_name(item, change) for item in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _each_name(item, change) for key, item in value.items()}
    return value


def _full_loss(name: str) -> str:
    return ALIASES[name.lower()]


def _full_metric(name: str) -> Any:
    import keras

    try:
        metric = keras.metrics.get(name)
    except ValueError:
        return name
    if not isinstance(metric, keras.Metric):
        return name
    made = keras.saving.serialize_keras_object(metric)
    return {**made, "config": {**made["config"], "name": name}}


def _marked(entry: dict) -> dict:
    if "module" in entry or not isinstance(entry.get("class_name"), str):
        return entry
    return {"module": _module_of(entry), "registered_name": entry["class_name"], **entry}


def _copied(value: Any, plain: bool) -> Any:
    if isinstance(value, list):
        return [_copied(item, plain) for item in value]
    if not isinstance(value, dict):
        return value
    if plain and "config" not in value and value.get("class_name") in _PLAIN:
        return _PLAIN[value["class_name"]](value)
    made = {key: _copied(item, plain) for key, item in value.items()}
    if isinstance(made.get("layers"), list):
        made["layers"] = [_marked(e) if isinstance(e, dict) else e for e in made["layers"]]
    return made


_PLAIN = {
    "__tuple__": lambda value: tuple(_copied(item, True) for item in value.get("items", ())),
    "TensorShape": lambda value: value.get("items") and tuple(value["items"]),
    "__bytes__": lambda value: str(value.get("value", "")).encode("utf-8"),
    "__ellipsis__": lambda value: Ellipsis,
}
