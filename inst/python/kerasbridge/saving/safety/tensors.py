"""Safetensors looked at before a value is read: a header in JSON, then the bytes of the arrays, no gap.

Format: 8 bytes with the length of the header, the header, the arrays. The header maps names to `dtype`,
`shape` and `data_offsets` (first and last byte after the header), and `__metadata__` to texts.
Source: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import os
import zlib
from typing import Any, Optional

from kerasbridge.errors import UnsafeFileError
from kerasbridge.saving.safety.archives import size_limit, too_large
from kerasbridge.saving.safety.hdf5 import MAX_OBJECTS, Stored
from kerasbridge.saving.safety.texts import check_text_size, damaged, read_json

TEXTS = "__metadata__"
MANIFEST = "kerasbridge"  # a text among the others
# name in the file -> name and bytes of a value
DTYPES = {
    "BOOL": ("bool", 1), "U8": ("uint8", 1), "I8": ("int8", 1), "F8_E5M2": ("float8_e5m2", 1),
    "F8_E4M3": ("float8_e4m3fn", 1), "U16": ("uint16", 2), "I16": ("int16", 2), "F16": ("float16", 2),
    "BF16": ("bfloat16", 2), "U32": ("uint32", 4), "I32": ("int32", 4), "F32": ("float32", 4),
    "U64": ("uint64", 8), "I64": ("int64", 8), "F64": ("float64", 8),
}  # fmt: skip


def is_safetensors(path: Any) -> bool:
    """Whether a file begins as safetensors do: the length of a header in JSON, then that header."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        start = file.read(9)
    size = os.path.getsize(path)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < size


def check_safetensors(path: str, source: str, max_size: Optional[int] = None) -> tuple:
    """The arrays (`Stored`, by name) and the texts of a file, once nothing in it contradicts itself.

    Raises:
        UnsafeFileError: a header larger than that of any model, or more bytes than the limit.
        FileError: damaged.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        check_text_size(min(length, size), "header", source)
        if length + 8 > size:
            raise damaged(source, "header", "it ends too early", size)
        header = read_json(file.read(length), "header", source)
    if not isinstance(header, dict):
        raise damaged(source, "header", "it lists no arrays")
    texts = header.pop(TEXTS, {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise damaged(source, TEXTS, "it holds something else than texts")
    if len(header) > MAX_OBJECTS:
        raise UnsafeFileError(
            f"{source} is refused. It holds over {MAX_OBJECTS:,} arrays.",
            hint="No model file is made so.",
            argument="filepath",
        )
    start = 8 + length
    found = sorted(
        (_array(name, entry, start, source) for name, entry in header.items()),
        key=lambda stored: (stored.offset, stored.nbytes),
    )
    total = sum(stored.nbytes for stored in found)
    if total > size_limit(size, max_size):
        raise too_large(source, total, size)
    at = start
    for stored in found:
        if stored.offset != at:
            raise damaged(source, stored.path, "its bytes are not where those before it end", size)
        at += stored.nbytes
    if at != size:
        raise damaged(source, "", f"its arrays take {at:,} bytes", size)
    return sorted(found, key=lambda stored: stored.path), texts


def _array(name: str, entry: Any, start: int, source: str) -> Stored:
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
        if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers):
            raise ValueError
    except (TypeError, KeyError, ValueError) as err:
        raise damaged(source, name, "its entry in the header is not that of an array") from err
    if not isinstance(kind, str) or kind not in DTYPES:
        raise damaged(source, name, f"values of type '{str(kind)[:20]}' are not those of a model")
    dtype, width = DTYPES[kind]
    nbytes = math.prod(shape) * width
    if end - begin != nbytes:
        raise damaged(
            source, name, f"its shape needs {nbytes:,} bytes and {end - begin:,} are stored"
        )
    return Stored(name, tuple(shape), dtype, nbytes, start + begin)


def structure_of_arrays(arrays: list, texts: dict) -> int:
    """CRC-32 of all names, shapes, types and texts, the manifest itself left out.

    Args:
        arrays: (name, shape, dtype) of each, in any order.
    """
    held = {key: text for key, text in texts.items() if key != MANIFEST}
    rows = sorted([name, list(shape), str(dtype)] for name, shape, dtype in arrays)
    return zlib.crc32(json.dumps([rows, sorted(held.items())]).encode("utf-8")) & 0xFFFFFFFF
