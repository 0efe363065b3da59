"""One file: written beside its target, flushed, renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Iterator, Optional, Union

from kerasbridge.errors import FileError, KerasBridgeError
from kerasbridge.files import folders, leftovers

PathLike = Union[str, "os.PathLike[str]"]

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_MARGIN = 64 * 1024  # bytes; with less free than this a disk counts as full


def real_path(path: PathLike, argument: str = "filepath") -> Path:
    """The path that is meant: `~` expanded, links followed.

    Raises:
        FileError: it is a link that leads to itself, or its folder is missing.
    """
    target = Path(os.path.realpath(os.path.expanduser(os.fspath(path))))
    if len(os.fsencode(target.name)) > 255:
        raise FileError("The name of the file is too long for a disk.", argument=argument)
    if target.is_symlink():
        raise FileError(f"'{target}' is a link that leads nowhere.", argument=argument)
    if not target.parent.is_dir():
        raise FileError(
            f"The folder '{target.parent}' does not exist.",
            hint="Make the folder first, or choose another path.",
            argument=argument,
        )
    return target


def refuse_existing(target: Path) -> None:
    raise FileError(
        f"'{target}' exists already.",
        hint="Choose another name, or say `overwrite = TRUE`.",
        argument="overwrite",
    )


def check_target(path: PathLike, overwrite: bool, argument: str = "filepath") -> Path:
    """The path to write to, links followed.

    Raises:
        FileError: its folder is missing, it is a folder or a device, it is write-protected, or it
            exists and `overwrite` is False.
    """
    target = real_path(path, argument)
    if target.is_dir():
        raise FileError(f"'{target}' is a folder, not a file.", argument=argument)
    if not target.exists():
        return target
    if not target.is_file():
        raise FileError(f"'{target}' is a device, not a file.", argument=argument)
    if not overwrite:
        refuse_existing(target)
    if not os.access(target, os.W_OK):
        raise FileError(
            f"'{target}' is write-protected.",
            hint="Allow writing to it, or choose another name.",
            argument=argument,
        )
    return target


def check_room(folder: PathLike, size: int, argument: str = "filepath") -> None:
    """Refuse to begin a file of `size` bytes that the disk has no room for.

    Raises:
        FileError: fewer bytes are free.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < size:
        raise FileError(
            f"The disk of '{folder}' is full: {size:,} bytes are needed, {free:,} are free. "
            "Nothing was changed.",
            hint="Free some space or save elsewhere.",
            argument=argument,
        )


def _is_full(err: BaseException, folder: PathLike) -> bool:
    if getattr(err, "errno", None) in _FULL or f"errno = {errno.ENOSPC}" in str(err):
        return True
    if os.strerror(errno.ENOSPC) in str(err):
        return True
    # some libraries lose the reason on the way: ask the disk
    try:
        return shutil.disk_usage(folder).free < _MARGIN
    except OSError:
        return False


@contextlib.contextmanager
def explained(folder: PathLike, argument: str = "filepath") -> Iterator[None]:
    """Turn the system's errors while writing to `folder` into a `FileError` that says what to do."""
    try:
        yield
    except KerasBridgeError:
        raise
    except Exception as err:  # libraries have classes of their own for the system's errors
        if _is_full(err, folder):
            raise FileError(
                f"The disk of '{folder}' is full; nothing was changed.",
                hint="Free some space or save elsewhere.",
                argument=argument,
            ) from err
        if getattr(err, "errno", None) in _REFUSED:
            raise FileError(
                f"The folder '{folder}' can't be written to: {err.strerror}.",
                hint="Choose a folder of your own.",
                argument=argument,
            ) from err
        raise


@contextlib.contextmanager
def replacing(
    path: PathLike, overwrite: bool = True, argument: str = "filepath", ending: Optional[str] = None
) -> Iterator[str]:
    """Yield a temporary path in the target's folder; on success it takes the target's place.

    The temporary file has the target's ending or the one given (Keras chooses the format by it), is flushed to
    disk before the rename, and is removed on any failure. A target that is a link stays one: what it
    points at is replaced. Permissions and, where allowed, the owner of the old file are kept.

    Raises:
        FileError: the folder is missing or read-only, the disk is full, or the file exists.
    """
    target = check_target(path, overwrite, argument)
    folder = target.parent
    folders.recover(folder)
    if ending is None:
        double = target.name.endswith(".weights.h5")
        ending = "".join(target.suffixes[-2:]) if double else target.suffix
    temporary = leftovers.new_name(folder, ending)
    with explained(folder, argument):
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield temporary
            _dress(temporary, target)
            folders.flush(temporary)
            _put(temporary, target, overwrite)
            folders.flush(folder)
        finally:
            leftovers.remove(temporary)


def _dress(temporary: str, target: Path) -> None:
    """Give the new file the permissions of the old one, or those of any new file."""
    if target.exists():
        old = target.stat()
        if hasattr(os, "chown"):
            with contextlib.suppress(OSError):
                os.chown(temporary, old.st_uid, old.st_gid)
        mode = stat.S_IMODE(old.st_mode)
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    os.chmod(temporary, mode)


def _put(temporary: str, target: Path, overwrite: bool) -> None:
    if not overwrite:
        # a link is refused where the name was taken meanwhile; a rename would not be
        try:
            os.link(temporary, target)
            os.unlink(temporary)
            return
        except FileExistsError:
            refuse_existing(target)
        except OSError:  # a disk without links
            pass
    os.replace(temporary, target)


@contextlib.contextmanager
def one_at_a_time(folder: PathLike, seconds: float = 300) -> Iterator[None]:
    """Keep other processes that ask the same out while files of a folder change together.

    Where the system has no such locks, nothing is kept out. A process that ends gives its lock up.

    Raises:
        FileError: another process is at it for `seconds`.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise FileError(
                        f"Another process has been writing to '{folder}' for {seconds:.0f} seconds.",
                        argument="filepath",
                    ) from None
                time.sleep(0.02)
            except OSError:
                break
        yield
    finally:
        os.close(handle)


def write_text(
    path: PathLike, text: str, overwrite: bool = True, argument: str = "filepath"
) -> str:
    """Write a text file (UTF-8), whole or not at all; returns the path as it was given."""
    with replacing(path, overwrite, argument) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    return os.fspath(path)
