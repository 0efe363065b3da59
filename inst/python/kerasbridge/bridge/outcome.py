"""What a call across the border gives back: a value, or an error as plain values."""

from __future__ import annotations

import functools
import re
import traceback
from typing import Any, Optional

from kerasbridge.bridge import from_r, holding
from kerasbridge.bridge.from_r import RCodeError
from kerasbridge.environment.messages import explain
from kerasbridge.errors import KerasBridgeError
from kerasbridge.runtime import certificates, exhausted, where


class Outcome:
    """A value (`ok` is True) or an error described by plain values (`ok` is False)."""

    def __init__(self, ok: bool, value: Any = None, error: Optional[dict] = None):
        self.ok = ok
        self.value = value
        self.error = error


def _countable(value: Any) -> Any:
    """An int that R's integers can't hold as a float (it would arrive as another number)."""
    return float(value) if type(value) is int and abs(value) > 2**31 - 1 else value


def _countable_parts(value: Any) -> Any:
    """The same for numbers in the small dicts and lists that say something of an error or a device."""
    if type(value) is dict:
        return {key: _countable_parts(part) for key, part in value.items()}
    if type(value) is list:
        return [_countable_parts(part) for part in value]
    return _countable(value)


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
# how TensorFlow marks where in a graph something happened; how Python writes a class
_NOISE = re.compile(r"\{\{function_node [^}]*\}\}\s*|\s*\[Op:\w+\](\s*name:)?")
_CLASS = re.compile(r"<class '(?:[\w<>]+\.)*(\w+)'>")
_CALLING = re.compile(r"^Exception encountered when calling [\w.]+\(\)\.\s*")
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
    if key is None and RCodeError.__name__ in f"{type(exc).__name__} {exc}":
        key = from_r.pending_r_key()
    if key is not None:
        from_r.arrived()
    return key


def first_lines(text: str, width: int = 300) -> str:
    """The part of an exception's text that a person can use: no traceback, no graph dump."""
    text = _CLASS.sub(r"\1", _NOISE.sub("", _COLOUR.sub("", str(text))))
    lines = [line.strip() for line in text.splitlines()]
    skip = (
        "Detected at node",
        "Defined at",
        "File ",
        "Stack trace",
        "Graph execution error",
        "Arguments received",
    )
    ends = ("Arguments received", "Stack trace", "Call arguments received")
    kept: list[str] = []
    for line in lines:
        if kept and line.startswith("Traceback (most recent call last)"):
            break
        if line.startswith(ends):
            break
        if line and not line.startswith(skip) and not set(line) <= set("-=~^ "):
            kept.append(line)
    shown = " ".join(kept[:3]) if kept else text.strip()
    return shown if len(shown) <= width else shown[: width - 1].rstrip() + "…"


def describe(exc: BaseException) -> dict:
    """Plain values that tell R what went wrong.

    Keys: kind, type, message, hint, argument, r_key and place (of an R error), details, traceback.
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
    base["place"] = from_r.place_of(base["r_key"])
    if r_error is None and not isinstance(exc, KerasBridgeError):
        found = exhausted.of(exc)
        exc = exc if found is None else exhausted.as_error(found)
    if isinstance(exc, KerasBridgeError):
        return {
            **base,
            "kind": exc.kind,
            "message": exc.message,
            "hint": exc.hint,
            "argument": exc.argument,
            "details": _countable_parts(exc.details),
        }
    kind = next((_KINDS[c.__name__] for c in type(exc).__mro__ if c.__name__ in _KINDS), "python")
    text = str(exc) or type(exc).__name__
    known = None
    if isinstance(exc, KeyError) and exc.args:
        text = f"unknown name {exc.args[0]!r}"
    elif r_error is None:
        known = explain(f"{type(exc).__name__}: {_COLOUR.sub('', text)}")
    if known is not None and known.kind != "noise":
        base["details"] = {"known": known.id, "said": _quotable(text)}
        kind = kind if known.kind == "python" else known.kind
        message, hint = known.cause, known.fix
        if known.id == "certificate":
            message = certificates.refused(text) or message
    else:
        message, hint = first_lines(text), None
    named = _ARGUMENT.search(text) if kind == "argument" else None
    return {
        **base,
        "kind": kind,
        "message": message,
        "hint": hint,
        "argument": named.group(1) if named else None,
    }


_depth = 0


def crossing() -> bool:
    """Whether a call of R's is being answered."""
    return _depth > 0


def _quotable(text: str) -> Optional[str]:
    """Python's own first line, unless it holds a person's data."""
    said = first_lines(_CALLING.sub("", _COLOUR.sub("", text)), 160)
    return None if re.search(r"\[\s*\[|\[\s*[-+]?\d+\.\d", said) else said


def outcome(function):
    """Make a function return an `Outcome`; an interrupt becomes one of kind "interrupt".

    (An interrupt that passes through as an exception is an "unknown exception" to older versions of
    the program between R and Python.)
    """

    @holding.answered
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        global _depth
        if _depth == 0:
            where.end()
        _depth += 1
        try:
            holding.check()
            value = function(*args, **kwargs)
            rows = type(value) is list and value and type(value[0]) is dict
            value = _countable_parts(value) if rows or type(value) is dict else _countable(value)
            done = Outcome(True, value)
            # a history
            return holding.keep(done) if getattr(value, "interrupted", False) else done
        except KeyboardInterrupt:
            return holding.keep(
                Outcome(False, error={"kind": "interrupt", "message": "Interrupted."})
            )
        except BaseException as exc:  # noqa: B036 - an exit in user code must not end R
            return Outcome(False, error=describe(exc))
        finally:
            _depth -= 1

    return wrapper
