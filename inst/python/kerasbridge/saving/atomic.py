"""Write beside the target, flush to disk, rename: the old file is whole or replaced, never neither."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, Union

from kerasbridge.errors import FileError


def check_target(path: Union[str, os.PathLike], overwrite: bool) -> Path:
    """The path to write to, links followed.

    Raises:
        FileError: its folder is missing, it is a folder, or it exists and `overwrite` is False.
    """
    target = Path(os.path.realpath(os.path.expanduser(os.fspath(path))))
    if not target.parent.is_dir():
        raise FileError(
            f"The folder '{target.parent}' does not exist.",
            hint="Make the folder first, or choose another path.",
            argument="filepath",
        )
    if target.is_dir():
        raise FileError(f"'{target}' is a folder, not a file.", argument="filepath")
    if target.exists() and not overwrite:
        raise FileError(
            f"'{target}' exists already.",
            hint="Choose another name, or say `overwrite = TRUE`.",
            argument="overwrite",
        )
    return target


@contextlib.contextmanager
def replacing(path: Union[str, os.PathLike], overwrite: bool = True) -> Iterator[str]:
    """Yield a temporary path in the target's folder; on success it takes the target's place.

    The temporary file keeps the target's ending (Keras chooses the format by it), is flushed to
    disk before the rename, and is removed on any failure.

    Raises:
        FileError: the folder is missing or read-only, the disk is full, or the file exists.
    """
    target = check_target(path, overwrite)
    ending = "".join(target.suffixes[-2:]) if target.name.endswith(".weights.h5") else target.suffix
    try:
        handle, temporary = tempfile.mkstemp(
            prefix=".kerasbridge-", suffix=ending, dir=target.parent
        )
    except PermissionError as err:
        raise FileError(
            f"The folder '{target.parent}' can't be written to.", argument="filepath"
        ) from err
    os.close(handle)
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        yield temporary
        os.chmod(temporary, mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except OSError as err:
        if err.errno == errno.ENOSPC:
            raise FileError(
                f"The disk of '{target.parent}' is full; nothing was changed.",
                hint="Free some space or save elsewhere.",
                argument="filepath",
            ) from err
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


@contextlib.contextmanager
def replacing_folder(path: Union[str, os.PathLike], overwrite: bool = True) -> Iterator[str]:
    """Yield the path of a folder that doesn't exist yet; on success it takes the target's place.

    A folder that was there is moved aside first and removed last, so that the target is missing only
    between two renames.

    Raises:
        FileError: the parent folder is missing, or the target exists (as a file always).
    """
    target = Path(os.path.realpath(os.path.expanduser(os.fspath(path))))
    if not target.parent.is_dir():
        raise FileError(f"The folder '{target.parent}' does not exist.", argument="filepath")
    if target.exists() and not target.is_dir():
        raise FileError(f"'{target}' is a file, not a folder.", argument="filepath")
    if target.exists() and not overwrite:
        raise FileError(
            f"'{target}' exists already.",
            hint="Choose another name, or say `overwrite = TRUE`.",
            argument="overwrite",
        )
    if target.exists() and any(target.iterdir()) and not (target / "saved_model.pb").exists():
        raise FileError(
            f"The folder '{target}' holds something else than a SavedModel and is not replaced.",
            hint="Choose a path that doesn't exist yet.",
            argument="filepath",
        )
    workplace = tempfile.mkdtemp(prefix=".kerasbridge-", dir=target.parent)
    fresh, old = os.path.join(workplace, "new"), os.path.join(workplace, "old")
    try:
        yield fresh
        if target.exists():
            os.rename(target, old)
        try:
            os.rename(fresh, target)
        except OSError:
            if os.path.exists(old):
                os.rename(old, target)
            raise
        _flush_folder(target.parent)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some systems can't open a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
