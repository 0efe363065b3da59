"""Which Keras is installed."""

from __future__ import annotations


def keras_before(*version: int) -> bool:
    """Whether the installed Keras is older, by as many parts of its version as are given."""
    import keras

    return tuple(int(part) for part in keras.__version__.split(".")[: len(version)]) < version
