"""Interrupts while R and Python hand values to each other: left to R until the hand-over is done.

A press of Ctrl-C reaches R and Python, and whoever looks first answers it. An exception that Python
raises in the middle of a conversion is more than reticulate 1.28 can take: it ends R. So in that
time Python answers none; R does, as soon as it runs R code again.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

_held = False


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
        global _held
        before, _held = _held, False
        try:
            return function(*args, **kwargs)
        finally:
            _held = before

    return wrapper


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
        return False if _held and not reset else ask(reset)

    callback.kerasbridge = True
    signals._callback = callback
