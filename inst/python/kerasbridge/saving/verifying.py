"""Is a file what was once written? Its parts against the checksums in it."""

from __future__ import annotations

import mmap
import os
import threading
import zipfile
from typing import Optional

from kerasbridge.errors import FileError
from kerasbridge.saving.contents import MANIFEST, Contents, checksum
from kerasbridge.saving.manifest import dataset_checksums
from kerasbridge.saving.safety.archives import data_offset, read_member
from kerasbridge.saving.safety.texts import damaged

BESIDE = 32 * 2**20  # bytes from which on the work is done beside the loading


class Verification:
    """The check of one file: at once for small ones, in a thread of its own for large ones.

    `finish()` waits for it and raises what it found.
    """

    def __init__(self, contents: Contents):
        self._contents = contents
        self._error: Optional[BaseException] = None
        self._thread: Optional[threading.Thread] = None
        compare_texts(contents)
        if contents.size <= BESIDE:
            compare_values(contents)
            return
        self._thread = threading.Thread(target=self._run, name="kerasbridge-checksum", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            compare_values(self._contents)
        except BaseException as err:  # noqa: B902 - handed to the thread that waits
            self._error = err

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error


def changed(source: str, part: str, how: str) -> FileError:
    """The error for a part that does not fit the checksum in the file."""
    err = damaged(source, part, how)
    err.hint = 'Save or copy it again. If it was changed on purpose: `allow = "changed"`.'
    return err


def compare_texts(contents: Contents) -> None:
    """Names, sizes and descriptions; reads no weights."""
    if contents.manifest is None:
        return
    parts = contents.manifest["parts"]
    if contents.kind == "keras":
        now = {name: info.CRC for name, info in contents.members.items() if name != MANIFEST}
    else:
        now = {**contents.texts, "structure": contents.structure}
        now.update({f"/{stored.path}": None for stored in contents.datasets})
    for name in sorted(parts.keys() | now.keys()):
        if name not in now:
            raise changed(contents.source, name, "this part is missing")
        if name not in parts:
            raise changed(
                contents.source, name, "this part was not there when the file was written"
            )
        if now[name] is not None and now[name] != parts[name]["crc32"]:
            raise changed(contents.source, name, "it is not what was written")


def compare_values(contents: Contents) -> None:
    """The weights (and all else in a zip): every byte is read once."""
    if contents.kind == "keras":
        _compare_members(contents)
    elif contents.manifest is not None:
        parts = contents.manifest["parts"]
        for name, value in dataset_checksums(contents).items():
            if value != parts[name]["crc32"]:
                raise changed(contents.source, name, "its values are not what was written")


def _compare_members(contents: Contents) -> None:
    if not os.path.getsize(contents.path):
        raise damaged(contents.source, "", "it is empty", 0)
    with (
        open(contents.path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view,
    ):
        with memoryview(view) as whole:
            for name, info in contents.members.items():
                if info.compress_type != zipfile.ZIP_STORED:
                    read_member(contents.path, name, contents.source)
                    continue
                start = data_offset(contents.path, info)
                with whole[start : start + info.compress_size] as piece:
                    if checksum(piece) != info.CRC:
                        raise damaged(
                            contents.source,
                            name,
                            "its bytes don't fit their checksum",
                            contents.size,
                        )
