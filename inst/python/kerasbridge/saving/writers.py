"""Keras' own writers of images, drawings and SavedModels, through `kerasbridge.files`: whole or not at all."""

from __future__ import annotations

import inspect
import os
from typing import Any

import keras

from kerasbridge.files import replacing, replacing_folder
from kerasbridge.runtime import structures
from kerasbridge.runtime.keras_version import keras_before


def save_img(path: Any, x: Any, **arguments: Any) -> None:
    """`keras.utils.save_img`; an older file stays until the new one is whole.

    Raises:
        FileError: the folder is missing or read-only, or the disk is full.
    """
    with replacing(path, argument="path") as temporary:
        keras.utils.save_img(temporary, x, **arguments)


def plot_model(model: Any, to_file: Any = "model.png", **arguments: Any) -> Any:
    """`keras.utils.plot_model`; an older file stays until the new one is whole.

    Raises:
        FileError: the folder is missing or read-only, or the disk is full.
        ImportError: pydot or graphviz is missing.
    """
    with replacing(to_file, argument="to_file") as temporary:
        shown = keras.utils.plot_model(model, to_file=temporary, **arguments)
        if not os.path.getsize(temporary):  # Keras in a notebook prints what is missing instead
            raise ImportError("`plot_model()` needs the Python package pydot, and graphviz.")
    return shown


def export_archive() -> Any:
    """A `keras.export.ExportArchive` whose `write_out` replaces an older SavedModel in one step.

    Raises (`write_out`):
        FileError: the parent folder is missing, or the target holds something else than a SavedModel.
    """
    archive = keras.export.ExportArchive()
    write = archive.write_out

    def write_out(filepath: Any, options: Any = None, verbose: bool = True) -> None:
        with replacing_folder(filepath) as temporary:
            # (Keras 3.0 always says what it wrote)
            said = {"verbose": verbose} if "verbose" in inspect.signature(write).parameters else {}
            write(temporary, options=options, **said)

    archive.write_out = write_out
    if keras_before(3, 8):
        add = archive.add_endpoint

        def add_endpoint(name: str, fn: Any, input_signature: Any = None, **more: Any) -> Any:
            return add(name, fn, input_signature=_tensorflow_signature(input_signature), **more)

        archive.add_endpoint = add_endpoint
    return archive


def _tensorflow_signature(signature: Any) -> Any:
    """TensorFlow's own description of inputs: Keras before 3.8 takes no other."""
    import tensorflow as tf

    def spec(given: Any) -> Any:
        if not isinstance(given, keras.InputSpec):
            return given
        return tf.TensorSpec(given.shape, given.dtype or keras.config.floatx())

    if signature is None:
        return None
    return structures.pack_like(signature, [spec(s) for s in structures.flatten(signature)])
