"""Dropout that stays on for prediction, and a layer that turns gradients around."""

from __future__ import annotations

from typing import Any, Optional

import keras
from keras import ops

from kerasbridge.layers.checks import check_rate


@keras.saving.register_keras_serializable(package="kerasbridge")
class MonteCarloDropout(keras.layers.Layer):
    """Dropout in training and in prediction: repeated predictions show how sure a model is.

    Input and output have the same shape. Source: Gal and Ghahramani, "Dropout as a Bayesian
    approximation" (2016).

    Args:
        rate: share of values set to 0; the others are scaled up.
        seed: for drawing which.
    """

    def __init__(self, rate: float, seed: Optional[int] = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = check_rate(rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        if self.rate == 0:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="kerasbridge")
class GradientReversal(keras.layers.Layer):
    """The input as it is; on the way back the gradient times `-factor`.

    Input and output have the same shape. For features that a second output must not be able to use.
    Source: Ganin and Lempitsky, "Unsupervised domain adaptation by backpropagation" (2015).

    Args:
        factor: a number of at least 0.
    """

    def __init__(self, factor: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = float(factor)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        # on the way back the constant is none, which leaves -factor x; on the way there the difference is 0
        constant = ops.stop_gradient(inputs)
        return constant + (constant - inputs) * self.factor

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "factor": self.factor}
