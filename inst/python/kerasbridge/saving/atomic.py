"""Whole or not at all: the writers of `kerasbridge.files`, under the name of this room."""

from kerasbridge.files import check_target, replacing, replacing_folder

__all__ = ["check_target", "replacing", "replacing_folder"]
