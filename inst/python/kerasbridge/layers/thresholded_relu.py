"""ThresholdedReLU, which Keras 3 has dropped."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasbridge.errors import ArgumentError


@keras.saving.register_keras_serializable(package="kerasbridge")
class ThresholdedReLU(keras.layers.Layer):
    """`x` where `x > theta`, 0 elsewhere.

    Input and output have the same, arbitrary shape. Source: Konda, Memisevic and Krueger,
    "Zero-bias autoencoders and the benefits of co-adapting features" (2014).

    Args:
        theta: the threshold, a number of at least 0.

    Raises:
        ArgumentError: `theta` is missing or negative.
    """

    def __init__(self, theta: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        if theta is None or theta < 0:
            raise ArgumentError(
                f"theta is {theta!r}.", hint="Use a number of at least 0.", argument="theta"
            )
        self.theta = float(theta)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs * ops.cast(inputs > self.theta, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "theta": self.theta}
