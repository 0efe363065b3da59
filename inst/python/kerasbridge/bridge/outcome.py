"""What a call across the border gives back: a value, or an error as plain values."""

from __future__ import annotations

import functools
import re
import traceback
from typing import Any, Optional

from kerasbridge.errors import KerasBridgeError
from kerasbridge.runtime import threads


class RCodeError(Exception):
    """An error raised by R code that Python called; R holds the original condition under `key`."""

    def __init__(self, message: str, key: str):
        super().__init__(message)
        self.key = key


# keys of R errors that have not come back to R yet, newest last
_pending: list = []


def raise_r_error(message: str, key: str):
    """Called by R when a function of the user failed; never returns."""
    _pending.append(key)
    raise RCodeError(message, key)


def raise_interrupt():
    """Called by R when the user pressed Ctrl-C (or Esc) inside an R function; never returns."""
    threads.interrupt()


def pending_r_key() -> Optional[str]:
    """The key of an R error that is on its way back to R, or None."""
    return _pending[-1] if _pending else None


class Outcome:
    """A value (`ok` is True) or an error described by plain values (`ok` is False)."""

    def __init__(self, ok: bool, value: Any = None, error: Optional[dict] = None):
        self.ok = ok
        self.value = value
        self.error = error


# exception type name -> kind, for exceptions that are not this package's own
_KINDS = {
    "ResourceExhaustedError": "oom",
    "OutOfMemoryError": "oom",
    "MemoryError": "oom",
    "FileNotFoundError": "file",
    "FileExistsError": "file",
    "PermissionError": "file",
    "IsADirectoryError": "file",
    "OSError": "file",
    "NotImplementedError": "unsupported",
    "ImportError": "install",
    "ModuleNotFoundError": "install",
    "TypeError": "argument",
    "ValueError": "argument",
    "KeyError": "argument",
    "IndexError": "argument",
    "InvalidArgumentError": "data",
}

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ARGUMENT = re.compile(r"`([A-Za-z_][A-Za-z0-9_]*)`")


def _root(exc: BaseException) -> Optional[RCodeError]:
    """The R error at the bottom of a chain of exceptions, if there is one."""
    seen = set()
    node: Optional[BaseException] = exc
    while node is not None and id(node) not in seen:
        if isinstance(node, RCodeError):
            return node
        seen.add(id(node))
        node = node.__cause__ or node.__context__
    return None


def _r_key(exc: BaseException, r_error: Optional[RCodeError]) -> Optional[str]:
    """The key under which R keeps its own error, if one is behind `exc`.

    A backend that traces or runs graphs raises a new exception and keeps only the old one's text;
    then the newest R error is the one.
    """
    key = r_error.key if r_error is not None else None
    if key is None and _pending and RCodeError.__name__ in f"{type(exc).__name__} {exc}":
        key = _pending[-1]
    if key is not None:
        _pending.clear()
    return key


def first_lines(text: str, width: int = 300) -> str:
    """The part of an exception's text that a person can use: no traceback, no graph dump."""
    text = _COLOUR.sub("", str(text))
    lines = [line.strip() for line in text.splitlines()]
    skip = (
        "Detected at node",
        "Defined at",
        "File ",
        "Stack trace",
        "Graph execution error",
        "Arguments received",
    )
    kept = []
    for line in lines:
        if line.startswith(("Arguments received", "Stack trace", "Call arguments received")):
            break
        if line and not line.startswith(skip) and not set(line) <= set("-=~^ "):
            kept.append(line)
    shown = " ".join(kept[:3]) if kept else text.strip()
    return shown if len(shown) <= width else shown[: width - 1].rstrip() + "…"


def describe(exc: BaseException) -> dict:
    """Plain values that tell R what went wrong.

    Keys: kind, type, message, hint, argument, r_key (of an R error), details, traceback.
    """
    r_error = _root(exc)
    trace = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    base = {
        "type": type(exc).__name__,
        "hint": None,
        "argument": None,
        "details": {},
        "traceback": trace,
        "r_key": _r_key(exc, r_error),
    }
    if isinstance(exc, KerasBridgeError):
        return {
            **base,
            "kind": exc.kind,
            "message": exc.message,
            "hint": exc.hint,
            "argument": exc.argument,
            "details": exc.details,
        }
    kind = next((_KINDS[c.__name__] for c in type(exc).__mro__ if c.__name__ in _KINDS), "python")
    text = str(exc) or type(exc).__name__
    if isinstance(exc, KeyError) and exc.args:
        text = f"unknown name {exc.args[0]!r}"
    if "Unknown exception occurred" in text:  # what older versions of reticulate make of a jump
        text = "A function of R was left by a jump: a restart, or a handler set up outside of it."
    named = _ARGUMENT.search(text) if kind == "argument" else None
    return {
        **base,
        "kind": kind,
        "message": first_lines(text),
        "argument": named.group(1) if named else None,
    }


def outcome(function):
    """Make a function return an `Outcome`; an interrupt becomes one of kind "interrupt".

    (An interrupt that passes through as an exception is an "unknown exception" to older versions of
    the program between R and Python.)
    """

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        try:
            return Outcome(True, function(*args, **kwargs))
        except KeyboardInterrupt:
            return Outcome(False, error={"kind": "interrupt", "message": "Interrupted."})
        except BaseException as exc:  # noqa: B036 - an exit in user code must not end R
            return Outcome(False, error=describe(exc))

    return wrapper
