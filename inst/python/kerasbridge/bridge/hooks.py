"""Callbacks whose hooks are R functions: how they are called and what becomes of what they return."""

from __future__ import annotations

import functools
import numbers
import time
from typing import Any, Callable, Optional

import numpy as np

from kerasbridge.bridge.from_r import RCodeError, happened_in_hook

_EVERY_BATCH = ("batch_begin", "batch_end")
_COUNTED = ("epoch_begin", "epoch_end", *_EVERY_BATCH)  # their first argument is a number


def add_to_logs(logs: Any, returned: Any) -> None:
    """What `on_epoch_end` returned joins the logs of the epoch, if it is a dict of single numbers."""
    if not isinstance(logs, dict) or not isinstance(returned, dict):
        return
    found = {}
    for name, value in returned.items():
        if isinstance(value, (list, np.ndarray)) and np.size(value) == 1:
            value = np.asarray(value).reshape(()).item()
        if not isinstance(name, str) or not isinstance(value, numbers.Real):
            return
        found[name] = float(value)
    logs.update(found)


def hook(function: Callable, name: str, takes: Optional[int] = None) -> Callable:
    """A method of a callback around `function(self, ...)`.

    Keras gives some arguments by name; the R function may call them as it likes and gets as many as
    it takes, in order. The time that hooks of batches take is added up in `batch_seconds`.

    Args:
        name: name of the hook, such as "on_epoch_end".
        takes: number of arguments without self; None for all, as they come.
    """
    every_batch = name.endswith(_EVERY_BATCH)
    ends_epoch = name == "on_epoch_end"

    @functools.wraps(function)
    def method(self, *given, **further):
        if takes is not None:
            given, further = (*given, *further.values())[:takes], {}
        if not every_batch:
            returned = function(self, *given, **further)
            if ends_epoch and returned is not None:
                add_to_logs(given[1] if len(given) > 1 else further.get("logs"), returned)
            return returned
        started = time.perf_counter()
        try:
            return function(self, *given, **further)
        finally:
            _count(self, started)

    return method


def _count(callback: Any, started: float) -> None:
    taken = time.perf_counter() - started
    callback.__dict__["batch_seconds"] = callback.__dict__.get("batch_seconds", 0.0) + taken


def _plain(value: Any) -> Any:
    if type(value) is float:
        return value
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, np.generic):
        return value.item()  # a scalar of numpy crosses to R much more slowly than one of Python
    return value if isinstance(value, (numbers.Real, str)) else np.asarray(value)


def hook_list(functions: dict, takes: dict) -> Any:
    """A callback of plain functions, without `self`: the cheapest way, which matters for every batch.

    Args:
        functions: name of the hook -> function.
        takes: name of the hook -> how many arguments the function takes; -1 for all.
    """
    import keras

    def method(name: str, function: Callable) -> Callable:
        counted = name.endswith(_COUNTED)
        every_batch = name.endswith(_EVERY_BATCH)
        most = None if takes[name] < 0 else takes[name]

        def call(self, *given, **further):
            started = time.perf_counter()
            values = [*given, *further.values()]
            logs = values[-1] if values and isinstance(values[-1], dict) else None
            if counted and values:
                values[0] += 1
            if logs is not None:
                values[-1] = _plain(logs)
            try:
                returned = function(*values[:most])
            except RCodeError as error:
                happened_in_hook(error, f"the callback's `{name}()`", name, *given[:1] or (None,))
                raise
            finally:
                if every_batch:
                    _count(self, started)
            if name == "on_epoch_end" and returned is not None:
                add_to_logs(logs, returned)

        call.__name__ = name
        return call

    methods = {name: method(name, function) for name, function in functions.items()}
    return type(
        "HookList", (keras.callbacks.Callback,), {"__module__": "kerasbridge.R", **methods}
    )()
