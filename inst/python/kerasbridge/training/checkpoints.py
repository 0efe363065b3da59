"""Keras' callbacks that write models, whole or not at all.

Same names, same arguments, same files. What differs: a file is written beside its target and renamed;
the weights and the epoch of a backup change together; only files of the callback's own are removed.
"""

from __future__ import annotations

import glob
import json
import os
import re
import string
from typing import Any, Optional, Union

import keras

from kerasbridge.errors import ArgumentError, FileError
from kerasbridge.files import leftovers, recover, replacing_files
from kerasbridge.saving import save_model, save_weights

PathLike = Union[str, "os.PathLike[str]"]
MODEL_ENDINGS = (".keras", ".h5", ".hdf5")
WEIGHT_ENDINGS = (".weights.h5", ".h5", ".hdf5", ".safetensors")


def _template(filepath: PathLike, weights_only: bool) -> str:
    """The path with the ending that it needs, and `~` expanded.

    Raises:
        ArgumentError: it has an ending of another kind of file.
    """
    path = os.path.expanduser(os.fspath(filepath))
    endings = WEIGHT_ENDINGS if weights_only else MODEL_ENDINGS
    if path.endswith(endings) and (weights_only or not path.endswith(".weights.h5")):
        return path
    ending = os.path.splitext(path)[1]
    # the last point of "{loss:.2f}" begins no ending, nor does that of a number
    if not ending or not re.fullmatch(r"\.[A-Za-z_]\w*", ending):
        return path + endings[0]
    what = "weights alone" if weights_only else "a whole model"
    raise ArgumentError(
        f"'{os.path.basename(path)}' is not a name for a file of {what}.",
        hint=f"It must end in {', '.join(endings)}, or have no ending: '{endings[0]}' is added then.",
        argument="filepath",
    )


class _Durable:
    """A model whose `save` and `save_weights` write whole or not at all; all else is the model's."""

    def __init__(self, model: Any):
        object.__setattr__(self, "_of", model)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._of, name, value)

    def save(self, filepath: PathLike, overwrite: bool = True) -> None:
        save_model(self._of, filepath, overwrite=overwrite)

    def save_weights(self, filepath: PathLike, overwrite: bool = True) -> None:
        save_weights(self._of, filepath, overwrite=overwrite)


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):
    """`keras.callbacks.ModelCheckpoint`, whose files are whole or not there.

    Args:
        filepath: as in Keras; may hold `{epoch:02d}` and names of logged values. Without an ending it
            gets the right one. Weights alone may also go to `.h5` (the older layout) and
            `.safetensors`.
    """

    def __init__(
        self,
        filepath: PathLike,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Union[str, int] = "epoch",
        initial_value_threshold: Optional[float] = None,
    ):
        # Keras takes no other endings: it is shown one that it takes
        super().__init__(
            "model.weights.h5" if save_weights_only else "model.keras",
            monitor=monitor,
            verbose=verbose,
            save_best_only=save_best_only,
            save_weights_only=save_weights_only,
            mode=mode,
            save_freq=save_freq,
            initial_value_threshold=initial_value_threshold,
        )
        self.filepath = _template(filepath, save_weights_only)

    @property
    def model(self) -> Any:
        model = super().model
        return None if model is None else _Durable(model)

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        try:
            super().on_epoch_end(epoch, logs)
        except KeyError as err:
            _refuse_names(self.filepath, logs, err)

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        try:
            super().on_train_batch_end(batch, logs)
        except KeyError as err:
            _refuse_names(self.filepath, logs, err)


def _refuse_names(template: str, logs: Optional[dict], err: KeyError) -> None:
    known = {"epoch", "batch", *(logs or {})}
    missing = [name for name in _fields(template) if name not in known]
    if not missing:
        raise err
    raise ArgumentError(
        f"The path '{template}' names '{missing[0]}', which this training doesn't report.",
        hint=f"It reports: {', '.join(sorted(known))}.",
        argument="filepath",
    ) from err


def _fields(template: str) -> list:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]


