"""R functions as Python callables.

An R function may not raise through the program between R and Python, which keeps only an error's
text. So the function that R sends returns a `Signal` for whatever isn't a value, and the exception is
raised here, in Python, where its kind and its cause are kept.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Callable, Optional

from kerasbridge.bridge import holding
from kerasbridge.runtime import seen, threads, where


class RCodeError(Exception):
    """R code that Python called did not return; R holds the condition or jump under `key`."""

    def __init__(self, message: str, key: str):
        super().__init__(message)
        self.key = key


# keys of R errors that have not come back to R yet, newest last
_pending: list[str] = []


# key of an R error -> where it happened, as the innermost method or function around it says
_places: dict[str, str] = {}


def happened_in(error: RCodeError, place: str) -> None:
    """Note where an R error happened, unless a method further in has."""
    _places.setdefault(error.key, place + where.phrase())


def happened_in_hook(error: RCodeError, place: str, hook: str, given: Any) -> None:
    """The same for a hook of a callback, whose first argument `given` may be a number from 0."""
    what = hook.split("_")[-2]
    counted = what in ("epoch", "batch") and isinstance(given, int)
    epoch = where.epoch() if what == "batch" else ""
    _places.setdefault(error.key, place + epoch + (f", {what} {given + 1}" if counted else ""))


def place_of(key: Optional[str]) -> Optional[str]:
    """Where an R error happened, or None; asked once."""
    return _places.pop(key, None) if key is not None else None


def pending_r_key() -> Optional[str]:
    """The key of an R error that is on its way back to R, or None."""
    return _pending[-1] if _pending else None


def arrived() -> None:
    """An R error has come back to R."""
    _pending.clear()


class Signal:
    """What an R function returns instead of a value.

    Args:
        kind: "error" (an error, or a jump to a restart outside of the function) or "interrupt".
        message: the error's text.
        key: where R keeps the condition.
    """

    def __init__(self, kind: str, message: str = "", key: str = ""):
        self.kind, self.message, self.key = kind, message, key

    def go_on(self) -> None:
        """Raise what happened in R; never returns."""
        if self.kind == "interrupt":
            holding.answered_by_r()
            raise KeyboardInterrupt
        _pending.append(self.key)
        raise RCodeError(self.message, self.key)


def r_function(function: Callable, name: str, named: bool = False) -> Callable:
    """`function`, which calls R and may return a `Signal`, as a callable that returns or raises.

    `named`: its name tells a person where an error in it happened, and it may become part of a model: it
    remembers the forms of its calls in `_r_forms`.

    Called on another thread than R's, it runs on R's thread if that waits for a training step.

    Raises:
        RCodeError: the R code raised an error, or left by a restart.
        KeyboardInterrupt: a person interrupted the R code.
        UnsupportedError: the call comes from another thread, and R's thread is not waiting.
    """

    forms: dict = {}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if named:
            seen.remember(forms, args, kwargs)
        started = time.perf_counter()
        value = holding.while_in_r(function, *args, **kwargs)
        where.count(time.perf_counter() - started)
        if type(value) is Signal:
            try:
                value.go_on()
            except RCodeError as error:
                if named:
                    happened_in(error, f"the R function `{name}`")
                raise
        return value

    call.__name__ = name
    out = threads.main_only(call)
    if named:
        out._r_forms = forms
    return out
