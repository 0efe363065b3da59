"""Which files a person means: paths, patterns such as "part-*.csv", folders."""

from __future__ import annotations

import glob
import os
from typing import Any, Sequence

from kerasbridge.errors import ArgumentError, FileError


def expand(path: Any, endings: Sequence[str]) -> list[str]:
    """All files of a path, a pattern, a folder, or a list of these; folders and patterns sorted.

    Args:
        endings: of a folder, the files whose names end so are taken.

    Raises:
        FileError: nothing is there.
    """
    if isinstance(path, (str, os.PathLike)):
        path = [path]
    found: list[str] = []
    for one in path:
        one = os.path.expanduser(os.fspath(one))
        if os.path.isdir(one):
            files = [
                os.path.join(folder, name)
                for folder, _, names in os.walk(one)
                for name in names
                if name.lower().endswith(tuple(endings)) and not name.startswith((".", "_"))
            ]
            if not files:
                raise FileError(
                    f"The folder '{one}' has no file that ends in {' or '.join(endings)}.",
                    argument="path",
                )
            found += sorted(files)
        elif os.path.isfile(one):
            found.append(one)
        else:
            files = [name for name in glob.glob(one, recursive=True) if os.path.isfile(name)]
            if not files:
                raise FileError(f"There is no file '{one}'.", argument="path")
            found += sorted(files)
    if not found:
        raise ArgumentError("`path` names no file.", argument="path")
    return found
