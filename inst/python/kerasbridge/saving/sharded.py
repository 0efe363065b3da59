"""Weights in several files: `<name>.weights.json` and the shards that it names.

Keras writes the shards over the old ones, one by one. Here they get names of their own; the list is
replaced last, in one step, and then the old shards go. Keras opens `<name>_00000.weights.h5` before it
looks into the list: an empty file of that name stands beside. Source of the layout: Keras 3.13.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import secrets
from functools import partial
from typing import Any, Iterator, Optional, Union

from kerasbridge.errors import ArgumentError, FileError, UnsafeFileError, UnsupportedError
from kerasbridge.files import check_room, check_target, recover, replacing, workplace
from kerasbridge.files.folders import flush
from kerasbridge.files.single import explained, one_at_a_time
from kerasbridge.saving import manifest
from kerasbridge.saving.contents import Contents, checksum, read_contents
from kerasbridge.saving.door import Door, not_loaded
from kerasbridge.saving.kept_values import left_whole
from kerasbridge.saving.own_tree import own_tree
from kerasbridge.saving.report import WeightsReport
from kerasbridge.saving.safety.config import check_allow
from kerasbridge.saving.safety.texts import check_text_size, read_json
from kerasbridge.saving.sizes import array_bytes, stored_size
from kerasbridge.saving.verifying import changed
from kerasbridge.saving.weight_trees import (
    compare_tree,
    load_tree,
    load_whole_tree,
    prepare_optimizer,
)
from kerasbridge.saving.writing import add_manifest

PathLike = Union[str, "os.PathLike[str]"]
ENDING = ".weights.json"
GIGABYTE = 1024.0**3


def write_sharded(model: Any, path: PathLike, overwrite: bool, max_shard_size: float) -> None:
    """Write weights to shards of at most `max_shard_size` GB (of 1024^3 bytes) each.

    Raises:
        UnsupportedError: the installed Keras can't.
        ArgumentError: a single array is larger than a shard may be.
        FileError: as `kerasbridge.files.replacing`.
    """
    if "max_shard_size" not in inspect.signature(model.save_weights).parameters:
        raise UnsupportedError(
            "The installed Keras can't write weights in several files; it came with Keras 3.10.",
            argument="max_shard_size",
        )
    largest = max((array_bytes(w) for w in model.weights), default=0)
    if largest > max_shard_size * GIGABYTE:
        raise ArgumentError(
            f"One array alone has {largest / GIGABYTE:.3g} GB; a file may have {max_shard_size:g}.",
            hint="Raise `max_shard_size`.",
            argument="max_shard_size",
        )
    target = check_target(path, overwrite)
    folder, base = str(target.parent), target.name[: -len(ENDING)]
    recover(folder)
    token = secrets.token_hex(4)
    with explained(folder), one_at_a_time(folder), workplace(folder) as work:
        _clear(folder, base)
        check_room(folder, stored_size(model))
        written = os.path.join(work, f"{base}-{token}{ENDING}")
        model.save_weights(written, max_shard_size=max_shard_size)
        shards = [name for name in os.listdir(work) if name.endswith(".weights.h5")]
        _add_checksums(model, written, [os.path.join(work, name) for name in shards])
        try:
            for name in shards:
                flush(os.path.join(work, name))
                os.replace(os.path.join(work, name), os.path.join(folder, name))
            if not os.path.exists(_opened_first(folder, base)):
                _write_empty(folder, base)
            with replacing(target, overwrite) as temporary:
                os.replace(written, temporary)
        except BaseException:
            for name in shards:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))
            raise
        _write_empty(folder, base)
        _clear(folder, base)


def _opened_first(folder: str, base: str) -> str:
    return os.path.join(folder, f"{base}_00000.weights.h5")


def _write_empty(folder: str, base: str) -> None:
    import h5py

    with replacing(_opened_first(folder, base)) as temporary, h5py.File(temporary, "w"):
        pass


def _clear(folder: str, base: str) -> None:
    """Remove shards of this name that no list names: those before, and those of a killed process."""
    pattern = re.compile(re.escape(base) + r"(-[0-9a-f]{8})?_\d{5}\.weights\.h5")
    used = {os.path.basename(_opened_first(folder, base))}
    with contextlib.suppress(OSError, ValueError):
        used |= shards_of(os.path.join(folder, base + ENDING))
    for name in os.listdir(folder):
        if pattern.fullmatch(name) and name not in used:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))


def _add_checksums(model: Any, listed: str, shards: list) -> None:
    """A manifest in each shard, and in the list how to tell that a shard is the one it was."""
    for shard in shards:
        add_manifest(model, shard)
    with open(listed, encoding="utf-8") as file:
        table = json.load(file)
    table["metadata"]["kerasbridge"] = {
        "format": manifest.FORMAT,
        "map": _checksum_of_map(table),
        "shards": {os.path.basename(shard): _identity(read_contents(shard)) for shard in shards},
    }
    with open(listed, "w", encoding="utf-8") as file:
        json.dump(table, file, indent=1)


def _identity(contents: Contents) -> int:
    """Checksum of a shard's manifest, which has the checksums of all else in it."""
    return checksum(manifest.plain_text(contents.manifest or {}).encode("utf-8"))


