"""Ctrl-C while R waits in Python: Python answers it, with every version of reticulate.

R suspends its own interrupts for the time of a call (a jump would break Python). Newer versions of reticulate
(seen with 1.41 and 1.47) give Python a handler that puts a press off for as long as R has them suspended,
which is until the call is over: nothing could be stopped. So within a call a press is a KeyboardInterrupt,
as everywhere in Python; at other times that handler does as before. What the operating system calls is left
alone: it tells R too.
"""

from __future__ import annotations

import signal
import threading
import types
from typing import Any, Callable

from kerasbridge.runtime import presses


def answer(crossing: Callable[[], bool]) -> bool:
    """Answer presses while `crossing()` is true; returns whether there was a handler to stand before."""
    before = signal.getsignal(signal.SIGINT)
    theirs = isinstance(before, types.BuiltinFunctionType)
    if not theirs or before is signal.default_int_handler:
        return False
    if threading.current_thread() is not threading.main_thread():
        return False

    def handler(number: int, frame: Any) -> Any:
        if crossing():
            if presses.is_new():
                presses.answered()
                raise KeyboardInterrupt
            return None
        return before(number, frame)

    presses.handle(handler)
    return True
