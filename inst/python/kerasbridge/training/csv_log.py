"""`keras.callbacks.CSVLogger` whose log always consists of whole lines."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from typing import Any, Optional

import keras
import numpy as np

from kerasbridge.files import check_target, replacing
from kerasbridge.files.folders import flush
from kerasbridge.files.single import explained


class CSVLogger(keras.callbacks.CSVLogger):
    """Writes a line for each epoch; arguments and content as in Keras.

    An older log is replaced when the first epoch has ended, not before. Each later line is written in
    one piece and flushed to disk; of a line that a killed process or a full disk cut short nothing
    stays.
    """

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self.filename = os.path.expanduser(os.fspath(self.filename))
        self._target = check_target(self.filename, overwrite=True, argument="filename")
        self.keys = None
        self._begun = False

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        logs = logs or {}
        old = ""
        if not self._begun and self.append:
            old = self._whole_lines()
        if self.keys is None:
            self.keys = self._columns(logs)
        row = [epoch, *(_text(logs.get(key, "NA")) for key in self.keys)]
        if self._begun:
            self._add(self._line(row))
            return
        head = "" if old else self._line(["epoch", *self.keys])
        with replacing(self._target, argument="filename") as temporary:
            with open(temporary, "w", encoding="utf-8", newline="") as file:
                file.write(old + head + self._line(row))
        self._begun = True

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        self.keys = None

    def _columns(self, logs: dict) -> list:
        keys = sorted(logs)
        if keys and not any(key.startswith("val_") for key in keys):
            keys += [f"val_{key}" for key in keys]
        return keys

    def _line(self, values: list) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self.sep).writerow(values)
        return text.getvalue()

    def _whole_lines(self) -> str:
        try:
            with open(self._target, encoding="utf-8", newline="") as file:
                text = file.read()
        except FileNotFoundError:
            return ""
        return text[: text.rfind("\n") + 1]

    def _add(self, line: str) -> None:
        with explained(self._target.parent, "filename"):
            with open(self._target, "ab", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                content = line.encode("utf-8")
                try:
                    if file.write(content) != len(content):
                        # the rest doesn't fit: this raises the system's own error
                        file.write(content)
                except OSError:
                    os.truncate(self._target, size)
                    raise
            flush(self._target)


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable) and not (isinstance(value, np.ndarray) and value.ndim == 0):
        return f'"[{", ".join(map(str, value))}]"'
    return value
