"""Weights as TensorFlow checkpoints: `<path>.index` and `<path>.data-...`, for code that has such files.

A checkpoint holds the graph of the model's parts, and the optimizer's state where there is one. That state
is loaded into an optimizer that keeps arrays of the same number and shapes; with any other the weights are loaded alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from typing import Any, Iterator, Optional, Union

import numpy as np

from kerasbridge.errors import FileError
from kerasbridge.files import recover, replacing_files
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.saving.door import NOT_NUMBERS, ModelFileWarning, few, warn_of
from kerasbridge.saving.kept_values import values_kept
from kerasbridge.saving.optimizer_state import other_optimizer
from kerasbridge.saving.report import WeightsReport, loaded_whole
from kerasbridge.saving.safety.texts import damaged
from kerasbridge.saving.saved_model import tensorflow
from kerasbridge.saving.sweeping import has_not_numbers

PathLike = Union[str, "os.PathLike[str]"]
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_OPTIMIZER = "model/optimizer/"


def save_weights_tf(model: Any, filepath: PathLike, overwrite: bool = True) -> str:
    """Weights, and the optimizer's state, as a TensorFlow checkpoint.

    Before Keras 3.3 an optimizer is no part of a checkpoint: a warning says so.
    """
    tf = tensorflow()
    name = os.path.expanduser(os.fspath(filepath))
    folder = os.path.dirname(os.path.abspath(name))
    # the index names the data: it comes last
    with replacing_files(folder, last=lambda file: file.endswith(".index")) as temporary:
        if os.path.exists(name + ".index") and not overwrite:
            raise FileError(
                f"'{name}' exists already.", hint="Say `overwrite = TRUE`.", argument="overwrite"
            )
        tf.train.Checkpoint(model=model).write(os.path.join(temporary, os.path.basename(name)))
    if keras_before(3, 3) and getattr(getattr(model, "optimizer", None), "built", False):
        warnings.warn(
            f"The checkpoint '{name}' holds the weights without the optimizer's state: Keras puts that into one "
            "since 3.3. save_model() and save_model_weights() keep it in their files.",
            ModelFileWarning,
            stacklevel=2,
        )
    return name


def load_weights_tf(model: Any, filepath: PathLike) -> WeightsReport:
    """Weights of a checkpoint of `save_weights_tf`, into a model of the same architecture.

    The optimizer's state comes along where it fits; a note says where it doesn't.

    Returns:
        What became of each layer.

    Raises:
        FileError: there is none, it is damaged (TensorFlow keeps checksums), or of another model; the model
            is as it was.
    """
    tf = tensorflow()
    name = os.path.expanduser(os.fspath(filepath))
    recover(os.path.dirname(os.path.abspath(name)))
    if not os.path.exists(name + ".index"):
        raise FileError(
            f"There is no checkpoint '{name}' (no file '{name}.index').", argument="filepath"
        )
    stored = _shapes(tf, name)
    _refuse_older(stored, name)
    note = _prepare_optimizer(model, stored, name)

    def read() -> None:
        status = tf.train.Checkpoint(model=model).read(name)
        status.assert_existing_objects_matched()
        status.expect_partial()  # else a line for each array of an optimizer that was left out

    with values_kept(model), _explained(name):
        with _apart(model, tf) if note is not None else contextlib.nullcontext():
            report = loaded_whole(model, read)
    if note:
        report.notes.append(warn_of(model, note))
    bad = [w.path for w in model.weights if has_not_numbers(np.asarray(w))]
    if bad:
        report.notes.append(warn_of(model, f"'{name}' {NOT_NUMBERS}: {few(bad)}."))
    return report


def _shapes(tf: Any, name: str) -> dict:
    """Name of each array in the checkpoint -> its shape."""
    try:
        return tf.train.load_checkpoint(name).get_variable_to_shape_map()
    except Exception as err:  # noqa: B902 - TensorFlow raises several classes for a file cut short
        raise _damaged(name, err) from err


def _damaged(name: str, err: BaseException) -> FileError:
    said = (str(err).splitlines() or [type(err).__name__])[0][:200]
    return damaged(f"'{name}'", "", said)


def _refuse_older(stored: dict, name: str) -> None:
    if any(key.startswith("layer_with_weights-") for key in stored):
        raise FileError(
            f"The checkpoint '{name}' was written by Keras 2, whose models have other parts.",
            hint="Load it there and save the weights as .h5 (`save_weights('w.h5')`), which is read here.",
            argument="filepath",
        )


def _prepare_optimizer(model: Any, stored: dict, name: str) -> Optional[str]:
    """Build the optimizer where the checkpoint has the state of one that has trained.

    Returns:
        None if the state belongs to the model's optimizer; else what to say of it ("" is nothing).
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    held = {
        key: tuple(shape)
        for key, shape in stored.items()
        if key.startswith(_OPTIMIZER) and "/_trainable_variables/" not in key
    }
    if not held:
        return ""
    if not optimizer.built and len(held) > len(optimizer.variables):
        optimizer.build(model.trainable_variables)
    wanted = [tuple(variable.shape) for variable in optimizer.variables]
    # those that an optimizer has under a name as well (its step, its rate) don't stand in this list
    numbered = {
        int(found[1]): shape
        for key, shape in held.items()
        if (found := re.fullmatch(rf"{_OPTIMIZER}_variables/(\d+){re.escape(_VALUE)}", key))
    }
    if sorted(held.values()) == sorted(wanted) and all(
        wanted[at] == shape for at, shape in numbered.items()
    ):
        return None
    return other_optimizer(name, held, optimizer)


@contextlib.contextmanager
def _apart(model: Any, tf: Any) -> Iterator[None]:
    """Keep the optimizer of a model from a checkpoint that is read.

    Something else takes what is meant for it: else TensorFlow would give it that later, when it is back.
    """
    optimizer = model.optimizer
    del model.optimizer
    model.optimizer = tf.train.Checkpoint()
    try:
        yield
    finally:
        del model.optimizer
        model.optimizer = optimizer


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """TensorFlow's errors as a `FileError` that tells damage from another model."""
    other = f"The checkpoint '{name}' does not hold the weights of this model"
    hint = "It must have been written from a model of the same layers."
    try:
        yield
    except AssertionError as err:
        raise FileError(f"{other}.", hint=hint, argument="filepath") from err
    except ValueError as err:
        found = re.search(r"shape (\(.*?\)) when .* shape (\(.*?\)) and name ([^\s:]+)", str(err))
        if found is None:
            raise _damaged(name, err) from err
        there, here, variable = found.groups()
        raise FileError(
            f"{other}: '{variable}' has the shape {here}, and {there} in the file.",
            hint=hint,
            argument="filepath",
        ) from err
    except Exception as err:  # noqa: B902 - TensorFlow raises an IndexError for a file cut short
        raise _damaged(name, err) from err
