"""The class of Keras' variables."""

from __future__ import annotations

from kerasbridge.runtime.keras_version import keras_before


def variable_class() -> type:
    """The class of every variable, those of layers and optimizers and those a user makes.

    It is `keras.Variable`. Before Keras 3.7 that is a sibling of what layers make: then the base that
    makes both.
    """
    import keras

    if not keras_before(3, 7):
        return keras.Variable
    return next(cls for cls in keras.Variable.__mro__ if "__init__" in vars(cls))
