"""HDF5 looked at before a value is read: no links, nothing stored elsewhere, no size that lies."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import Any, Optional

from kerasbridge.errors import FileError, UnsafeFileError
from kerasbridge.saving.safety.archives import size_limit, too_large
from kerasbridge.saving.safety.texts import check_text_size, damaged

MAX_OBJECTS = 500_000
MAX_LEVELS = 100
_KINDS = "fiub"  # floats, whole numbers, truth values
BFLOAT16 = "bfloat16"  # HDF5 has no such type: Keras marks two bytes by an attribute


@dataclass
class Stored:
    """A dataset: its path, shape, type, and where its bytes lie (`offset` None: in pieces)."""

    path: str
    shape: tuple
    dtype: str
    nbytes: int
    offset: Optional[int]


class Range:
    """A part of a file as a file of its own, for reading."""

    def __init__(self, path: str, offset: int, size: int):
        self._file = open(path, "rb")  # noqa: SIM115 - closed with this object
        self._offset, self._size, self._at = offset, size, 0

    def seek(self, to: int, whence: int = 0) -> int:
        self._at = to + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        wanted = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._offset + self._at)
        got = self._file.readinto(view[:wanted])
        self._at += got
        return got

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        out = bytearray(left if size < 0 else min(size, left))
        self.readinto(out)
        return bytes(out)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Range:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def open_hdf5(path: Any, source: str, part: str = "") -> Any:
    """An open `h5py.File`, for reading.

    Raises:
        FileError: not HDF5, or damaged.
    """
    import h5py

    try:
        return h5py.File(path, "r")
    except Exception as err:  # noqa: B902 - h5py raises what the library reports
        size = os.path.getsize(path) if isinstance(path, (str, os.PathLike)) else None
        raise damaged(source, part, _first(err), size) from err


def _first(err: BaseException) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0][:200]


def check_hdf5(
    file: Any, raw: Any, size: int, source: str, part: str = "", max_size: Optional[int] = None
) -> list:
    """All datasets of an open file, once nothing in it leads elsewhere or lies about its size.

    Args:
        file: an open `h5py.File`.
        raw: the same file, open for reading bytes.
        size: bytes of the file.
        source, part: the file, and the part of it that is HDF5, for messages.
        max_size: bytes that the content may have.

    Raises:
        UnsafeFileError: a link, external or virtual storage, an object in two places, values that are
            not numbers, more bytes than the limit.
        FileError: damaged.
    """
    try:
        found = _Walk(size, source, part, max_size).all(file)
        _check_heaps(raw, size, found, source, part)
        return found
    except FileError:
        raise
    except RecursionError as err:
        raise _unsafe(source, part, "Its groups are nested without end") from err
    except Exception as err:  # noqa: B902 - h5py raises what the library reports
        raise damaged(source, part, _first(err)) from err


def _unsafe(source: str, part: str, what: str, hint: str = "") -> UnsafeFileError:
    where = f" in the part '{part}'" if part else ""
    return UnsafeFileError(
        f"{source} is refused. {what}{where}.",
        hint=hint or "No model file is made so.",
        argument="filepath",
    )


class _Walk:
    def __init__(self, size: int, source: str, part: str, max_size: Optional[int]):
        self.size, self.source, self.part, self.max_size = size, source, part, max_size
        self.seen: set = set()
        self.found: list = []
        self.total = 0
        self.contiguous = 0

    def all(self, file: Any) -> list:
        stack = [(file, "", 0)]
        while stack:
            group, path, level = stack.pop()
            self._once(group, path or "/")
            self._attributes(group, path or "/")
            if level > MAX_LEVELS:
                raise _unsafe(self.source, self.part, f"Groups are nested over {MAX_LEVELS} levels")
            for name in group:
                stack.extend(self._member(group, name, f"{path}/{name}", level))
        self.found.sort(key=lambda stored: stored.path)
        return self.found

    def _member(self, group: Any, name: str, path: str, level: int) -> list:
        import h5py

        kind = group.get(name, getclass=True, getlink=True)
        if kind is not h5py.HardLink:
            words = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link to another file"}
            raise _unsafe(self.source, self.part, f"'{path}' is {words.get(kind, 'a link')}")
        if name in (".", "..") or "\\" in name:
            raise _unsafe(self.source, self.part, f"'{path}' is a name that leads elsewhere")
        item = group[name]
        if isinstance(item, h5py.Group):
            return [(item, path, level + 1)]
        if not isinstance(item, h5py.Dataset):
            raise damaged(self.source, self.part, f"'{path}' is neither group nor dataset")
        self._once(item, path)
        self._attributes(item, path)
        self._dataset(item, path)
        return []

    def _once(self, item: Any, path: str) -> None:
        import h5py

        address = h5py.h5o.get_info(item.id).addr
        if address in self.seen:
            raise _unsafe(self.source, self.part, f"'{path}' is in two places")
        self.seen.add(address)
        if len(self.seen) > MAX_OBJECTS:
            raise _unsafe(self.source, self.part, f"It holds over {MAX_OBJECTS:,} objects")

    def _attributes(self, item: Any, path: str) -> None:
        import h5py

        for name in item.attrs:
            attribute = h5py.h5a.open(item.id, name.encode("utf-8"))
            where = f"{path}@{name}" if path != "/" else name
            values = math.prod(attribute.shape or ())
            check_text_size(values * attribute.get_type().get_size(), where, self.source)

    def _dataset(self, item: Any, path: str) -> None:
        import h5py

        if item.is_virtual:
            raise _unsafe(self.source, self.part, f"'{path}' is a virtual dataset")
        if item.external:
            raise _unsafe(self.source, self.part, f"'{path}' is stored in another file")
        if item.shape is None:
            raise damaged(self.source, self.part, f"'{path}' has no shape")
        dtype, kind = item.dtype, str(item.dtype)
        if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
            mark = item.attrs.get("dtype")
            kind = BFLOAT16 if isinstance(mark, str) and mark == BFLOAT16 else kind
        if dtype.kind not in _KINDS and kind != BFLOAT16:
            words = "texts or objects" if dtype.kind in "OSU" else f"values of type {dtype}"
            hint = ""
            if kind == "|V2":
                hint = (
                    "Keras writes bfloat16 so into .h5 files, and reads it from .keras files alone."
                )
            raise _unsafe(self.source, self.part, f"'{path}' holds {words}, not real numbers", hint)
        declared = math.prod(item.shape) * dtype.itemsize
        stored = item.id.get_storage_size()
        layout = item.id.get_create_plist().get_layout()
        self.total += declared
        if declared and declared > 1100 * max(stored, 1) and layout != h5py.h5d.COMPACT:
            raise _unsafe(
                self.source,
                self.part,
                f"'{path}' declares {declared:,} bytes and stores {stored:,}",
            )
        offset = None
        if layout == h5py.h5d.CONTIGUOUS:
            self.contiguous += declared
            offset = item.id.get_offset() if declared else None
            if stored < declared or (offset or 0) + declared > self.size:
                raise damaged(
                    self.source, self.part, f"'{path}' declares {declared:,} bytes and stores fewer"
                )
        if self.contiguous > self.size:
            raise _unsafe(self.source, self.part, "Datasets share bytes")
        if self.total > size_limit(self.size, self.max_size):
            raise too_large(self.source, self.total, self.size)
        self.found.append(Stored(path[1:], tuple(item.shape), kind, declared, offset))


# ---- heaps ------------------------------------------------------------------------------------------------


def _check_heaps(raw: Any, size: int, datasets: list, source: str, part: str) -> None:
    """Refuse a heap of texts in which the HDF5 library would go round for ever.

    Texts of any length lie in heaps: `GCOL`, version, size, then objects, each with its size. The
    library steps from one to the next without asking whether a step is longer than nothing. Heaps may
    be anywhere between the datasets. Source: HDF5 file format specification, version 3, III.E.
    """
    raw.seek(0)
    start = raw.read(16)
    widths = start[13:15] if start[8] < 2 else start[9:11]
    if widths != b"\x08\x08":
        raise damaged(source, part, "addresses are not 8 bytes long, as in every model file")
    for begin, end in _gaps(size, datasets):
        raw.seek(begin)
        data = raw.read(end - begin)
        at = data.find(b"GCOL\x01")
        while at >= 0:
            if not _steps_to_its_end(data, at):
                raise damaged(source, part, f"a heap of texts at byte {begin + at:,} is broken")
            at = data.find(b"GCOL\x01", at + 1)


def _gaps(size: int, datasets: list) -> list:
    """Stretches of a file that hold no dataset's values."""
    spans = sorted((s.offset, s.offset + s.nbytes) for s in datasets if s.offset is not None)
    out, at = [], 0
    for begin, end in spans:
        if begin > at:
            out.append((at, begin))
        at = max(at, end)
    return [*out, (at, size)] if at < size else out


def _steps_to_its_end(data: bytes, at: int) -> bool:
    if at + 16 > len(data):
        return False
    (length,) = struct.unpack_from("<Q", data, at + 8)
    if length < 32 or at + length > len(data):
        return False
    step = at + 16
    while step + 16 <= at + length:
        number, nbytes = struct.unpack_from("<H6xQ", data, step)
        move = nbytes if number == 0 else 16 + (nbytes + 7) // 8 * 8
        if move < 16 or step + move > at + length:
            return False
        step += move
    return True
