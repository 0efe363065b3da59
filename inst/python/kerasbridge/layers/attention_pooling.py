"""What matters most: weights for channels, and a weighted mean over steps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasbridge.layers.checks import check_positive
from kerasbridge.layers.masks import masked_mean


@keras.saving.register_keras_serializable(package="kerasbridge")
class SqueezeExcite(keras.layers.Layer):
    """Scales each channel by a number from 0 to 1 that depends on all channels' means.

    Input and output: `(batch, ..., channels)`, any number of axes between. Masked steps don't count in the
    means. Source: Hu, Shen and Sun, "Squeeze-and-excitation networks" (2018).

    Args:
        ratio: how many times fewer units the small network has than channels.
        activation: of the small network.
    """

    def __init__(self, ratio: float = 16, activation: Any = "relu", **kwargs: Any):
        super().__init__(**kwargs)
        self.ratio = float(check_positive(ratio, "ratio", whole=False))
        self.activation = keras.activations.get(activation)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        channels = input_shape[-1]
        inner = max(1, round(channels / self.ratio))
        policy = self.dtype_policy
        self.squeeze = keras.layers.Dense(
            inner, activation=self.activation, dtype=policy, name="squeeze"
        )
        self.squeeze.build((input_shape[0], channels))
        self.excite = keras.layers.Dense(
            channels, activation="sigmoid", dtype=policy, name="excite"
        )
        self.excite.build((input_shape[0], inner))

    def call(self, inputs: Any, mask: Any = None) -> Any:
        between = list(range(1, len(inputs.shape) - 1))
        means = masked_mean(inputs, between, mask) if between else inputs
        weight = self.excite(self.squeeze(means))
        for axis in between:
            weight = ops.expand_dims(weight, axis)
        return inputs * weight

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "activation": keras.activations.serialize(self.activation),
        }


@keras.saving.register_keras_serializable(package="kerasbridge")
class AttentionPooling(keras.layers.Layer):
    """The mean over steps with learned weights; masked steps weigh nothing.

    Input: `(batch, steps, features)`; output: `(batch, features)`. Source: Yang et al., "Hierarchical
    attention networks for document classification" (2016).

    Args:
        units: of the small network that weighs the steps.
    """

    def __init__(self, units: int = 32, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = check_positive(units, "units")
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        policy = self.dtype_policy
        self.hidden = keras.layers.Dense(self.units, activation="tanh", dtype=policy, name="hidden")
        self.hidden.build(input_shape)
        self.score = keras.layers.Dense(1, use_bias=False, dtype=policy, name="score")
        self.score.build((*tuple(input_shape)[:-1], self.units))

    def call(self, inputs: Any, mask: Any = None) -> Any:
        score = ops.cast(self.score(self.hidden(inputs)), "float32")
        if mask is not None:
            score = ops.where(ops.cast(mask, "bool")[..., None], score, -1e9)
        weight = ops.cast(ops.softmax(score, axis=1), inputs.dtype)
        return ops.sum(inputs * weight, axis=1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """The steps are gone, and their mask with them."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units}
