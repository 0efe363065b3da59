"""Nested lists, tuples and dicts as flat lists and back: `keras.tree`, which came with Keras 3.1."""

from __future__ import annotations

from typing import Any, Sequence

import keras


def flatten(structure: Any) -> list:
    """The leaves in order; dicts by their sorted keys, None is a leaf."""
    if hasattr(keras, "tree"):
        return keras.tree.flatten(structure)
    import tree  # what Keras 3.0 itself depends on

    return tree.flatten(structure)


def pack_like(structure: Any, leaves: Sequence[Any]) -> Any:
    """`leaves` in the form of `structure`; the other way round of `flatten`."""
    if hasattr(keras, "tree"):
        return keras.tree.pack_sequence_as(structure, list(leaves))
    import tree

    return tree.unflatten_as(structure, list(leaves))
