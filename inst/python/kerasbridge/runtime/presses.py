"""Presses of Ctrl-C: Python's handler of them, and which one has been answered.

Where R is around, one press reaches both languages, and Python may see it twice.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import dis
import signal
import sys
import threading
import time
from typing import Any, Callable, Iterator, Optional

SAME = 0.5  # seconds within which what arrives is the press that was answered
WAIT = 0.5  # seconds at most that a press waits for the end of a step
_answered = 0.0

_before: Any = None  # the handler that `_press` stands before
_waiting: Optional[object] = None  # a press that waits for `check`
_raised: Optional[KeyboardInterrupt] = None  # what it raised where it had waited too long
_reminded = False  # what `_press` is called for next is that press once more, not a new one
_lock = threading.RLock()  # held where no reminder may be sent


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


@contextlib.contextmanager
def between_steps() -> Iterator[None]:
    """Within the block a press waits for `check`, which a run calls before each step, or for the end of the block.

    A KeyboardInterrupt that is raised wherever Python happens to be can be lost: code of C that has called
    Python drops it (TensorFlow's asks shapes for their length), and so does a finalizer. Where no `check` comes
    within `WAIT` seconds it is raised there all the same, and again after as long if it was dropped. Code of
    a person that caught it goes on, and the run with it.

    Raises:
        KeyboardInterrupt: a press has waited to the end; also in place of an error that ended the block.
    """
    global _before
    before = signal.getsignal(signal.SIGINT)
    usual = threading.current_thread() is threading.main_thread() and callable(before)
    if not usual or before is _press:
        yield
        return
    _before, dropped = before, sys.unraisablehook

    def hook(lost: Any) -> None:
        if lost.exc_value is not _raised or _raised is None:
            dropped(lost)

    sys.unraisablehook = hook
    handle(_press)
    error: Optional[BaseException] = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        waits = _leave()
        sys.unraisablehook = dropped
        if waits and (error is None or isinstance(error, Exception)):
            answered()
            raise KeyboardInterrupt from error


def _leave() -> bool:
    """Give presses back to the handler before; whether one waits."""
    global _reminded
    with _lock:
        waits = _settle()
        ours = signal.getsignal(signal.SIGINT) is _press
        limit = time.monotonic() + SAME
        while _reminded and ours and time.monotonic() < limit:  # Python calls `_press` in between
            pass
        if ours:
            handle(_before)
        _reminded = False
        return _settle() or waits


def check() -> None:
    """Answer a press that waits; between two steps of a run.

    Raises:
        KeyboardInterrupt: there was one.
    """
    if _waiting is not None and threading.current_thread() is threading.main_thread():
        if _settle():
            answered()
            raise KeyboardInterrupt


def _settle() -> bool:
    """No press waits any more; whether one did that nobody has answered."""
    global _waiting, _raised
    waits = _waiting is not None and (_raised is None or _was_dropped(_raised))
    _waiting = _raised = None
    return waits


def _was_dropped(error: BaseException) -> bool:
    """Whether what was raised, and has not arrived, ended the code of Python that it went through."""
    if error.__traceback__ is None:
        return True
    caller, running = error.__traceback__.tb_frame, sys._getframe()
    while running is not None:
        if running is caller:
            return False
        running = running.f_back
    last = dis.opname[caller.f_code.co_code[caller.f_lasti]]
    if last == "RESUME":  # of a generator that waits, or the first of what was ended there
        return caller.f_lasti == error.__traceback__.tb_lasti
    return not last.startswith(("RETURN", "YIELD"))


def _press(number: int, frame: Any) -> None:
    global _raised, _reminded
    again, _reminded = _reminded, False
    if again and _waiting is not None and _in_between(frame):
        _thread.start_new_thread(_remind, (_waiting,))  # a little later
        return
    if again:
        if not _settle():
            return
        unanswered()
    elif _waiting is not None:
        return
    try:
        _before(number, frame)
        return
    except KeyboardInterrupt:
        _wait()
    if again:
        _raised = KeyboardInterrupt()
        raise _raised


def _in_between(frame: Any) -> bool:
    """Whether the block is about to end: nothing may be raised before all is put back."""
    return any(frame.f_globals is own for own in (globals(), vars(contextlib)))


def _wait() -> None:
    global _waiting
    _waiting = object()
    # this may be in the middle of anything: a Thread would take locks
    _thread.start_new_thread(_remind, (_waiting,))


def _remind(press: object) -> None:
    global _reminded
    time.sleep(WAIT)
    with _lock:
        if _waiting is press:
            _reminded = True
            if hasattr(signal, "pthread_kill"):  # as a person would press: it ends a sleep, too
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            else:
                _thread.interrupt_main()


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
