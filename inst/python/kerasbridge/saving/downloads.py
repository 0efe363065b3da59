"""Files from elsewhere: an archive is looked at before it is unpacked."""

from __future__ import annotations

import os
import shutil
import tarfile
import urllib.parse
import zipfile
from typing import Any, Optional

from kerasbridge.errors import FileError
from kerasbridge.files import workplace
from kerasbridge.files.single import explained
from kerasbridge.saving.safety.archives import check_archive


def get_file(
    fname: Optional[str] = None,
    origin: Optional[str] = None,
    untar: bool = False,
    extract: bool = False,
    **arguments: Any,
) -> str:
    """`keras.utils.get_file`; an archive that would write elsewhere is refused, not unpacked in part.

    What is unpacked is the very file that was looked at, into the folder that Keras 3.6 and newer
    choose, whichever Keras is installed. A `cache_dir` that doesn't exist yet is made (Keras would take
    another folder without a word).

    Args:
        fname, origin, untar, extract, arguments: those of `keras.utils.get_file`.

    Returns:
        Path of the file, or of the folder of what was unpacked.

    Raises:
        UnsafeFileError: a member of the archive leads out of its folder, is a link, has too long a path, or
            the archive expands without measure.
        FileError: the archive is damaged or of another format than `archive_format`, or `cache_dir` can't
            be made.
    """
    import keras

    if arguments.get("cache_dir"):
        _make_cache(arguments["cache_dir"])
    given = os.fspath(fname) if fname else ""
    name = given or os.path.basename(urllib.parse.urlsplit(origin or "").path)
    if not (extract or untar) or not name:
        return keras.utils.get_file(fname, origin, untar=untar, extract=extract, **arguments)
    wanted = arguments.pop("archive_format", "auto")
    kept = given if "." in given else f"{name}_archive"
    path = keras.utils.get_file(kept, origin, **arguments)
    folder = name.split(".")[0] + "_extracted" if "." in given else name
    return _unpack(path, os.path.join(os.path.dirname(path), folder), "tar" if untar else wanted)


def _make_cache(folder: Any) -> None:
    try:
        os.makedirs(os.path.expanduser(folder), exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder '{folder}' can't be made: {error.strerror}.", argument="cache_dir"
        ) from error


def _unpack(path: str, folder: str, wanted: Any) -> str:
    """Unpack an archive into `folder`, whole or not at all; files of the same names are replaced."""
    check_archive(path, folder)
    zipped = zipfile.is_zipfile(path)
    kind = "zip" if zipped else "tar"
    formats = (
        ("tar", "zip") if wanted == "auto" else [wanted] if isinstance(wanted, str) else wanted
    )
    if kind not in (formats or ()):
        raise FileError(
            f"'{os.path.basename(path)}' is a {kind} archive.",
            hint=f"`archive_format` says which to unpack: '{kind}', or 'auto' for either.",
            argument="archive_format",
        )
    parent = os.path.dirname(folder)
    with explained(parent, "cache_dir"), workplace(parent) as place:
        fresh = os.path.join(place, "new")
        if zipped:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(fresh)
        else:
            with tarfile.open(path) as archive:
                # rights that are none of an archive's business; Python 3.10.11 and older know no filters
                filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                archive.extractall(fresh, **filters)
        if os.path.exists(folder):
            shutil.copytree(fresh, folder, dirs_exist_ok=True)
        else:
            os.rename(fresh, folder)
    return folder