class BestWeights(ModelCheckpoint):
    """Keeps the weights of the best epoch in memory.

    Args:
        monitor, mode, verbose, initial_value_threshold: as for `ModelCheckpoint`.
        restore: put them into the model when training ends.

    Attributes:
        weights: arrays as of `model.get_weights()`, None before the first epoch.
        best: the best value so far.
        best_epoch: its epoch, counted from 1.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        verbose: int = 0,
        mode: str = "auto",
        initial_value_threshold: Optional[float] = None,
        restore: bool = False,
    ):
        super().__init__(
            "memory.weights.h5",
            monitor=monitor,
            verbose=verbose,
            mode=mode,
            initial_value_threshold=initial_value_threshold,
            save_best_only=True,
            save_weights_only=True,
        )
        self.restore = restore
        self.weights: Optional[list] = None
        self.best_epoch: Optional[int] = None
        self._epoch = 0

    @property
    def model(self) -> Any:
        durable = super().model
        return None if durable is None else _InMemory(durable._of, self)

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self.weights = self.best_epoch = None

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        self._epoch = epoch + 1
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        if self.restore and self.weights is not None:
            self.model.set_weights(self.weights)


class _InMemory(_Durable):
    def __init__(self, model: Any, keeper: BestWeights):
        super().__init__(model)
        object.__setattr__(self, "_keeper", keeper)

    def save_weights(self, filepath: PathLike, overwrite: bool = True) -> None:
        self._keeper.weights = self._of.get_weights()
        self._keeper.best_epoch = self._keeper._epoch


def best_weights(callback: Any) -> list:
    """The arrays that a `BestWeights` kept.

    Raises:
        ArgumentError: it is another callback, or no epoch has ended yet.
    """
    if not isinstance(callback, BestWeights):
        raise ArgumentError(
            f"A {type(callback).__name__} keeps no weights in memory.",
            hint="callback_best_weights() makes one that does.",
            argument="callback",
        )
    if callback.weights is None:
        raise ArgumentError(
            "No weights are kept yet: no epoch has ended, or none was better than the threshold.",
            argument="callback",
        )
    return list(callback.weights)


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """`keras.callbacks.BackupAndRestore`: weights and epoch change together, or not at all.

    The folder holds what Keras would put there. When training has ended only those files are
    removed, and the folder if it is empty then.
    """

    WEIGHTS, STATE = "latest.weights.h5", "training_metadata.json"

    double_checkpoint = False  # Keras before 3.7 doesn't know it

    def __init__(
        self,
        backup_dir: PathLike,
        save_freq: Union[str, int] = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        super().__init__(
            os.path.expanduser(os.fspath(backup_dir)),
            save_freq=save_freq,
            delete_checkpoint=delete_checkpoint,
        )
        self.double_checkpoint = double_checkpoint
        self._seen = self._epoch = 0
        self._last: Optional[int] = None

    def _path(self, name: str, previous: bool = False) -> str:
        return os.path.join(self.backup_dir, name + (".bkp" if previous else ""))

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self._seen, self._last = 0, None
        if not self.model.built:
            raise ArgumentError(
                "A model that has no input shape yet can't be backed up and restored.",
                hint="Say the shape when it is made, or call it on data once before fit().",
                argument="callbacks",
            )
        if not os.path.isdir(self.backup_dir):
            return
        recover(self.backup_dir)
        if not os.path.exists(self._path(self.WEIGHTS)):
            return
        try:
            self._restore()
        except (OSError, ValueError, KeyError, TypeError) as err:
            if not os.path.exists(self._path(self.WEIGHTS, True)):
                raise FileError(
                    f"The backup in '{self.backup_dir}' can't be used: {str(err).splitlines()[0]}",
                    hint="It may be of another model, or damaged. Remove the folder to start anew.",
                    argument="backup_dir",
                ) from err
            self._restore(previous=True)

    def _restore(self, previous: bool = False) -> None:
        from kerasbridge.saving import load_weights

        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        epoch = 0
        if os.path.exists(self._path(self.STATE, previous)):
            with open(self._path(self.STATE, previous), encoding="utf-8") as file:
                epoch = int(json.load(file)["epoch"])
        load_weights(self.model, self._path(self.WEIGHTS, previous))
        self._epoch = epoch
        # the agreement between Keras' loops and this callback on where to go on
        self.model._initial_epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        self._epoch = epoch
        self.model._initial_epoch = None  # it is for this training only

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        self._epoch, self._last = epoch + 1, None
        if self.save_freq == "epoch":
            self._backup(0)

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        if self.save_freq == "epoch" or not self.save_freq:
            return
        new = self._last is None or batch <= self._last
        self._seen += batch + 1 if new else batch - self._last
        self._last = batch
        if self._seen >= self.save_freq:
            self._seen = 0
            self._backup(batch)

    def _backup(self, batch: int) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        with replacing_files(self.backup_dir, argument="backup_dir") as fresh:
            if self.double_checkpoint:
                for name in (self.WEIGHTS, self.STATE):
                    if os.path.exists(self._path(name)):
                        _copy(self._path(name), os.path.join(fresh, name + ".bkp"))
            save_weights(self.model, os.path.join(fresh, self.WEIGHTS))
            with open(os.path.join(fresh, self.STATE), "w", encoding="utf-8") as file:
                json.dump({"epoch": self._epoch, "batch": batch}, file)

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        self.model._initial_epoch = None
        if not self.delete_checkpoint or not os.path.isdir(self.backup_dir):
            return
        # the epoch goes first: weights alone would be taken for a training that hasn't begun
        for name in (self.WEIGHTS, self.STATE):
            for previous in (True, False):
                leftovers.remove(self._path(name, previous))
        try:
            os.rmdir(self.backup_dir)
        except OSError:  # something else is kept there
            pass


def _copy(source: str, goal: str) -> None:
    # a second name for the same content costs nothing; the first name is given to another file soon
    try:
        os.link(source, goal)
    except OSError:
        import shutil

        shutil.copyfile(source, goal)


def latest_checkpoint(filepath: PathLike) -> Optional[dict]:
    """The newest file that a `ModelCheckpoint` of this path has written.

    Args:
        filepath: the path that was given to the callback, `{epoch}` and the like included, or a
            folder: then any model or weights in it.

    Returns:
        None, or a dict: `path`, and `epoch` (counted from 1; None if the name doesn't say it).

    Raises:
        FileError: the folder doesn't exist.
    """
    path = os.path.expanduser(os.fspath(filepath))
    if os.path.isdir(path):
        folder, pattern = path, re.compile(r"[^.].*(\.keras|\.h5|\.hdf5|\.safetensors)", re.S)
        names = {entry.path: entry.name for entry in os.scandir(folder) if entry.is_file()}
    else:
        if not _known_ending(path):
            found = [latest_checkpoint(path + ending) for ending in (".keras", ".weights.h5")]
            return max((f for f in found if f), key=lambda f: _age(f["path"]), default=None)
        names = {found: found for found in glob.glob(_as_glob(path))}
        pattern = _as_pattern(path)
        folder = os.path.dirname(path.split("{")[0]) or os.curdir
        if not os.path.isdir(folder):
            raise FileError(f"The folder '{folder}' does not exist.", argument="filepath")
    best, epoch = None, None
    for candidate, name in names.items():
        match = pattern.fullmatch(name)
        if match is None:
            continue
        number = match.groupdict().get("epoch")
        key = (_age(candidate), int(number) if number else 0, candidate)
        if best is None or key > best:
            best, epoch = key, int(number) if number else None
    return None if best is None else {"path": best[2], "epoch": epoch}


def _known_ending(path: str) -> bool:
    return path.endswith((*MODEL_ENDINGS, *WEIGHT_ENDINGS))


def _age(path: str) -> int:
    return os.stat(path).st_mtime_ns


def _as_glob(template: str) -> str:
    parts = string.Formatter().parse(template)
    return "".join(glob.escape(text) + ("*" if name else "") for text, name, _, _ in parts)


def _as_pattern(template: str) -> re.Pattern:
    out, seen = "", set()
    for text, name, _, _ in string.Formatter().parse(template):
        out += re.escape(text)
        if name == "epoch" and name not in seen:
            out += r"(?P<epoch>\d+)"
        elif name:
            out += r"[^/\\]+?"
        seen.add(name)
    return re.compile(out, re.S)


def durable(callback: Any) -> Any:
    """Make one of Keras' own callbacks write whole files; any other is left as it is.

    The object stays the same and stays of its class: its class becomes the one of this module that is
    derived from it. Classes of other people that are derived from Keras' are not touched.
    """
    from kerasbridge.training.csv_log import CSVLogger

    kind = type(callback)
    if kind is keras.callbacks.ModelCheckpoint:
        callback.__class__ = ModelCheckpoint
        callback.filepath = _template(callback.filepath, callback.save_weights_only)
    elif kind is keras.callbacks.BackupAndRestore:
        callback._seen = callback._epoch = 0
        callback._last = None
        callback.__class__ = BackupAndRestore
    elif kind is keras.callbacks.CSVLogger:
        callback.__class__ = CSVLogger
    return callback
