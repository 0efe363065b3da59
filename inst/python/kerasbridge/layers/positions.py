"""Where a step stands in a sequence: learned and sinusoidal position encodings."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasbridge.layers.checks import check_positive


@keras.saving.register_keras_serializable(package="kerasbridge")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector for each position.

    Input and output: `(batch, steps, features)`, with at most `max_length` steps. Source: Gehring et
    al., "Convolutional sequence to sequence learning" (2017).

    Args:
        max_length: the longest sequence.
        initializer: start values of the vectors.

    Raises:
        ArgumentError: `max_length` is not a whole number of at least 1.
        ValueError: a sequence is longer than `max_length`.
    """

    def __init__(self, max_length: int, initializer: Any = "uniform", **kwargs: Any):
        super().__init__(**kwargs)
        self.max_length = check_positive(max_length, "max_length")
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        self.embeddings = self.add_weight(
            shape=(self.max_length, input_shape[-1]),
            initializer=self.initializer,
            name="embeddings",
        )

    def call(self, inputs: Any) -> Any:
        steps = inputs.shape[1]
        if steps is not None and steps > self.max_length:
            raise ValueError(
                f"Layer '{self.name}' has vectors for {self.max_length} steps; the input has {steps}."
            )
        length = ops.shape(inputs)[1]
        return inputs + ops.cast(self.embeddings[:length], inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.saving.register_keras_serializable(package="kerasbridge")
class SinusoidalEncoding(keras.layers.Layer):
    """Adds sine and cosine waves of the position, from wave length 2 pi up to `2 pi max_wavelength`.

    Input and output: `(batch, steps, features)`, any number of steps; no weights. The first half of
    the features gets sines, the second cosines. Source: Vaswani et al., "Attention is all you need"
    (2017), section 3.5.

    Args:
        max_wavelength: the longest wave, in units of 2 pi steps.
        scale: what the waves are multiplied with.
    """

    def __init__(self, max_wavelength: float = 10000.0, scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_wavelength = float(check_positive(max_wavelength, "max_wavelength", whole=False))
        self.scale = float(scale)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        width = inputs.shape[-1]
        half = (width + 1) // 2
        position = ops.cast(ops.arange(ops.shape(inputs)[1]), "float32")
        rate = ops.power(
            self.max_wavelength, -ops.cast(ops.arange(half), "float32") / float(max(half, 1))
        )
        angle = position[:, None] * rate[None, :]
        waves = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)[:, :width]
        return inputs + ops.cast(self.scale * waves, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "scale": self.scale,
        }
