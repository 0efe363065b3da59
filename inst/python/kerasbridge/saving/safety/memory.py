"""A limit on the variables made while a model is built: no more than its file can fill."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from typing import Any, Iterator, Optional

from kerasbridge.errors import UnsafeFileError
from kerasbridge.runtime.variables import variable_class

FREE = 64 * 2**20  # bytes that any model may use
TIMES = 5  # times the stored bytes: optimizers keep up to three values for each weight


def variables_limit(stored: int, max_size: Optional[int] = None) -> int:
    """Bytes of variables that a file with `stored` bytes of weights may ask for."""
    return int(max_size) if max_size is not None else FREE + TIMES * stored


def memory_of_computer() -> int:
    """Bytes of memory that this computer has; where it doesn't tell, 64 GiB."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no such question on this system
        return 64 * 2**30


@contextlib.contextmanager
def limited_variables(limit: int, stored: Optional[int], source: str) -> Iterator[None]:
    """Refuse, in this thread, variables of more than `limit` bytes before they take any memory.

    Args:
        stored: bytes of the weights beside the description; None where there are none.

    Raises:
        UnsafeFileError: says what the file stores and what the model asks for.
    """
    made = {"bytes": 0}
    thread = threading.get_ident()
    kind = variable_class()
    own = kind.__dict__.get("__init__")
    plain = kind.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if threading.get_ident() == thread:
            shape = kwargs.get("shape", args[1] if len(args) > 1 else None)
            dtype = kwargs.get("dtype", args[2] if len(args) > 2 else None)
            made["bytes"] += _bytes(shape, dtype)
            if made["bytes"] > limit and stored is None:
                raise UnsafeFileError(
                    f"{source} is refused. It describes a model of over {made['bytes']:,} bytes; this "
                    f"computer has {limit:,}.",
                    hint="No argument permits that: it needs a larger computer, or was changed by hand.",
                    argument="filepath",
                )
            if made["bytes"] > limit:
                raise UnsafeFileError(
                    f"{source} is refused. It stores {stored:,} bytes of weights and describes a model of "
                    f"over {made['bytes']:,}.",
                    hint=f"If that is honest: `max_size = {2 * made['bytes']}`, in bytes, or more.",
                    argument="max_size",
                )
        plain(self, *args, **kwargs)

    kind.__init__ = __init__
    try:
        yield
    finally:
        if own is None:
            del kind.__init__
        else:
            kind.__init__ = own


def _bytes(shape: Any, dtype: Any) -> int:
    try:
        axes = [int(axis) for axis in (shape if shape is not None else ())]
    except (TypeError, ValueError):
        return 0
    name = str(dtype or "float32")
    width = (
        8
        if "64" in name
        else 2
        if "16" in name
        else 1
        if name.endswith("8") or "bool" in name
        else 4
    )
    return math.prod(axes) * width
