"""Files that are whole or not there: everything this package writes is written through here.

A file is written beside its target under a name of its own, flushed to disk, and renamed; a folder is
exchanged with the old one. A process that is killed, a full disk or an interrupt leaves the old file
or the new one. What a killed process leaves beside it is cleared by the next write to that folder.

Not written through here: the logs of Keras' TensorBoard callback. They are streams that only grow, each run
has a file of its own, and its readers pass over a last record that is cut.
"""

from __future__ import annotations

from kerasbridge.files.folders import recover, replacing_files, replacing_folder, workplace
from kerasbridge.files.single import check_room, check_target, replacing, write_text

__all__ = [
    "check_room",
    "check_target",
    "recover",
    "replacing",
    "replacing_files",
    "replacing_folder",
    "workplace",
    "write_text",
]
