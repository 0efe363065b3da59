"""Predicting a whole distribution: the parameters of a mixture of normal ones, and their loss."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasbridge.errors import ArgumentError
from kerasbridge.layers.checks import check_positive


@keras.saving.register_keras_serializable(package="kerasbridge")
class MixtureDensity(keras.layers.Layer):
    """The parameters of a mixture of normal distributions.

    Input: `(batch, features)`. Output: `(batch, components * (1 + 2 * outputs))`: the logits of the
    components, then their means, then the logarithms of their standard deviations. Train with
    `MixtureDensityLoss`; `MixtureDensity.mean(output, components, outputs)` gives expected values.
    At the start the means lie evenly from -1 to 1: components that start alike often stay alike.
    Source: Bishop, "Mixture density networks" (1994).

    Args:
        components: normal distributions in the mixture.
        outputs: numbers that are predicted for a row.
    """

    def __init__(self, components: int, outputs: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.components = check_positive(components, "components")
        self.outputs = check_positive(outputs, "outputs")

    @property
    def units(self) -> int:
        """Length of the output."""
        return self.components * (1 + 2 * self.outputs)

    def build(self, input_shape: tuple) -> None:
        places = np.linspace(-1, 1, self.components) if self.components > 1 else np.zeros(1)
        start = np.zeros(self.units, "float32")
        start[self.components : self.components * (1 + self.outputs)] = places.repeat(self.outputs)
        self.dense = keras.layers.Dense(
            self.units,
            bias_initializer=lambda shape, dtype=None: ops.convert_to_tensor(start, dtype),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.dense.build(input_shape)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*tuple(input_shape)[:-1], self.units)

    @staticmethod
    def split(output: Any, components: int, outputs: int = 1) -> tuple:
        """Logits `(batch, components)`, means and log deviations `(batch, components, outputs)`."""
        batch = ops.shape(output)[0]
        many = components * outputs
        shape = (batch, components, outputs)
        means = ops.reshape(output[:, components : components + many], shape)
        return output[:, :components], means, ops.reshape(output[:, components + many :], shape)

    @staticmethod
    def mean(output: Any, components: int, outputs: int = 1) -> Any:
        """Expected values `(batch, outputs)` of the layer's output."""
        logits, means, _ = MixtureDensity.split(ops.convert_to_tensor(output), components, outputs)
        return ops.sum(ops.softmax(logits)[..., None] * means, axis=1)

    def get_config(self) -> dict:
        return {**super().get_config(), "components": self.components, "outputs": self.outputs}


@keras.saving.register_keras_serializable(package="kerasbridge")
class MixtureDensityLoss(keras.losses.Loss):
    """Minus the logarithm of the density that a `MixtureDensity` layer gives to the targets.

    `y_true`: `(batch, outputs)` or `(batch,)`; `y_pred`: what the layer gives. Units: nats per row.

    Args:
        components, outputs: as of the layer.
        min_log_scale: the smallest logarithm of a standard deviation that counts, against a density
            without bound at a single point.
    """

    def __init__(
        self,
        components: int,
        outputs: int = 1,
        min_log_scale: float = -7.0,
        reduction: str = "sum_over_batch_size",
        name: str = "mixture_density_loss",
        **kwargs: Any,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        self.components = check_positive(components, "components")
        self.outputs = check_positive(outputs, "outputs")
        self.min_log_scale = float(min_log_scale)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        wanted = self.components * (1 + 2 * self.outputs)
        if y_pred.shape[-1] != wanted:
            raise ArgumentError(
                f"The model gives {y_pred.shape[-1]} numbers a row; {self.components} components of "
                f"{self.outputs} outputs take {wanted}.",
                hint="End the model with a mixture density layer of the same numbers.",
                argument="components",
            )
        logits, means, log_scale = MixtureDensity.split(y_pred, self.components, self.outputs)
        log_scale = ops.maximum(log_scale, self.min_log_scale)
        y = ops.reshape(ops.cast(y_true, y_pred.dtype), (-1, 1, self.outputs))
        z = (y - means) / ops.exp(log_scale)
        one = -0.5 * ops.square(z) - log_scale - 0.5 * math.log(2 * math.pi)
        return -ops.logsumexp(ops.log_softmax(logits) + ops.sum(one, axis=-1), axis=-1)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "components": self.components,
            "outputs": self.outputs,
            "min_log_scale": self.min_log_scale,
        }
