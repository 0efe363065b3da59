"""RandomHeight and RandomWidth: images stretched along one axis by a factor drawn per batch.

Keras 3 has dropped them. The new length differs from batch to batch, so its axis has no fixed
length in the output shape and the layer can't run where shapes must be known (JAX under jit).
"""

from __future__ import annotations

from typing import Any, Optional

import keras
from keras import ops

from kerasbridge.errors import ArgumentError, UnsupportedError


def resize_axis(images: Any, axis: int, length: Any, interpolation: str) -> Any:
    """`images` with `axis` resampled to `length` points (an int or a whole-number scalar tensor).

    Point i of the result lies at (i + 0.5) * old / new - 0.5 of the input (pixel centres, as
    image resizing without antialiasing has them); outside of it the border value counts.
    """
    old = ops.cast(ops.shape(images)[axis], "float32")
    new = ops.cast(length, "float32")
    place = (ops.cast(ops.arange(0, length, dtype="int32"), "float32") + 0.5) * old / new
    if interpolation == "nearest":
        index = ops.cast(ops.minimum(ops.floor(place), old - 1.0), "int32")
        return ops.take(images, index, axis=axis)
    place = ops.clip(place - 0.5, 0.0, old - 1.0)
    below = ops.floor(place)
    above = ops.minimum(below + 1.0, old - 1.0)
    shape = [1] * len(images.shape)
    shape[axis] = -1
    share = ops.cast(ops.reshape(place - below, shape), images.dtype)
    lower = ops.take(images, ops.cast(below, "int32"), axis=axis)
    upper = ops.take(images, ops.cast(above, "int32"), axis=axis)
    return lower + (upper - lower) * share


class _RandomSize(keras.layers.Layer):
    """What both layers share; `from_end` says which axis: -3 is height, -2 width."""

    from_end = 0

    def __init__(
        self,
        factor: Any,
        interpolation: str = "bilinear",
        seed: Optional[int] = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        pair = factor if isinstance(factor, (tuple, list)) else (-factor, factor)
        if len(pair) != 2 or pair[1] < pair[0] or pair[0] <= -1:
            raise ArgumentError(
                f"factor is {factor!r}.",
                hint="Use a number between 0 and 1, or lower and upper bound, both above -1: "
                "(-0.2, 0.3) means from 20 percent less to 30 percent more.",
                argument="factor",
            )
        if interpolation not in ("bilinear", "nearest"):
            raise ArgumentError(
                f"interpolation is '{interpolation}'.",
                hint='Use "bilinear" or "nearest".',
                argument="interpolation",
            )
        self.factor = list(factor) if isinstance(factor, (tuple, list)) else factor
        self.lower, self.upper = float(pair[0]), float(pair[1])
        self.interpolation = interpolation
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _new_length(self, images: Any) -> Any:
        draw = keras.random.uniform((), self.lower, self.upper, seed=self.seed_generator)
        old = ops.cast(ops.shape(images)[self.from_end], "float32")
        length = ops.maximum(ops.cast((1.0 + draw) * old, "int32"), 1)
        if keras.config.backend() == "tensorflow":
            return length  # may be known only when the graph runs
        try:
            return int(length)
        except Exception as error:
            raise UnsupportedError(
                f"{type(self).__name__} can't run inside a compiled {keras.config.backend()} step.",
                hint="Apply it to the data before training, or compile with jit_compile=False and "
                "run_eagerly=True.",
            ) from error

    def call(self, inputs: Any, training: bool = False) -> Any:
        images = ops.cast(inputs, self.compute_dtype)
        if not training:
            return images
        axis = len(images.shape) + self.from_end
        return resize_axis(images, axis, self._new_length(images), self.interpolation)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        shape = list(input_shape)
        shape[self.from_end] = None
        return tuple(shape)

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        if len(inputs.shape) not in (3, 4):
            raise ArgumentError(
                f"Input of shape {tuple(inputs.shape)} is not an image or a batch of images.",
                hint="Its axes are (batch,) height, width, channels.",
                argument="inputs",
            )
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "factor": self.factor,
            "interpolation": self.interpolation,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="kerasbridge")
class RandomHeight(_RandomSize):
    """Stretch or squeeze images vertically, by a factor drawn for each batch while training.

    Input: (batch, height, width, channels) or (height, width, channels), any number type. Output:
    the same with another height, `int(height * (1 + f))` with f uniform between the bounds; the
    input, as floats, when not training.

    Args:
        factor: a number f for bounds (-f, f), or the two bounds, each above -1.
        interpolation: "bilinear" or "nearest".
        seed: an int for the same draws each time.

    Raises:
        ArgumentError: an argument is out of range.
        UnsupportedError: called where every shape must be known beforehand (JAX under jit).
    """

    from_end = -3


@keras.saving.register_keras_serializable(package="kerasbridge")
class RandomWidth(_RandomSize):
    """Stretch or squeeze images horizontally, by a factor drawn for each batch while training.

    Input: (batch, height, width, channels) or (height, width, channels), any number type. Output:
    the same with another width, `int(width * (1 + f))` with f uniform between the bounds; the
    input, as floats, when not training.

    Args:
        factor: a number f for bounds (-f, f), or the two bounds, each above -1.
        interpolation: "bilinear" or "nearest".
        seed: an int for the same draws each time.

    Raises:
        ArgumentError: an argument is out of range.
        UnsupportedError: called where every shape must be known beforehand (JAX under jit).
    """

    from_end = -2
