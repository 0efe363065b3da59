"""Whole models and weights through Keras' own formats."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

import keras

from kerasbridge import layers
from kerasbridge.errors import FileError
from kerasbridge.saving.atomic import replacing

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


def _legacy_names() -> dict:
    """Short names that `.h5` files hold for losses and metrics, which today's loader can't resolve."""
    losses = keras.losses
    names = {
        "mse": losses.mean_squared_error,
        "mae": losses.mean_absolute_error,
        "mape": losses.mean_absolute_percentage_error,
        "msle": losses.mean_squared_logarithmic_error,
        "kld": losses.kl_divergence,
    }
    return names


def save_weights(model, filepath: PathLike, overwrite: bool = False):
    """Save the weights alone, to a file ending in `.weights.h5`."""
    name = _check_ending(os.path.expanduser(os.fspath(filepath)), (".weights.h5",))
    with replacing(name, overwrite) as temporary:
        model.save_weights(temporary)
    return name


def load_weights(model, filepath: PathLike, skip_mismatch: bool = False):
    """Load weights that `save_weights` or Keras wrote into a model of the same architecture."""
    name = _check_source(filepath)
    model.load_weights(name, skip_mismatch=skip_mismatch)
    return model
