"""Is a file what was once written? Its parts against the checksums in it."""

from __future__ import annotations

import threading
import zipfile
from typing import Optional

from kerasbridge.errors import FileError
from kerasbridge.saving.contents import MANIFEST, WEIGHTS, Contents, of_training
from kerasbridge.saving.safety.archives import data_offset, read_member
from kerasbridge.saving.safety.texts import damaged
from kerasbridge.saving.sweeping import Sweep, dataset_checksums

BESIDE = 32 * 2**20  # bytes from which on the work is done beside the loading


class Verification:
    """The check of one file: at once for small ones, in a thread of its own for large ones.

    Args:
        contents: the file, looked at.
        compare: False takes parts that don't fit their checksum; NaN is looked for all the same.
        later: that of a large file waits for `begin`, or for `finish`.
    """

    def __init__(self, contents: Contents, compare: bool = True, later: bool = False):
        self._contents, self._compare = contents, compare
        self._error: Optional[BaseException] = None
        self._thread: Optional[threading.Thread] = None
        self._not_numbers: list = []
        if compare:
            compare_texts(contents)
        if contents.size <= BESIDE:
            self._not_numbers = compare_values(contents, compare)
            return
        self._thread = threading.Thread(target=self._run, name="kerasbridge-checksum", daemon=True)
        if not later:
            self.begin()

    def begin(self) -> None:
        """Start what has waited."""
        if self._thread is not None and self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        try:
            self._not_numbers = compare_values(self._contents, self._compare)
        except BaseException as err:  # noqa: B902 - handed to the thread that waits
            self._error = err

    def finish(self) -> list:
        """Wait for the outcome: paths of the weights that hold NaN.

        Raises:
            FileError: names the part that is damaged.
        """
        if self._thread is not None:
            self.begin()
            self._thread.join()
        if self._error is not None:
            raise self._error
        return [path for path in self._not_numbers if not of_training(path)]


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


def compare_values(contents: Contents, compare: bool = True) -> list:
    """The weights (and all else in a zip): every byte is read once.

    Returns:
        Paths of the datasets that hold NaN.

    Raises:
        FileError: a part does not fit its checksum (with `compare`).
    """
    with open(contents.path, "rb") as file:
        sweep = Sweep(file)
        if contents.kind == "keras":
            _compare_members(contents, sweep, compare)
            return sweep.not_numbers
        found = dataset_checksums(contents, sweep)
    if compare and contents.manifest is not None:
        for name, value in found.items():
            if value != contents.manifest["parts"][name]["crc32"]:
                raise changed(contents.source, name, "its values are not what was written")
    return sweep.not_numbers


def _compare_members(contents: Contents, sweep: Sweep, compare: bool) -> None:
    for name, info in contents.members.items():
        if info.compress_type != zipfile.ZIP_STORED:
            read_member(contents.path, name, contents.source)
            continue
        datasets = contents.datasets if name == WEIGHTS else ()
        start = data_offset(contents.path, info)
        if sweep.stretch(start, info.compress_size, datasets) != info.CRC and compare:
            raise damaged(
                contents.source, name, "its bytes don't fit their checksum", contents.size
            )
