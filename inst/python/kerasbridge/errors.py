"""The errors this package raises.

Each one says what is wrong (`message`), which argument is at fault (`argument`, a Python name) and
what to do (`hint`). R turns the class attribute `kind` into a condition of class
`kerasbridge_error_<kind>`.
"""

from __future__ import annotations

from typing import Optional


class KerasBridgeError(Exception):
    """Base class.

    Args:
        message: what is wrong, one sentence.
        hint: what to do about it, one sentence.
        argument: name of the argument at fault, if one is.
        details: further plain values a program may want (numbers, strings, lists, dicts).
    """

    kind = "engine"

    def __init__(
        self,
        message: str,
        *,
        hint: Optional[str] = None,
        argument: Optional[str] = None,
        details: Optional[dict] = None,
    ):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.argument = argument
        self.details = dict(details or {})

    def __str__(self) -> str:
        return self.message if not self.hint else f"{self.message}\n{self.hint}"


class ArgumentError(KerasBridgeError, ValueError):
    """An argument has the wrong type or value."""

    kind = "argument"


class DataError(KerasBridgeError, ValueError):
    """Data that can't be trained on or predicted from: shape, type, missing values, labels."""

    kind = "data"


class GeneratorError(KerasBridgeError, RuntimeError):
    """A function that makes batches failed, or the process it runs in ended."""

    kind = "generator"


class FileError(KerasBridgeError, OSError):
    """A file is missing, exists already, can't be written, or is damaged."""

    kind = "file"

    __str__ = KerasBridgeError.__str__


class UnsafeFileError(FileError):
    """A file that would run code, read other files, or is dishonest about its size."""

    kind = "unsafe_file"


class UnsupportedError(KerasBridgeError, NotImplementedError):
    """The installed version, the backend or the platform can't do this."""

    kind = "unsupported"


class InstallError(KerasBridgeError, RuntimeError):
    """An environment can't be made, found or used."""

    kind = "install"


class OutOfMemoryError(KerasBridgeError, MemoryError):
    """The device or the machine ran out of memory."""

    kind = "oom"


class TooLateError(KerasBridgeError, RuntimeError):
    """A setting that the backend reads once came after that."""

    kind = "too_late"


class NoDeviceError(KerasBridgeError, RuntimeError):
    """A graphics card was required, and none can be used."""

    kind = "gpu"


class ClusterError(KerasBridgeError, RuntimeError):
    """A training on several machines could not be brought to its end."""

    kind = "cluster"
