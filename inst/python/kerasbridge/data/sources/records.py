"""Whole records out of text with quoted fields, without parsing it."""

from __future__ import annotations

import re
from typing import Any, Iterator, NamedTuple

from kerasbridge.errors import DataError

_LONGEST = 64 << 20  # bytes of one record
_BLANK = re.compile(rb"(?:\A|(?<=\n))\r?\n")


class Records(NamedTuple):
    """Bytes that start and end between records.

    Attributes:
        start: place of the first byte in the file.
        rows: records, empty lines not counted.
        broken_lines: whether a quoted field holds the end of a line.
    """

    start: int
    data: bytes
    rows: int
    broken_lines: bool


def count_rows(data: bytes, quote: bytes) -> tuple[int, bool]:
    """(lines that are no empty ones and end outside quotes, whether some end inside)."""
    broken = False
    if quote and quote in data:
        keep = quote + b"\n"
        bare = data.translate(None, bytes(set(range(256)) - set(keep)))
        # fields without a line's end leave two quotes side by side
        broken = quote in bare.replace(quote + quote, b"")
    if broken:  # what is quoted goes, its place stays
        data = b"Q".join(data.split(quote)[::2])
    lines = data.count(b"\n")
    if data and not data.endswith(b"\n"):
        lines += 1
    if data[:2].lstrip(b"\r")[:1] == b"\n" or b"\n\n" in data or b"\n\r\n" in data:
        lines -= len(_BLANK.findall(data))
    return lines, broken


def last_end(data: bytes, quote: bytes) -> int:
    """One past the last line's end outside quotes; 0 if there is none."""
    end = data.rfind(b"\n")
    if not quote:
        return end + 1
    quotes = data.count(quote, 0, end)
    while end >= 0 and quotes % 2:
        earlier = data.rfind(b"\n", 0, end)
        quotes -= data.count(quote, max(earlier, 0), end)
        end = earlier
    return end + 1


def cut(stream: Any, size: int, quote: bytes, start: int, name: str) -> Iterator[Records]:
    """Runs of whole records of about `size` bytes from a stream that stands between two records.

    Args:
        stream: an object with `read(n)`.
        start: the stream's place in the file, for `Records.start`.
        name: of the file, for messages.

    Raises:
        DataError: a quoted field that has no end.
    """
    left, row = b"", 0
    while True:
        more = stream.read(size)
        data = left + more
        if not data:
            return
        end = last_end(data, quote) if more else len(data)
        if end == 0:
            if len(data) > _LONGEST:
                break
            left = data
            continue
        if not more and quote and data.count(quote) % 2:
            break
        run, left = data[:end], data[end:]
        rows, broken = count_rows(run, quote)
        yield Records(start, run, rows, broken)
        start += end
        row += rows
        if not more:
            return
    raise DataError(
        f"'{name}', after row {row}: a quoted field has no end.",
        hint='Mend the file, or say quote = "" if its quotes mean nothing.',
        argument="path",
        details={"file": name, "row": row + 1},
    )
