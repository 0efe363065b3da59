"""Whole models and weights through Keras' own formats."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import Any, Optional, Union

import keras

from kerasbridge import layers
from kerasbridge.errors import ArgumentError, FileError, UnsupportedError
from kerasbridge.files import check_room, replacing
from kerasbridge.saving.report import WeightsReport
from kerasbridge.saving.sizes import stored_size

PathLike = Union[str, "os.PathLike[str]"]
MODEL_ENDINGS = (".keras", ".h5", ".hdf5")


def _check_ending(path: PathLike, endings: tuple) -> str:
    name = os.fspath(path)
    if not name.endswith(endings):
        raise FileError(
            f"'{os.path.basename(name)}' does not end in {' or '.join(endings)}.",
            hint=f"The ending chooses the format; for instance '{os.path.splitext(name)[0]}{endings[0]}'.",
            argument="filepath",
        )
    return name


def _check_source(path: PathLike) -> str:
    name = os.path.expanduser(os.fspath(path))
    if not os.path.exists(name):
        raise FileError(
            f"There is no file '{name}'.",
            hint=f"The current folder is '{os.getcwd()}'.",
            argument="filepath",
        )
    if os.path.isfile(name) and os.path.getsize(name) == 0:
        raise FileError(f"'{name}' is empty: not a model.", argument="filepath")
    return name


_MAGIC = {b"PK\x03\x04": ".keras", b"\x89HDF": ".h5"}


def _sniff(path: str) -> Optional[str]:
    if os.path.isdir(path):
        return None
    with open(path, "rb") as file:
        return _MAGIC.get(file.read(4))


def save_model(model, filepath: PathLike, overwrite: bool = False, include_optimizer: bool = True):
    """Save architecture, weights, compile settings and optimizer state.

    Args:
        model: a Keras model.
        filepath: ends in `.keras` (zip, the better choice), `.h5` or `.hdf5`.
        overwrite: replace an existing file.
        include_optimizer: False leaves the optimizer's state out.

    Returns:
        The path, as text.

    Raises:
        FileError: wrong ending, missing folder, existing file, full disk.
    """
    name = _check_ending(os.path.expanduser(os.fspath(filepath)), MODEL_ENDINGS)
    with replacing(name, overwrite) as temporary:
        check_room(os.path.dirname(temporary), stored_size(model, include_optimizer))
        if name.endswith(".keras"):
            keras.saving.save_model(model, temporary, include_optimizer=include_optimizer)
        else:
            with _quiet_legacy_warning():
                keras.saving.save_model(
                    model, temporary, overwrite=True, include_optimizer=include_optimizer
                )
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
):
    """Load a whole model.

    Args:
        filepath: a file that `save_model` or Keras wrote.
        custom_objects: name -> class or function, for what isn't part of Keras.
        compile: restore loss, metrics and optimizer.
        safe_mode: refuse code stored in the file.

    Raises:
        FileError: the file is missing, empty, damaged, or not a model.
    """
    name = _check_source(filepath)
    kind = _sniff(name)
    if kind is None and not os.path.isdir(name):
        raise FileError(
            f"'{name}' is not a model file.",
            hint="A model file is a .keras (zip) or an .h5 (HDF5) file.",
            argument="filepath",
        )
    import zipfile

    if kind == ".keras" and not zipfile.is_zipfile(name):
        raise FileError(
            f"'{name}' is damaged or truncated ({os.path.getsize(name):,} bytes).",
            hint="Save or copy it again.",
            argument="filepath",
        )
    if kind == ".h5":
        import h5py

        try:
            with h5py.File(name, "r"):
                pass
        except OSError as err:
            raise FileError(
                f"'{name}' is damaged or truncated ({os.path.getsize(name):,} bytes).",
                hint="Save or copy it again.",
                argument="filepath",
            ) from err
    layers.register()
    objects = dict(_legacy_names() if kind == ".h5" else {}, **(custom_objects or {}))
    with _quiet_legacy_warning():
        model = keras.saving.load_model(
            name, custom_objects=objects, compile=compile, safe_mode=safe_mode
        )
    if kind == ".h5" and compile:
        from kerasbridge.saving.optimizer_state import restore_from_h5

        restore_from_h5(model, name)
    return model


# short name -> the loss's own name; `.h5` files hold what the user typed
_LOSS_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
}


def _legacy_names() -> dict:
    """Short names that `.h5` files hold for losses and metrics, which today's loader can't resolve."""
    names = {}
    for short, full in _LOSS_ALIASES.items():
        function = getattr(keras.losses, full, None)
        if function is not None:
            names[short] = names[short.upper()] = function
    return names


def save_weights(
    model, filepath: PathLike, overwrite: bool = False, max_shard_size: Optional[float] = None
):
    """Save the weights alone.

    Args:
        filepath: the ending chooses: `.weights.h5` (Keras 3's layout, with the optimizer's state),
            `.h5` or `.hdf5` (the older layout, which Keras 2 reads too), `.safetensors`, or
            `.weights.json` with `max_shard_size`.
        max_shard_size: write several files of at most so many GB, and a list of them.

    Raises:
        FileError: wrong ending, missing folder, existing file, full disk.
    """
    endings = (".weights.h5", ".h5", ".hdf5", ".safetensors", ".weights.json")
    name = _check_ending(os.path.expanduser(os.fspath(filepath)), endings)
    if name.endswith(".weights.json") or max_shard_size is not None:
        if not name.endswith(".weights.json"):
            raise FileError(
                "Weights in several files have a list that ends in .weights.json.",
                hint=f"For instance '{os.path.splitext(name.replace('.weights', ''))[0]}.weights.json'.",
                argument="filepath",
            )
        from kerasbridge.saving.sharded import write_sharded

        write_sharded(model, name, overwrite, 5.0 if max_shard_size is None else max_shard_size)
    elif name.endswith(".safetensors"):
        from kerasbridge.saving.safetensors_file import write_safetensors

        write_safetensors(model, name, overwrite)
    elif not name.endswith(".weights.h5"):
        from kerasbridge.saving.older_weights import write_older

        write_older(model, name, overwrite)
    else:
        with replacing(name, overwrite) as temporary:
            check_room(os.path.dirname(temporary), stored_size(model))
            model.save_weights(temporary)
    return name


def load_weights(
    model, filepath: PathLike, skip_mismatch: bool = False, by_name: bool = False
) -> WeightsReport:
    """Load weights that `save_weights` or any Keras wrote; the layout is told by the content.

    Args:
        filepath: weights, or a whole model whose weights are taken (`.keras`, `.h5`).
        skip_mismatch: leave a layer alone whose weights have another shape.
        by_name: load only layers of the same name, into a model that may be built otherwise.

    Returns:
        What became of each layer, a `WeightsReport`.

    Raises:
        FileError: the file is missing, empty, damaged, or its weights don't fit.
    """
    from kerasbridge.saving import named_weights

    name = _check_source(filepath)
    if not model.built:
        raise ArgumentError(
            "The model has no weights yet, so none can be loaded.",
            hint="Say the shape of its input when it is made, or call it on data once.",
            argument="object",
        )
    kind = _sniff(name)
    if kind is None and os.path.isfile(name):
        from kerasbridge.saving.safetensors_file import is_safetensors, load_safetensors

        if name.endswith(".weights.json"):
            return _load_sharded(model, name, skip_mismatch, by_name)
        if is_safetensors(name):
            return load_safetensors(model, name, skip_mismatch, by_name)
    if kind is None:
        raise FileError(f"'{name}' is not a file of weights.", argument="filepath")
    if kind == ".h5":
        from kerasbridge.saving.older_weights import is_older_layout, read_lists

        if is_older_layout(name):
            if by_name or skip_mismatch:
                with read_lists(name) as source:
                    return named_weights.load_lists(model, name, source, skip_mismatch, by_name)
            kind = ".older"
    if by_name or skip_mismatch:
        return named_weights.load_tree(model, name, skip_mismatch, by_name)
    if kind != ".older":
        named_weights.prepare_optimizer(model, name)
    ending = {".keras": ".keras", ".h5": ".weights.h5", ".older": ".h5"}[kind]
    with _named(name, ending) as path:
        return named_weights.loaded_whole(model, lambda: model.load_weights(path))


def _load_sharded(model, name: str, skip_mismatch: bool, by_name: bool) -> WeightsReport:
    from kerasbridge.saving.named_weights import loaded_whole
    from kerasbridge.saving.sharded import load_sharded

    if by_name or skip_mismatch:
        raise UnsupportedError(
            "Weights in several files are loaded whole, into the model they came from.",
            hint="Load them there, save them to one file, and load that by name.",
            argument="by_name" if by_name else "skip_mismatch",
        )
    return loaded_whole(model, lambda: load_sharded(model, name))


@contextlib.contextmanager
def _named(path: str, ending: str):
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
        keras.saving.save_model(model, path, include_optimizer=include_optimizer)
        with open(path, "rb") as file:
            return file.read()


def model_from_bytes(
    content: bytes, custom_objects: Optional[dict[str, Any]] = None, compile: bool = True
):
    """The model that `model_to_bytes` wrote (or the content of an `.h5` file).

    Raises:
        FileError: the bytes are not a model.
    """
    content = bytes(content)
    ending = _MAGIC.get(content[:4])
    if ending is None:
        raise FileError("The bytes are not a model.", argument="model")
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder:
        path = os.path.join(folder, "model" + ending)
        with open(path, "wb") as file:
            file.write(content)
        return load_model(path, custom_objects=custom_objects, compile=compile)
