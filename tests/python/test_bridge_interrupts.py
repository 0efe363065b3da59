"""A press of Ctrl-C within a call is a KeyboardInterrupt, whatever handler was there before."""

from __future__ import annotations

import signal
import sys

import pytest
from kerasbridge.bridge import interrupts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

# a built-in function takes the place of the handler that reticulate sets
_CODE = """
import ctypes, os, signal, sys
from kerasbridge.bridge import interrupts
from kerasbridge.runtime import presses
signal.signal(signal.SIGINT, max)  # a built-in handler; max(2, frame) is a TypeError
get = ctypes.pythonapi.PyOS_getsig
get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_int]
native = get(signal.SIGINT)
crossing = False
assert interrupts.answer(lambda: crossing)
assert get(signal.SIGINT) == native
for crossing, wanted in ((True, KeyboardInterrupt), (False, TypeError), (True, KeyboardInterrupt)):
    presses.unanswered()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**6): pass
    except BaseException as error:
        print(type(error).__name__, type(error) is wanted)
os.kill(os.getpid(), signal.SIGINT)  # the same press once more
for _ in range(10**6): pass
print("once")
"""


def test_a_press_within_a_call_is_an_interrupt_and_another_goes_to_the_earlier_handler(run_python):
    done = run_python(_CODE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [
        "KeyboardInterrupt True",
        "TypeError True",
        "KeyboardInterrupt True",
        "once",
    ]


def test_pythons_own_handler_and_one_written_in_python_stay():
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, lambda number, frame: None, signal.SIG_IGN):
            signal.signal(signal.SIGINT, handler)
            assert interrupts.answer(lambda: True) is False
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
