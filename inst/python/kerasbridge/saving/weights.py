"""Weights alone: the ending chooses the layout that is written, the content the one that is read."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import Any, Iterator, Optional

from kerasbridge.errors import ArgumentError, FileError
from kerasbridge.files import check_room, replacing
from kerasbridge.saving import weight_trees
from kerasbridge.saving.contents import PathLike, check_source, sniff
from kerasbridge.saving.door import Door
from kerasbridge.saving.kept_values import Writing, is_small, left_whole, values_kept
from kerasbridge.saving.models import check_ending, named
from kerasbridge.saving.named_weights import Later, load_lists
from kerasbridge.saving.older_weights import read_lists, write_older
from kerasbridge.saving.own_tree import own_tree, reading
from kerasbridge.saving.report import WeightsReport, loaded_whole
from kerasbridge.saving.safetensors_file import load_safetensors, write_safetensors
from kerasbridge.saving.sharded import list_of, load_sharded, write_sharded
from kerasbridge.saving.sizes import stored_size
from kerasbridge.saving.unused import unused_weights
from kerasbridge.saving.writing import add_manifest


def save_weights(
    model, filepath: PathLike, overwrite: bool = False, max_shard_size: Optional[float] = None
):
    """Save the weights alone.

    Args:
        filepath: the ending chooses: `.weights.h5` (Keras 3's layout, with the optimizer's state),
            `.h5` or `.hdf5` (the older layout, which Keras 2 reads too), `.safetensors`, or
            `.weights.json` with `max_shard_size`.
        max_shard_size: write several files of at most so many GB, and a list of them.

    Raises:
        FileError: wrong ending, missing folder, existing file, full disk.
    """
    endings = (".weights.h5", ".h5", ".hdf5", ".safetensors", ".weights.json")
    name = check_ending(os.path.expanduser(os.fspath(filepath)), endings)
    if name.endswith(".weights.json") or max_shard_size is not None:
        if not name.endswith(".weights.json"):
            raise FileError(
                "Weights in several files have a list that ends in .weights.json.",
                hint=f"For instance '{os.path.splitext(name.replace('.weights', ''))[0]}.weights.json'.",
                argument="filepath",
            )
        write_sharded(model, name, overwrite, 5.0 if max_shard_size is None else max_shard_size)
    elif name.endswith(".safetensors"):
        write_safetensors(model, name, overwrite)
    elif not name.endswith(".weights.h5"):
        write_older(model, name, overwrite)
    else:
        with replacing(name, overwrite) as temporary:
            check_room(os.path.dirname(temporary), stored_size(model))
            model.save_weights(temporary)
            weight_trees.label_layers(model, temporary)
            add_manifest(model, temporary)
    return name


def load_weights(
    model,
    filepath: PathLike,
    skip_mismatch: bool = False,
    by_name: bool = False,
    allow: Any = (),
    max_size: Optional[int] = None,
) -> WeightsReport:
    """Load weights that `save_weights` or any Keras wrote; the layout is told by the content.

    Args:
        filepath: weights, or a whole model whose weights are taken (`.keras`, `.h5`).
        skip_mismatch: leave a layer alone whose weights have another shape.
        by_name: load only layers of the same name, into a model that may be built otherwise.
        allow: "changed" takes a file whose parts don't fit their checksum.
        max_size: bytes that the content may have; by default 256 MiB, for larger files 20 times their
            size.

    Returns:
        What became of each layer, a `WeightsReport`.

    Raises:
        FileError: the file is missing, empty, damaged, or its weights don't fit.
        UnsafeFileError: it reads other files, or is dishonest about its size.
    """
    name = check_source(filepath)
    if not model.built:
        raise ArgumentError(
            "The model has no weights yet, so none can be loaded.",
            hint="Say the shape of its input when it is made, or call it on data once.",
            argument="object",
        )
    if name.endswith(".weights.json") and sniff(name) is None:
        return load_sharded(model, name, skip_mismatch, by_name, allow, max_size)
    door = Door(name, allow=allow, max_size=max_size)
    with (
        _told_by_layer(model, None if by_name or skip_mismatch else door),
        door.building("`by_name = TRUE` with `skip_mismatch = TRUE` loads what fits."),
    ):
        report = _load_weights(model, door, skip_mismatch, by_name)
    report.notes += door.finish_weights(model)
    return report


def _load_weights(model, door: Door, skip_mismatch: bool, by_name: bool) -> WeightsReport:
    """The reader for each layout; each leaves the model as it was where it fails."""
    name, kind, whole = door.contents.path, door.contents.kind, not (by_name or skip_mismatch)
    writing = partial(left_whole, model, [door], name)
    if kind == "safetensors":
        return load_safetensors(model, name, skip_mismatch, by_name, writing)
    if not whole:
        if kind in ("keras", "weights"):
            return weight_trees.load_tree(
                model, name, [door.contents], skip_mismatch, by_name, writing
            )
        with read_lists(name) as source:
            return load_lists(model, name, source, skip_mismatch, by_name, writing=writing)
    if door.of_keras_2:
        from kerasbridge.saving import legacy

        with values_kept(model):
            return loaded_whole(model, lambda: legacy.load_weights(model, name))
    ending = {"keras": ".keras", "weights": ".weights.h5"}.get(kind, ".h5")
    with named(name, ending) as path:
        if kind in ("keras", "weights"):
            weight_trees.prepare_optimizer(model, [door.contents])
            report = weight_trees.load_whole_tree(
                model, name, [door.contents], lambda: model.load_weights(path), writing
            )
        else:
            report = _load_older(model, door, path, writing)
    for layer, reason, count in unused_weights(model, door.contents):
        report.add(layer, "unused", reason, count)
    return report


def _load_older(model, door: Door, path: str, writing: Writing) -> WeightsReport:
    """All weights of a file in the older layout: large ones straight from its bytes where all fit."""
    contents = door.contents
    below_none = any("top_level_model_weights/" in stored.path for stored in contents.datasets)
    if not (below_none or is_small(model, contents.size)):
        with read_lists(contents.path) as lists, reading([contents]) as readers:
            source = {
                layer: [Later(array.shape, readers[array.name.lstrip("/")]) for array in arrays]
                for layer, arrays in lists.items()
            }
            return load_lists(model, contents.path, source, False, False, writing=writing)
    with values_kept(model):
        return loaded_whole(model, lambda: model.load_weights(path))


@contextlib.contextmanager
def _told_by_layer(model, door: Optional[Door]) -> Iterator[None]:
    """Around a load of weights: a failure says which layer doesn't fit.

    Args:
        door: the file, where it has to fit as a whole.
    """
    try:
        yield
    except FileError:
        if door is None:
            raise
        path, contents = door.contents.path, door.contents
        if (whole := list_of(path)) is not None:
            raise FileError(
                f"'{path}' is one of several files of weights.",
                hint=f"Load them by their list, '{whole}'.",
                argument="filepath",
            ) from None
        if contents.kind in ("keras", "weights"):
            report, _ = weight_trees.compare_tree(model, own_tree(model), [contents])
            report.refuse(path, False, False)
        elif contents.kind != "safetensors" and not door.of_keras_2:
            with read_lists(path) as source:
                load_lists(model, path, source, False, False, compare=True)
        raise
