"""Presses of Ctrl-C: Python's handler of them, and which one has been answered.

Where R is around, one press reaches both languages, and Python may see it twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
import time
from typing import Any, Callable, Iterator

SAME = 0.5  # seconds within which what arrives is the press that was answered
_answered = 0.0


def handle(handler: Callable[[int, Any], Any]) -> None:
    """Make `handler` what Python calls at a press; on the main thread only.

    What the operating system calls stays: it may tell R too.
    """
    get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.argtypes, get.restype = [ctypes.c_int], ctypes.c_void_p
    put.argtypes, put.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    native = get(signal.SIGINT)
    signal.signal(signal.SIGINT, handler)  # replaces what the operating system calls as well
    put(signal.SIGINT, native)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Within the block a press waits; it is answered at the end, whatever the block ends with."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    waiting: list = []
    handle(lambda number, frame: waiting.append(frame))
    try:
        yield
    finally:
        handle(before)
        if waiting:
            before(signal.SIGINT, waiting[-1])


def answered() -> None:
    """The press that came last has been answered."""
    global _answered
    _answered = time.monotonic()


def unanswered() -> None:
    """The press that came last was answered where that had no effect; it arrives once more."""
    global _answered
    _answered = 0.0


def is_new() -> bool:
    """Whether what arrives now is another press than the one that was answered."""
    return time.monotonic() - _answered > SAME
