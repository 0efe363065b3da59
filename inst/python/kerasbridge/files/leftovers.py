"""Names of unfinished files, and the removal of those whose writer is gone.

A name is `.kerasbridge-<place>-<process>-<start>-<random><ending>`: the place is the machine since its
last start (and the container, where there is one), the process its number there. A file of a process
that no longer runs is rubbish. Files from another place can't be judged so; they go after a day.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Iterator, Union

PREFIX = ".kerasbridge-"
OLD = 24 * 3600  # seconds after which an unfinished file of an unknown writer is rubbish
_NAME = re.compile(re.escape(PREFIX) + r"([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]+(\..*)?")


@functools.lru_cache(maxsize=1)
def _place() -> str:
    marks = [socket.gethostname()]
    with contextlib.suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with contextlib.suppress(OSError):
        marks.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:8]


def _start(process: int) -> int:
    """When a process began, in ticks of its system; 0 where that isn't told."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def new_name(folder: Union[str, os.PathLike], ending: str = "") -> str:
    """Path of an unfinished file in `folder` that doesn't exist yet."""
    process = os.getpid()
    name = f"{PREFIX}{_place()}-{process}-{_start(process)}-{secrets.token_hex(4)}{ending}"
    return os.path.join(os.fspath(folder), name)


@contextlib.contextmanager
def room(folder: Union[str, os.PathLike]) -> Iterator[str]:
    """An empty folder inside `folder` for unfinished files, gone afterwards or with the next write."""
    place = new_name(folder)
    os.mkdir(place)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _runs(process: int, start: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not start or _start(process) in (0, start)


def is_left(path: Union[str, os.PathLike]) -> bool:
    """Whether `path` is an unfinished file or folder whose writer is gone."""
    match = _NAME.fullmatch(os.path.basename(os.fspath(path)))
    if match is None:
        return False
    # on Windows there is no harmless way to ask for a process by number
    if match[1] == _place() and sys.platform != "win32":
        return not _runs(int(match[2]), int(match[3]))
    try:
        return time.time() - os.lstat(path).st_mtime > OLD
    except OSError:
        return False


def left_in(folder: Union[str, os.PathLike]) -> list:
    """Paths of the unfinished files and folders in `folder` whose writers are gone."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    return [path for path in names if is_left(path)]


def remove(path: Union[str, os.PathLike]) -> None:
    """Remove an unfinished file or folder; what can't be removed is left."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        # a library that failed to close the file may hold it open: give the space back all the same
        if os.lstat(path).st_nlink == 1:  # else it is the finished file under a second name
            os.truncate(path, 0)
    with contextlib.suppress(OSError):
        os.unlink(path)
