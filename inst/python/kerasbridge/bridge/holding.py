"""Who answers Ctrl-C: R while values are handed over, Python while a call of R's runs in it.

A press reaches both, and reticulate lets whoever looks first answer it. An exception that Python
raises in the middle of a conversion, or an interrupt of R that jumps over Python's frames, is more
than the two can take: R ends. So R suspends its interrupts while Python runs and Python answers then;
while values are converted or R code runs Python only notes a press. R answers it as soon as it runs
R code again; if it didn't by then, Python does when it goes on.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Callable

from kerasbridge.runtime import presses

_held = False
_running = 0
_held_since = 0.0
_noted = 0.0  # when a press came that nobody has answered yet
_result: Any = None  # what the last call gave, where a press ended it


def hold() -> bool:
    """Leave interrupts to R from now on; gives what was in force before, for `release`."""
    global _held, _held_since, _result
    before, _held = _held, True
    _held_since = time.monotonic()
    _result = None
    return before


def release(before: bool = False) -> None:
    """Put back what `hold` found."""
    global _held
    _held = bool(before)


def keep(result: Any) -> Any:
    """Remember what a call gave that a press ended, until the next one; gives it back."""
    global _result
    _result = result
    return result


def take_interrupted() -> Any:
    """What the present call gave, if a press ended it; once.

    The press may reach R too, on the way back, and then R has lost the result.
    """
    global _result
    result, _result = _result, None
    return result


def answered(function: Callable) -> Callable:
    """Make Python answer interrupts while `function` runs, whatever is in force around it.

    Raises:
        KeyboardInterrupt: a press came while the arguments were handed over, and R did not answer it.
    """

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


def check() -> None:
    """Answer a press that came since the last `hold`.

    Raises:
        KeyboardInterrupt: there was one, and R did not answer it.
    """
    _raise_noted(_held_since)


def while_in_r(function: Callable, /, *args: Any, **kwargs: Any) -> Any:
    """Call `function`, which runs R code; a press is R's meanwhile.

    Raises:
        KeyboardInterrupt: a press came that R did not answer.
    """
    global _held
    started = time.monotonic()
    before, _held = _held, True
    try:
        value = function(*args, **kwargs)
    finally:
        _held = before
    if _noted:
        _raise_noted(started)
    return value


def _raise_noted(since: float) -> None:
    global _noted
    if _noted and _noted >= since:
        _noted = 0.0
        presses.answered()
        raise KeyboardInterrupt


def answered_by_r() -> None:
    """R code that Python runs has seen the press."""
    global _noted
    _noted = 0.0
    presses.answered()


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
        global _noted
        if reset:
            # R's own interrupts are suspended while a call runs: nothing to tell it, and no way to
            return None if _running else ask(True)
        if _held:
            if presses.is_new():
                _noted = time.monotonic()
            return False
        if _running:
            # a press that has been answered already, by R code inside of this call, comes here a second time
            new = presses.is_new()
            if new:
                presses.answered()
            return new
        return ask(False)

    callback.kerasbridge = True
    signals._callback = callback