def _checksum_of_map(table: dict) -> int:
    return checksum(json.dumps(table["weight_map"], sort_keys=True).encode("utf-8"))


def _read_list(path: PathLike) -> dict:
    """The list of shards, looked at.

    Raises:
        FileError: it is not such a list, is damaged, or names a file outside of its folder.
    """
    source = f"'{os.fspath(path)}'"
    check_text_size(os.path.getsize(path), "", source)
    with open(path, "rb") as file:
        table = read_json(file.read(), "", source)
    try:
        names = [
            n for v in table["weight_map"].values() for n in (v if isinstance(v, list) else [v])
        ]
        told = table.get("metadata", {}).get("kerasbridge")
        known = {} if told is None else {name: int(crc) for name, crc in told["shards"].items()}
        fits = told is None or told["map"] == _checksum_of_map(table)
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise FileError(
            f"{source} is not a list of files of weights, or damaged.", argument="filepath"
        ) from err
    for name in names:
        if os.path.basename(str(name)) != name or name in ("", os.curdir, os.pardir):
            raise UnsafeFileError(
                f"{source} names a file outside of its folder: '{name}'.", argument="filepath"
            )
    if not fits:
        raise changed(source, "weight_map", "it is not what was written")
    return {"names": set(names), "known": known if told is not None else None}


def shards_of(path: PathLike) -> set[str]:
    """Names of the files that a list of shards names.

    Raises:
        FileError: see `_read_list`.
    """
    return _read_list(path)["names"]


def list_of(path: str) -> Optional[str]:
    """The list that names a file as one of its shards, if it stands beside."""
    folder, name = os.path.split(os.path.abspath(path))
    base = re.fullmatch(r"(.+?)(-[0-9a-f]{8})?_\d{5}\.weights\.h5", name)
    listed = os.path.join(folder, base[1] + ENDING) if base else ""
    with contextlib.suppress(OSError, FileError):
        if name in shards_of(listed):
            return listed
    return None


def load_sharded(
    model: Any,
    path: str,
    skip_mismatch: bool = False,
    by_name: bool = False,
    allow: Any = (),
    max_size: Optional[int] = None,
) -> WeightsReport:
    """Load weights that `write_sharded` or Keras wrote; every shard is looked at first.

    Args:
        skip_mismatch, by_name, allow, max_size: as for `load_weights`; the size is that of one shard.

    Raises:
        FileError: the list or a shard is damaged, missing, or of another model; names file or layer.
        UnsafeFileError: a shard reads other files, or is dishonest about its size.
    """
    listed = _read_list(path)
    folder = os.path.dirname(os.path.abspath(path))
    for name in sorted(listed["names"]):
        if not os.path.isfile(os.path.join(folder, name)):
            raise _missing(path, name)
    first = _opened_first(folder, os.path.basename(path)[: -len(ENDING)])
    looked_at = listed["names"] | ({os.path.basename(first)} if os.path.exists(first) else set())
    doors = {}
    for name in sorted(looked_at):
        with _of_a_set(path):
            doors[name] = Door(os.path.join(folder, name), allow=allow, max_size=max_size)
    shards = [doors[name] for name in sorted(listed["names"])]
    if listed["known"] is not None and "changed" not in check_allow(allow):
        for name, door in zip(sorted(listed["names"]), shards):
            if listed["known"].get(name) != _identity(door.contents):
                raise changed(f"'{path}'", name, "this file is not the one that was written")
    files = [door.contents for door in shards]
    writing = partial(left_whole, model, shards, path)

    def by_keras() -> None:
        if not os.path.exists(first):
            raise _missing(path, os.path.basename(first))
        try:
            model.load_weights(path)
        except Exception as err:  # Keras and HDF5 have several classes for it
            report, _ = compare_tree(model, own_tree(model), files)
            report.refuse(path, False, False)
            raise not_loaded(f"'{path}'", err) from err

    with _of_a_set(path):
        if skip_mismatch or by_name:
            report = load_tree(model, path, files, skip_mismatch, by_name, writing)
        else:
            prepare_optimizer(model, files)
            report = load_whole_tree(model, path, files, by_keras, writing, straight=True)
        report.notes += [note for door in shards for note in door.finish_weights(model)]
    return report


@contextlib.contextmanager
def _of_a_set(path: str) -> Iterator[None]:
    """An error about one of the files says which list names it."""
    try:
        yield
    except FileError as err:
        if f"'{path}'" not in str(err):
            part = f"It is one of the files that '{path}' names: save or copy all of them again."
            err.hint = f"{err.hint} {part}" if err.hint else part
        raise


def _missing(path: str, name: str) -> FileError:
    return FileError(
        f"'{path}' names the file '{name}', which is missing.",
        hint="The files of weights that were saved in pieces belong together in one folder.",
        argument="filepath",
    )
