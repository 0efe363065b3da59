"""R functions as Python callables.

An R function may not raise through the program between R and Python, which keeps only an error's
text. So the function that R sends returns a `Signal` for whatever isn't a value, and the exception is
raised here, in Python, where its kind and its cause are kept.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional

from kerasbridge.bridge import holding
from kerasbridge.runtime import threads


class RCodeError(Exception):
    """R code that Python called did not return; R holds the condition or jump under `key`."""

    def __init__(self, message: str, key: str):
        super().__init__(message)
        self.key = key


# keys of R errors that have not come back to R yet, newest last
_pending: list[str] = []


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


def r_function(function: Callable, name: str) -> Callable:
    """`function`, which calls R and may return a `Signal`, as a callable that returns or raises.

    Called on another thread than R's, it runs on R's thread if that waits for a training step.

    Raises:
        RCodeError: the R code raised an error, or left by a restart.
        KeyboardInterrupt: a person interrupted the R code.
        UnsupportedError: the call comes from another thread, and R's thread is not waiting.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        value = holding.while_in_r(functools.partial(function, *args, **kwargs))
        if type(value) is Signal:
            value.go_on()
        return value

    call.__name__ = name
    return threads.main_only(call)
