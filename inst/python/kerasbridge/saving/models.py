"""Whole models and weights through Keras' own formats."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import Any, Iterator, Optional, Union

import keras

from kerasbridge import layers
from kerasbridge.errors import ArgumentError, FileError, UnsupportedError
from kerasbridge.files import check_room, replacing
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.saving.arguments import arguments_kept
from kerasbridge.saving.contents import MAGIC, check_source
from kerasbridge.saving.door import Door, few, warn_of
from kerasbridge.saving.modules import with_modules, write_modules
from kerasbridge.saving.nested import built_once, with_built_once
from kerasbridge.saving.older_weights import widen_bfloat16
from kerasbridge.saving.safety import config
from kerasbridge.saving.safety.hdf5 import BFLOAT16
from kerasbridge.saving.sizes import stored_size
from kerasbridge.saving.summing import summed_meanwhile
from kerasbridge.saving.vocabularies import vocabularies_kept, without_words
from kerasbridge.saving.writing import (
    add_manifest,
    settings_copied,
    settings_kept,
    weights_named_apart,
)

PathLike = Union[str, "os.PathLike[str]"]
MODEL_ENDINGS = (".keras", ".h5", ".hdf5")


def check_ending(path: PathLike, endings: tuple) -> str:
    name = os.fspath(path)
    if not name.endswith(endings):
        raise FileError(
            f"'{os.path.basename(name)}' does not end in {' or '.join(endings)}.",
            hint=f"The ending chooses the format; for instance '{os.path.splitext(name)[0]}{endings[0]}'."
            + (" A SavedModel folder: save_model_tf()." if endings == MODEL_ENDINGS else ""),
            argument="filepath",
        )
    return name


def _format(name: str, format: Optional[str]) -> str:
    """The ending that chooses the format of a whole model: the file's own, or that of a format by name."""
    if format is None:
        check_ending(name, MODEL_ENDINGS)
        return ".keras" if name.endswith(".keras") else ".h5"
    if format in ("tf", "saved_model", "tf_saved_model"):
        raise ArgumentError(
            "SavedModel folders have functions of their own.",
            hint="save_model_tf() for one that trains on, export_savedmodel() for one that serves.",
            argument="format",
        )
    ending = {"keras": ".keras", "h5": ".h5", "hdf5": ".h5"}.get(format)
    if ending is None:
        raise ArgumentError(
            f"`format` is '{format}'; it may be 'keras' or 'h5'.", argument="format"
        )
    if name.endswith(MODEL_ENDINGS) and name.endswith(".keras") != (ending == ".keras"):
        raise ArgumentError(
            f"`format` is '{format}', and the name '{os.path.basename(name)}' says another: plain Keras goes by "
            "the name.",
            hint=f"Name the file '{os.path.splitext(name)[0]}{ending}', or leave `format` out.",
            argument="format",
        )
    return ending


def save_model(
    model,
    filepath: PathLike,
    overwrite: bool = False,
    include_optimizer: bool = True,
    format: Optional[str] = None,
):
    """Save architecture, weights, compile settings and optimizer state.

    Args:
        model: a Keras model.
        filepath: ends in `.keras` (zip, the better choice), `.h5` or `.hdf5`.
        overwrite: replace an existing file.
        include_optimizer: False leaves the optimizer's state out.
        format: "keras" or "h5", for a name with another ending; Keras itself reads a file by its ending alone.

    Returns:
        The path, as text.

    Raises:
        ArgumentError: the format is none, or contradicts the ending.
        FileError: wrong ending, missing folder, existing file, full disk.
        UnsupportedError: an `.h5` file has no place for something that the model has.
    """
    name = os.path.expanduser(os.fspath(filepath))
    ending = _format(name, format)
    scaled = hasattr(getattr(model, "optimizer", None), "inner_optimizer")
    if ending == ".h5" and include_optimizer and scaled and keras_before(3, 3):
        raise UnsupportedError(
            "An optimizer that scales the loss can be kept in an .h5 file since Keras 3.3.",
            hint="Save as .keras, or with `include_optimizer = FALSE`.",
        )
    with replacing(name, overwrite, ending=ending) as temporary:
        check_room(os.path.dirname(temporary), stored_size(model, include_optimizer))
        with (
            arguments_kept(model),
            vocabularies_kept(model, ending),
            summed_meanwhile(model, ending) as known,
        ):
            if ending == ".keras":
                keras.saving.save_model(model, temporary, include_optimizer=include_optimizer)
            else:
                with (
                    _quiet_legacy_warning(),
                    settings_kept(model),
                    settings_copied(),
                    weights_named_apart(model),
                ):
                    keras.saving.save_model(
                        model, temporary, overwrite=True, include_optimizer=include_optimizer
                    )
                write_modules(temporary, model)
                if any(str(weight.dtype) == BFLOAT16 for weight in model.weights):
                    widen_bfloat16(temporary)
        add_manifest(model, temporary, known)
    return name


def _quiet_legacy_warning():
    """Keras logs advice against `.h5` and a remark on metrics not built yet: nothing to act on."""
    import contextlib
    import logging

    @contextlib.contextmanager
    def quiet():
        logger = logging.getLogger("absl")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)

    return quiet()


