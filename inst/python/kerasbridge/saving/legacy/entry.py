"""The ways in: a file, or the tree of a configuration."""

from __future__ import annotations

import os
import zipfile
from typing import Any, Iterable, Optional

from kerasbridge.errors import FileError
from kerasbridge.saving.legacy import compiling, graph, reading, slots, tree, weights
from kerasbridge.saving.legacy.context import Context


def is_older_tree(config: Any) -> bool:
    """Whether the tree of a configuration (parsed JSON) was written by Keras 1 or 2.

    Keras 2 wrote its version beside the configuration, or `batch_input_shape` into it; Keras 3 writes
    neither.
    """
    if not isinstance(config, dict):
        return False
    version = config.get("keras_version")
    if version is not None:
        return (reading.major(str(version)) or 0) < 3
    return _mentions(config.get("config"), "batch_input_shape")


def _mentions(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_mentions(v, key) for v in value.values())
    if isinstance(value, list):
        return any(_mentions(v, key) for v in value)
    return False


def model_from_tree(
    config: dict,
    custom_objects: Optional[dict[str, Any]] = None,
    allow: Iterable[str] = (),
    source: Optional[str] = None,
    version: Optional[str] = None,
) -> Any:
    """A model, with new weights, from the tree of an old configuration.

    Raises:
        UnsupportedError: a part has no counterpart today; names version, layer and ways on.
        UnsafeFileError: it holds code that `allow` doesn't permit.
    """
    ctx = Context(version or config.get("keras_version"), custom_objects, allow, source)
    return _build(config, ctx)


def _build(config: dict, ctx: Context) -> Any:
    if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
        raise ctx.refusal("it does not describe a model.")
    ctx.tree = config
    model = graph.model_from(config, ctx)
    graph.restore_trainable(model, config, ctx)
    return model


def read(
    path: str,
    custom_objects: Optional[dict[str, Any]] = None,
    compile: bool = True,
    allow: Iterable[str] = (),
) -> Any:
    """The whole model of an `.h5` or `.keras` file that Keras 1 or 2 wrote.

    Args:
        path: the file.
        custom_objects: name -> class or function; a Lambda's function may stand under the layer's
            name.
        compile: restore loss, metrics and the optimizer with its state.
        allow: "lambda" permits byte code in the file to run.

    Raises:
        FileError: the file is damaged, or holds weights only.
        UnsupportedError: a part has no counterpart today; names version, layer and ways on.
        UnsafeFileError: it holds code that `allow` doesn't permit.
    """
    name = os.fspath(path)
    zipped = zipfile.is_zipfile(name)
    stored = reading.read_keras(name) if zipped else reading.read_h5(name)
    if stored.config is None:
        raise FileError(
            f"'{name}' holds weights only, no model.",
            hint="Build the model, then load_model_weights(model, path).",
            argument="filepath",
        )
    ctx = Context(stored.version, custom_objects, allow, os.path.basename(name))
    model = _build(stored.config, ctx)
    if zipped:
        filled, state = tree.load(model, name, ctx)
        names: list = []
    else:
        filled = weights.load(model, stored, ctx)
        names, state = list(stored.optimizer[0]), list(stored.optimizer[1])
    if names and stored.training:
        slots.freeze_as_stored(model, filled, state, graph.without_flag(model, stored.config, ctx))
    if compile and stored.training:
        compiling.compile_model(model, stored.training, ctx)
        slots.restore(model, filled, names, state)
    return model
