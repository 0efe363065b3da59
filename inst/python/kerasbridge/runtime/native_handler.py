"""Python's handler of Ctrl-C in another's place, while what the operating system calls stays: it may tell R too."""

from __future__ import annotations

import ctypes
import signal
from typing import Any, Callable


def put(handler: Callable[[int, Any], Any]) -> None:
    """Make `handler` what Python calls at a press; on the main thread only."""
    get, put_native = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.argtypes, get.restype = [ctypes.c_int], ctypes.c_void_p
    put_native.argtypes, put_native.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    native = get(signal.SIGINT)
    signal.signal(signal.SIGINT, handler)  # replaces what the operating system calls as well
    put_native(signal.SIGINT, native)