def load_model(
    filepath: PathLike,
    custom_objects: Optional[dict[str, Any]] = None,
    compile: bool = True,
    safe_mode: bool = True,
    allow: Any = (),
    max_size: Optional[int] = None,
    max_layers: Optional[int] = None,
):
    """Load a whole model.

    The file is looked at as a whole before anything is built of it: see `saving/safety/`.

    Args:
        filepath: a file that `save_model` or Keras wrote, or the folder of a SavedModel, which loads for
            inference.
        custom_objects: name -> class or function, for what isn't part of Keras.
        compile: restore loss, metrics and optimizer.
        safe_mode: False allows all that `allow` can allow.
        allow: what is permitted although it is not safe, one or more of "lambda" (Python byte code),
            "pickle" (TorchModuleWrapper), "saved_model" (TFSMLayer; operations of a SavedModel that
            reach files, the network or Python), "vocabulary" (a vocabulary read from a file of this
            computer), "changed" (parts that don't fit their checksum), "python_code" (source of custom
            classes and functions that the file holds and the session lacks runs).
        max_size: bytes that the content and the model may have. By default 256 MiB, for larger files 20
            times their size, and for the model 64 MiB beyond five times the stored weights.
        max_layers: number of layers from which on a model is refused; 10,000 by default.

    Raises:
        FileError: the file is missing, empty, damaged, not a model, or needs classes that are missing.
        UnsafeFileError: it would run code, read other files, or is dishonest about its size.
    """
    name = check_source(filepath)
    allow = allow if safe_mode else config.ALLOW
    if os.path.isfile(os.path.join(name, "saved_model.pb")):
        from kerasbridge.saving.saved_model import load_model_tf

        return load_model_tf(name, custom_objects, compile, allow)
    layers.register()
    door = Door(
        name,
        custom_objects=custom_objects,
        allow=allow,
        max_size=max_size,
        max_layers=max_layers,
        later=True,
    )
    if door.of_keras_2:
        from kerasbridge.saving import legacy

        door.compare()
        door.check_older_model(compile)
        with door.building(), _quiet_legacy_warning():
            model = legacy.read(
                name, custom_objects=door.custom_objects, compile=compile, allow=door.allow
            )
        return door.finish(model)
    door.check_whole_model(compile)
    older = door.contents.kind == "h5"
    with (
        door.building(),
        _quiet_legacy_warning(),
        named(name, ".h5" if older else ".keras") as path,
    ):
        model = (_load_h5 if older else _load_keras)(path, door, compile)
    return door.finish(model)


def _load_keras(path: str, door: Door, compile: bool):
    with with_built_once(path) as path:
        return keras.saving.load_model(
            path, custom_objects=door.objects(), compile=compile, safe_mode=door.safe_mode
        )


def _load_h5(path: str, door: Door, compile: bool):
    """The model of an `.h5` file of Keras 3, built as that of a `.keras` file is: see `modules.py`."""
    model = keras.saving.deserialize_keras_object(
        built_once(with_modules(door.contents.config, plain=True)),
        custom_objects=door.objects(),
        safe_mode=door.safe_mode,
    )
    if not model.built and door.contents.datasets:
        raise FileError(
            f"{door.source} does not say from which shapes its model, of the class "
            f"'{type(model).__name__}', is built: plain Keras leaves them out of .h5 files.",
            hint="Make the model, call it once on data, then `load_model_weights()`; or save it as .keras.",
            argument="filepath",
        )
    door.compare()  # not before: the first values of new layers are drawn on all cores
    model.load_weights(path)
    lacking = without_words(model)
    if lacking:
        warn_of(
            model,
            f"{door.source} holds no vocabulary of {few(lacking)}: plain Keras writes into .h5 files none that "
            "was learnt by adapt(). Use set_vocabulary(), or a .keras file.",
        )
    if compile and door.contents.training:
        _compile_h5(model, path, door)
    return model


def _compile_h5(model, path: str, door: Door) -> None:
    """Compile a model of an `.h5` file, which holds what the user typed: "mse", "ce", "acc".

    Keras' own reader of these files knows none of the short names.
    """
    from kerasbridge.saving.legacy.compiling import compile_model
    from kerasbridge.saving.legacy.context import Context
    from kerasbridge.saving.optimizer_state import restore_from_h5

    version = door.contents.versions.get("keras_version")
    context = Context(version, door.objects(), door.allow, os.path.basename(door.contents.path))
    compile_model(model, door.contents.training, context)
    restore_from_h5(model, path)


@contextlib.contextmanager
def named(path: str, ending: str) -> Iterator[str]:
    """A path to the same content that ends so that Keras takes the right reader."""
    if path.endswith(ending) and (ending != ".h5" or not path.endswith(".weights.h5")):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder:
        other = os.path.join(folder, "content" + ending)
        try:
            os.symlink(os.path.abspath(path), other)
        except OSError:  # no right to make links
            shutil.copyfile(path, other)
        yield other


def model_to_bytes(model, include_optimizer: bool = True) -> bytes:
    """The content of the `.keras` file of a model."""
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder:
        path = os.path.join(folder, "model.keras")
        with arguments_kept(model), vocabularies_kept(model, ".keras"):
            keras.saving.save_model(model, path, include_optimizer=include_optimizer)
        add_manifest(model, path)
        with open(path, "rb") as file:
            return file.read()


def model_from_bytes(
    content: bytes,
    custom_objects: Optional[dict[str, Any]] = None,
    compile: bool = True,
    allow: Any = (),
):
    """The model that `model_to_bytes` wrote (or the content of an `.h5` file).

    Args:
        allow: as for `load_model`.

    Raises:
        FileError: the bytes are not a model.
        UnsafeFileError: see `load_model`.
    """
    content = bytes(content)
    ending = {"zip": ".keras", "hdf5": ".h5"}.get(MAGIC.get(content[:4], ""))
    if ending is None:
        raise FileError("The bytes are not a model.", argument="model")
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder:
        path = os.path.join(folder, "model" + ending)
        with open(path, "wb") as file:
            file.write(content)
        return load_model(path, custom_objects=custom_objects, compile=compile, allow=allow)
