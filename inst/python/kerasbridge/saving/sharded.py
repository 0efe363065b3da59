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
from typing import Any, Union

from kerasbridge.errors import ArgumentError, FileError, UnsupportedError
from kerasbridge.files import check_room, check_target, recover, replacing, workplace
from kerasbridge.files.folders import flush
from kerasbridge.files.single import explained, one_at_a_time
from kerasbridge.saving.sizes import array_bytes, stored_size

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


def shards_of(path: PathLike) -> set[str]:
    """Names of the files that a list of shards names.

    Raises:
        FileError: it is not such a list, or names a file outside of its folder.
    """
    try:
        with open(path, encoding="utf-8") as file:
            table = json.load(file)["weight_map"]
        names = {n for v in table.values() for n in (v if isinstance(v, list) else [v])}
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise FileError(
            f"'{os.fspath(path)}' is not a list of files of weights, or damaged.",
            argument="filepath",
        ) from err
    for name in names:
        if os.path.basename(str(name)) != name or name in ("", os.curdir, os.pardir):
            raise FileError(
                f"'{os.fspath(path)}' names a file outside of its folder: '{name}'.",
                argument="filepath",
            )
    return names


def load_sharded(model: Any, path: str) -> None:
    """Load weights that `write_sharded` or Keras wrote.

    Raises:
        FileError: the list is damaged, or a file that it names is missing.
    """
    for name in sorted(shards_of(path)):
        shard = os.path.join(os.path.dirname(os.path.abspath(path)), name)
        if not os.path.isfile(shard):
            raise FileError(
                f"'{path}' names the file '{name}', which is missing.",
                hint="The files of weights that were saved in pieces belong together.",
                argument="filepath",
            )
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)  # Keras drops the state of one that isn't
    model.load_weights(path)
