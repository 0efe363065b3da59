"""`compile`, and the rule that `trainable` counts as it was then."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, Iterator

from kerasbridge.runtime import device_settings

_compiled: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def flat_layers(model: Any) -> list:
    """The model and every layer inside it, each once, every parent before all of its children."""
    finished: list = []
    seen: set[int] = set()

    def visit(layer: Any) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        for child in _held(vars(layer), depth=3):
            visit(child)
        finished.append(layer)

    visit(model)
    return finished[::-1]


def _held(value: Any, depth: int) -> Iterator[Any]:
    """The layers in an attribute, or in lists and dicts there, as Keras itself finds sublayers."""
    import keras

    if isinstance(value, keras.layers.Layer):
        yield value
    elif depth and isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _held(part, depth - 1)


def compile(model: Any, **arguments: Any) -> None:
    """Call `model.compile(**arguments)` and remember which layers were trainable.

    Where `jit_compile` isn't given (or is "auto"), the setting `xla` of
    `kerasbridge.runtime.device_settings` decides, if somebody has made it.

    A later change of a layer's `trainable` doesn't reach `fit` until the model is compiled again,
    as the documentation of Keras says.
    """
    xla = device_settings.wishes.xla
    if xla is not None and arguments.get("jit_compile", "auto") == "auto":
        arguments["jit_compile"] = xla
    model.compile(**arguments)
    remember(model)


def remember(model: Any) -> None:
    """Take the present `trainable` flags of all layers as those of the compiled model."""
    _compiled[model] = weakref.WeakKeyDictionary(
        {layer: bool(layer.trainable) for layer in flat_layers(model)}
    )


@contextlib.contextmanager
def as_compiled(model: Any) -> Iterator[bool]:
    """Within the block, `trainable` flags are those of `compile()`; afterwards those of before.

    Yields whether any flag had to be changed. A model that `compile` of this module never saw, and
    layers added since, keep their flags.
    """
    known = _compiled.get(model)
    layers = flat_layers(model) if known is not None else []
    before = [(layer, bool(layer.trainable)) for layer in layers]
    changed = any(known.get(layer, flag) != flag for layer, flag in before)
    if not changed:
        yield False
        return
    try:
        # parents first: setting one overwrites its children, which then get their own
        for layer, flag in before:
            layer.trainable = known.get(layer, flag)
        yield True
    finally:
        for layer, flag in before:
            layer.trainable = flag


def overrides(model: Any, name: str) -> bool:
    """Whether the model, or a class of it outside Keras, defines `name` anew."""
    if name in vars(model):
        return True
    for cls in type(model).__mro__:
        if name in vars(cls):
            return cls.__module__.split(".")[0] != "keras"
    return False
