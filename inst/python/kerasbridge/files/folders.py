"""Folders and groups of files: exchanged in one step where the system can, repaired where it can't.

A folder is made in a workplace beside its target and then changes places with the old one: in a single
step on Linux and macOS. Elsewhere the old folder is moved aside first; a process that dies between
the two steps leaves a note, and the next write or load in that place finishes the work. Groups of files
whose names are given by others (TensorFlow's checkpoints) go the same way.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import sys
from typing import Callable, Iterator, Optional, Union

from kerasbridge.errors import FileError
from kerasbridge.files import leftovers

PathLike = Union[str, "os.PathLike[str]"]
_NOTE = "moves.json"


def flush(path: PathLike) -> None:
    """Have the content of a file, or the names in a folder, written to the disk itself."""
    if os.path.isdir(path):
        # some systems can't open a folder
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_tree(top: str) -> None:
    for folder, _, names in os.walk(top):
        for name in names:
            flush(os.path.join(folder, name))
        flush(folder)


def _exchange(one: str, other: str) -> bool:
    """Let two paths change places in one step; False where the system or the disk can't."""
    try:
        if sys.platform == "linux":
            function = ctypes.CDLL(None, use_errno=True).renameat2
            here = -100  # AT_FDCWD
            return function(here, os.fsencode(one), here, os.fsencode(other), 2) == 0
        if sys.platform == "darwin":
            function = ctypes.CDLL(None, use_errno=True).renamex_np
            return function(os.fsencode(one), os.fsencode(other), 2) == 0
    except (OSError, AttributeError):
        pass
    return False


@contextlib.contextmanager
def replacing_folder(
    path: PathLike,
    overwrite: bool = True,
    marker: str = "saved_model.pb",
    argument: str = "filepath",
) -> Iterator[str]:
    """Yield the path of a folder that doesn't exist yet; on success it takes the target's place.

    Args:
        marker: name of a file that says that an old folder is of the kind that may be replaced.

    Raises:
        FileError: the parent folder is missing or read-only, the disk is full, the target exists (as a
            file always), or it holds something else.
    """
    from kerasbridge.files.single import explained, real_path, refuse_existing

    target = real_path(path, argument)
    if target.exists() and not target.is_dir():
        raise FileError(f"'{target}' is a file, not a folder.", argument=argument)
    if target.exists() and not overwrite:
        refuse_existing(target)
    if target.exists() and any(target.iterdir()) and not (target / marker).exists():
        raise FileError(
            f"The folder '{target}' holds something else than a SavedModel and is not replaced.",
            hint="Choose a path that doesn't exist yet.",
            argument=argument,
        )
    recover(target.parent)
    with explained(target.parent, argument), workplace(target.parent) as place:
        fresh, old = os.path.join(place, "new"), os.path.join(place, "old")
        yield fresh
        _flush_tree(fresh)
        if not target.exists() or not _exchange(fresh, str(target)):
            moves = [["new", target.name]]
            if target.exists():
                moves.insert(0, [target.name, "old"])
            _note(place, moves)
            if target.exists():
                os.rename(target, old)
            os.rename(fresh, target)
        flush(target.parent)


@contextlib.contextmanager
def replacing_files(
    folder: PathLike, last: Optional[Callable[[str], bool]] = None, argument: str = "filepath"
) -> Iterator[str]:
    """Yield an empty folder; on success the files in it replace those of the same names in `folder`.

    Args:
        last: tells by name the files that are moved after all others.

    Raises:
        FileError: the folder is missing or read-only, or the disk is full.
    """
    from kerasbridge.files.single import explained, real_path

    folder = real_path(os.path.join(os.fspath(folder), "any"), argument).parent
    recover(folder)
    with explained(folder, argument), workplace(folder) as place:
        fresh = os.path.join(place, "files")
        os.mkdir(fresh)
        yield fresh
        _flush_tree(fresh)
        names = sorted(os.listdir(fresh), key=lambda name: (last is not None and last(name), name))
        _note(place, [[os.path.join("files", name), name] for name in names])
        for name in names:
            os.replace(os.path.join(fresh, name), os.path.join(folder, name))
        flush(folder)


@contextlib.contextmanager
def workplace(parent: PathLike) -> Iterator[str]:
    """A new folder in `parent` that goes when the work is done, or with the next write there."""
    path = leftovers.new_name(parent)
    try:
        os.mkdir(path, 0o777)
        yield path
    finally:
        _finish(path)


def _finish(place: str) -> None:
    """Complete the moves that were begun, if any, and remove the workplace."""
    parent = os.path.dirname(place)
    try:
        with open(os.path.join(place, _NOTE), encoding="utf-8") as file:
            moves = json.load(file)
        moves = [[os.path.normpath(str(a)), os.path.normpath(str(b))] for a, b in moves]
    except (OSError, ValueError, TypeError):
        moves = []
    for source, goal in moves:
        outward = source == "new" or source.startswith("files" + os.sep)
        if outward and os.path.basename(goal) == goal and goal not in (os.curdir, os.pardir):
            fresh, target = os.path.join(place, source), os.path.join(parent, goal)
            with contextlib.suppress(OSError):
                if os.path.isdir(fresh) and os.path.isdir(target):
                    os.rename(target, os.path.join(place, "old"))
                if os.path.lexists(fresh):
                    os.replace(fresh, target)
            old = os.path.join(place, "old")
            if not os.path.lexists(target) and os.path.isdir(old):
                os.rename(old, target)
    shutil.rmtree(place, ignore_errors=True)


def _note(place: str, moves: list) -> None:
    """Write down what is about to be moved: from here on the new files win."""
    partial = os.path.join(place, _NOTE + ".part")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(moves, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, os.path.join(place, _NOTE))
    flush(place)


def recover(folder: PathLike) -> None:
    """Finish or clear what processes that are gone left unfinished in `folder`."""
    for path in leftovers.left_in(folder):
        if os.path.isdir(path) and not os.path.islink(path):
            _finish(path)
        else:
            leftovers.remove(path)
