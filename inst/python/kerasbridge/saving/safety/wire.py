"""Protocol buffers read field by field, without the library and without knowing their names."""

from __future__ import annotations

from typing import Iterator


def _number(data: memoryview, at: int) -> tuple:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128 or shift > 63:
            return value, at


def fields(message: bytes | memoryview) -> Iterator[tuple]:
    """(number, value) of each field; numbers as such, texts and messages as memory views.

    Raises:
        IndexError, ValueError: it is cut short, or no protocol buffer.
    """
    data = memoryview(message)
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _number(data, at)
        else:
            if kind == 2:
                size, at = _number(data, at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise ValueError(f"a field of kind {kind}")
            if at + size > len(data):
                raise IndexError("a field goes beyond its message")
            value, at = data[at : at + size], at + size
        yield key >> 3, value
