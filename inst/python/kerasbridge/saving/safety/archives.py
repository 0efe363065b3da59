"""Archives looked at before anything is taken out: zips of models, zips and tars of downloads."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
from typing import Any, Optional

from kerasbridge.errors import FileError, UnsafeFileError
from kerasbridge.saving.safety.texts import damaged

MAX_MEMBERS = 20_000
FREE_SIZE = 256 * 2**20  # bytes that any file may expand to
EXPANSION = 20  # times its own size that a larger file may expand to
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def size_limit(stored: int, max_size: Optional[int] = None) -> int:
    """Bytes that a file of `stored` bytes may expand to; `max_size` says otherwise."""
    return int(max_size) if max_size is not None else max(FREE_SIZE, EXPANSION * stored)


def check_zip(path: str, source: str, max_size: Optional[int] = None) -> dict:
    """The members of a zip by name, once nothing in it leads elsewhere or lies about its size.

    Raises:
        UnsafeFileError: a path that leads out, a link, a name twice, members that share bytes, an
            encrypted member, or more bytes than the limit once expanded.
        FileError: not a zip, or damaged.
    """
    size = os.path.getsize(path)
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            members = archive.infolist()
            _check_members(members, source)
            total = sum(info.file_size for info in members)
            if total > size_limit(size, max_size):
                raise too_large(source, total, size)
            spans = sorted((*_span(file, info, source), info.filename) for info in members)
    except UnsafeFileError:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, struct.error) as err:
        if isinstance(err, FileError):
            raise
        raise damaged(source, "", str(err) or type(err).__name__, size) from err
    except (NotImplementedError, EOFError, UnicodeError, MemoryError, OverflowError) as err:
        raise damaged(source, "", str(err) or type(err).__name__, size) from err
    for (_, end, one), (start, _, two) in zip(spans, spans[1:]):
        if start < end:
            raise _unsafe(source, f"The members '{one}' and '{two}' share bytes")
    if spans and spans[-1][1] > size:
        raise damaged(source, spans[-1][2], "it ends too early", size)
    return {info.filename: info for info in members}


def _unsafe(source: str, what: str, hint: str = "No model file is made so.") -> UnsafeFileError:
    return UnsafeFileError(f"{source} is refused. {what}.", hint=hint, argument="filepath")


def too_large(source: str, total: int, size: int) -> UnsafeFileError:
    """The error for a file whose content is far larger than the file."""
    return UnsafeFileError(
        f"{source} is refused. Its {size:,} bytes claim to hold {total:,} bytes.",
        hint=f"If that is honest: `max_size = {total}`.",
        argument="max_size",
    )


def _check_members(members: list, source: str) -> None:
    if len(members) > MAX_MEMBERS:
        raise _unsafe(source, f"It has {len(members):,} members")
    seen = set()
    for info in members:
        name = info.filename
        if leads_out(name) or info.orig_filename != name and "\x00" in info.orig_filename:
            raise _unsafe(source, f"The member '{name[:80]}' leads out of its folder")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _unsafe(source, f"The member '{name}' is a link")
        if name in seen:
            raise _unsafe(source, f"The member '{name}' is there twice")
        seen.add(name)
        if info.flag_bits & 1:
            raise _unsafe(source, f"The member '{name}' is encrypted")
        if info.compress_type not in _METHODS:
            raise damaged(source, name, "compressed in a way that model files never are")
        # deflate can't do better than 1,032 to 1
        if info.file_size > 1100 * max(info.compress_size, 1):
            raise _unsafe(source, f"The member '{name}' lies about its size")


def leads_out(name: str) -> bool:
    """Whether a path inside an archive would leave the folder it is unpacked to."""
    parts = re.split(r"[/\\]", name)
    return (
        ".." in parts
        or name.startswith(("/", "\\"))
        or bool(re.match(r"^[A-Za-z]:", name))
        or "\x00" in name
        or len(name) > 1000
    )


def _span(file: Any, info: zipfile.ZipInfo, source: str) -> tuple:
    """First and last byte of a member, its own header included."""
    file.seek(info.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise damaged(source, info.filename, "its header is not where it should be")
    method, name_length, extra_length = struct.unpack("<8xH16xHH", header)
    name = file.read(name_length)
    if method != info.compress_type or name.decode("utf-8", "replace") != info.orig_filename:
        raise damaged(source, info.filename, "its two headers differ")
    start = info.header_offset + 30 + name_length + extra_length
    return info.header_offset, start + info.compress_size


def data_offset(path: str, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin in the file."""
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + name_length + extra_length


def read_member(path: str, name: str, source: str) -> bytes:
    """The bytes of a member, its checksum looked at."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except Exception as err:  # noqa: B902 - zlib, zipfile and struct each have their own
        raise damaged(source, name, str(err)[:200]) from err


def check_archive(path: str, folder: str, max_size: Optional[int] = None) -> None:
    """Refuse a zip or tar that would write outside `folder`, make links, or expand without measure.

    Raises:
        UnsafeFileError: names the member.
        FileError: not an archive, or damaged.
    """
    source = f"'{os.path.basename(path)}'"
    if zipfile.is_zipfile(path):
        check_zip(path, source, max_size)
        return
    total, count, seen = 0, 0, set()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                count += 1
                total += max(member.size, 0)
                name = posixpath.normpath(member.name)
                if leads_out(member.name):
                    raise _unsafe(
                        source, f"The member '{member.name[:80]}' leads out of its folder"
                    )
                if member.issym() or member.islnk():
                    raise _unsafe(source, f"The member '{member.name}' is a link")
                if not (member.isfile() or member.isdir()):
                    raise _unsafe(source, f"The member '{member.name}' is neither file nor folder")
                if name in seen and member.isfile():
                    raise _unsafe(source, f"The member '{member.name}' is there twice")
                seen.add(name)
                if len(os.path.join(folder, name)) > 4000 or max(map(len, name.split("/"))) > 255:
                    raise _unsafe(source, f"The member '{name[:40]}...' has too long a path")
                if count > 50 * MAX_MEMBERS:
                    raise _unsafe(source, f"It has over {count:,} members")
                if total > _tar_limit(path, max_size):
                    raise too_large(source, total, os.path.getsize(path))
    except (tarfile.TarError, EOFError, OSError) as err:
        if isinstance(err, FileError):
            raise
        raise damaged(source, "", str(err)[:200], os.path.getsize(path)) from err


def _tar_limit(path: str, max_size: Optional[int]) -> int:
    if max_size is not None:
        return int(max_size)
    return max(4 * FREE_SIZE, 5 * EXPANSION * os.path.getsize(path))
