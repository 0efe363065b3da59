"""Who answers Ctrl-C: R while values are handed over, Python while a call of R's runs in it.

A press reaches both, and reticulate lets whoever looks first answer it. An exception that Python
raises in the middle of a conversion, or an interrupt of R that jumps over Python's frames, is more
than the two can take: R ends. So R suspends its interrupts while Python runs and Python answers then;
while values are converted Python answers none, and R does as soon as it runs R code again.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Callable

_held = False
_running = 0
_answered_by_r = 0.0


def hold() -> bool:
    """Leave interrupts to R from now on; gives what was in force before, for `release`."""
    global _held
    before, _held = _held, True
    return before


def release(before: bool = False) -> None:
    """Put back what `hold` found."""
    global _held
    _held = bool(before)


def answered(function: Callable) -> Callable:
    """Make Python answer interrupts while `function` runs, whatever is in force around it."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        global _held, _running
        before, _held = _held, False
        _running += 1
        try:
            return function(*args, **kwargs)
        finally:
            _held = before
            _running -= 1

    return wrapper


def answered_by_r() -> None:
    """R code that Python runs has seen the press."""
    global _answered_by_r
    _answered_by_r = time.monotonic()


def install() -> None:
    """Teach reticulate's handler of interrupts to ask here. Nothing happens where it has none."""
    try:
        from rpytools import signals
    except ImportError:  # no R around
        return
    ask = getattr(signals, "_callback", None)
    if ask is None or getattr(ask, "kerasbridge", False):
        return

    def callback(reset: bool) -> Any:
        """`reset` False: does an interrupt wait? True: it has been answered."""
        if reset:
            return ask(True)
        if _held:
            return False
        if _running:
            # R's own interrupts are suspended, so it can't tell; a press that R code inside of this
            # call has answered already comes here a second time
            return time.monotonic() - _answered_by_r > 0.5
        return ask(False)

    callback.kerasbridge = True
    signals._callback = callback
