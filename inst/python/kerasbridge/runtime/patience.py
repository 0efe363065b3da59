"""A word to a person who waits, once a stretch of work has taken a while without one.

The work may hold its thread for as long as it likes (an import, the tracing of a model), and text must
be written on the main thread, which is the only one that R's console takes it from. So a timer asks
Python to run the word there between two of its instructions, by the C interface for just that.
"""

from __future__ import annotations

import _thread
import ctypes
import queue
import threading
from typing import Any, Callable

from kerasbridge.runtime import presses

_asked: queue.SimpleQueue = queue.SimpleQueue()


class Word:
    """`say` is called once, on the main thread, if `take_back` was not called within `seconds`.

    It can be late, by as long as the main thread runs code of C that Python can't look into.
    """

    def __init__(self, seconds: float, say: Callable[[], Any]):
        self._say = say
        self.open = True
        self._timer = threading.Timer(seconds, self._ask)
        self._timer.daemon = True
        self._timer.start()

    def _ask(self) -> None:
        if self.open:
            _asked.put(self)
            ctypes.pythonapi.Py_AddPendingCall(_SPEAK, None)

    def speak(self) -> None:
        if self.open:
            self.open = False
            self._say()

    def take_back(self) -> None:
        """There is something else to see by now."""
        if self.open:
            self.open = False
            self._timer.cancel()


def _speak(_: Any) -> int:
    """What Python calls on the main thread; nothing can be raised from it, so an interrupt comes after it."""
    try:
        while True:
            _asked.get_nowait().speak()
    except KeyboardInterrupt:
        presses.unanswered()
        threading.Timer(0.01, _thread.interrupt_main).start()
    except Exception:  # none left; or a word can't be written, which is no reason to stop the work
        pass
    return 0


# as long as the process: Python knows its address only
_SPEAK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_speak)
