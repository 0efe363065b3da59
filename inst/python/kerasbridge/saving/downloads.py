"""Files from elsewhere: an archive is looked at before it is unpacked."""

from __future__ import annotations

import os
import urllib.parse
from typing import Any, Optional

from kerasbridge.saving.safety.archives import check_archive


def get_file(
    fname: Optional[str] = None,
    origin: Optional[str] = None,
    untar: bool = False,
    extract: bool = False,
    **arguments: Any,
) -> str:
    """`keras.utils.get_file`; an archive that would write elsewhere is refused, not unpacked in part.

    Args:
        fname, origin, untar, extract, arguments: those of `keras.utils.get_file`.

    Returns:
        Path of the file, or of the folder of what was unpacked.

    Raises:
        UnsafeFileError: a member of the archive leads out of its folder, is a link, has too long a path, or
            the archive expands without measure.
        FileError: the archive is damaged.
    """
    import keras

    if not (extract or untar) or not origin:
        return keras.utils.get_file(fname, origin, untar=untar, extract=extract, **arguments)
    # the name under which Keras keeps the archive that it unpacks
    name = os.fspath(fname) if fname else os.path.basename(urllib.parse.urlsplit(origin).path)
    kept = name if fname and "." in name else f"{name}_archive"
    whole = {k: v for k, v in arguments.items() if k != "archive_format"}
    path = keras.utils.get_file(kept, origin, **whole)
    check_archive(path, os.path.dirname(path))
    arguments.pop("force_download", None)
    return keras.utils.get_file(fname, origin, untar=untar, extract=extract, **arguments)
