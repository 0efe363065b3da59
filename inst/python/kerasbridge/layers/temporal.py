"""Time series: a block of dilated causal convolutions, and a normalization that can be undone."""

from __future__ import annotations

from typing import Any, Optional

import keras
from keras import ops

from kerasbridge.errors import ArgumentError
from kerasbridge.layers.checks import check_positive, check_rate
from kerasbridge.layers.masks import masked_mean


@keras.saving.register_keras_serializable(package="kerasbridge")
class TemporalBlock(keras.layers.Layer):
    """Two causal convolutions with gaps, dropout, and a residual connection.

    Input: `(batch, steps, features)`; output: `(batch, steps, filters)`. A step depends on itself and the
    `2 (kernel_size - 1) dilation_rate` steps before it. Stack blocks with `dilation_rate` 1, 2, 4, ... for a
    temporal convolutional network. Source: Bai, Kolter and Koltun, "An empirical evaluation of
    generic convolutional and recurrent networks for sequence modeling" (2018); here with layer norm
    in place of weight norm.

    Args:
        filters: features of the output.
        kernel_size: steps of the window.
        dilation_rate: gap between the steps of the window.
        dropout: share of values dropped in training.
        activation: after each convolution and at the end.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        dilation_rate: int = 1,
        dropout: float = 0.0,
        activation: Any = "relu",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = check_positive(filters, "filters")
        self.kernel_size = check_positive(kernel_size, "kernel_size")
        self.dilation_rate = check_positive(dilation_rate, "dilation_rate")
        self.dropout = check_rate(dropout, "dropout")
        self.activation = keras.activations.get(activation)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        shape = tuple(input_shape)
        inner = (*shape[:-1], self.filters)
        self.convolutions, self.norms = [], []
        for number, seen in enumerate((shape, inner)):
            convolution = keras.layers.Conv1D(
                self.filters,
                self.kernel_size,
                padding="causal",
                dilation_rate=self.dilation_rate,
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"convolution_{number}",
            )
            convolution.build(seen)
            norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name=f"norm_{number}")
            norm.build(inner)
            self.convolutions.append(convolution)
            self.norms.append(norm)
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="drop")
        self.match = None
        if shape[-1] != self.filters:
            self.match = keras.layers.Dense(self.filters, dtype=self.dtype_policy, name="match")
            self.match.build(shape)

    def call(self, inputs: Any, mask: Any = None, training: Optional[bool] = None) -> Any:
        x = inputs
        if mask is not None:
            # padded steps must not leak into the steps after them
            x = x * ops.cast(mask, x.dtype)[..., None]
        kept = x if self.match is None else self.match(x)
        for convolution, norm in zip(self.convolutions, self.norms):
            x = self.drop(self.activation(norm(convolution(x))), training=training)
        return self.activation(x + kept)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*tuple(input_shape)[:-1], self.filters)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
        }


@keras.saving.register_keras_serializable(package="kerasbridge")
class ReversibleInstanceNorm(keras.layers.Layer):
    """Takes level and scale off each series, and puts them back on a forecast.

    `layer(x)` normalizes `(batch, steps, features)` over the steps, each series by itself; it returns
    the same shape. `layer(forecast, reference = x)` puts the level and scale of the series `x` back on
    a forecast `(batch, other steps, features)`. One layer object does both, so that its weights are shared.
    Masked steps of the series don't count in its level and scale. Source: Kim et al., "Reversible instance
    normalization for accurate time-series forecasting against distribution shift" (2022).

    Args:
        affine: whether a learned scale and offset for each feature is applied too.
        epsilon: added to the variance.

    Raises:
        ArgumentError: the forecast has another number of features than the series.
    """

    def __init__(self, affine: bool = True, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**kwargs)
        self.affine = bool(affine)
        self.epsilon = float(epsilon)
        self.supports_masking = True

    def build(self, inputs_shape: tuple, reference_shape: Optional[tuple] = None) -> None:
        if self.affine:
            width = (inputs_shape[-1],)
            self.gamma = self.add_weight(shape=width, initializer="ones", name="gamma")
            self.beta = self.add_weight(shape=width, initializer="zeros", name="beta")

    def _moments(self, series: Any, mask: Any) -> tuple:
        level = masked_mean(series, [1], mask, keepdims=True)
        variance = masked_mean(ops.square(series - level), [1], mask, keepdims=True)
        return level, ops.sqrt(variance + self.epsilon)

    def call(
        self, inputs: Any, reference: Any = None, mask: Any = None, reference_mask: Any = None
    ) -> Any:
        if reference is not None and reference.shape[-1] != inputs.shape[-1]:
            raise ArgumentError(
                f"Layer '{self.name}' got a forecast of {inputs.shape[-1]} features for series of "
                f"{reference.shape[-1]}.",
                hint="Give the forecast one column for each series.",
                argument="reference",
            )
        level, scale = (
            self._moments(inputs, mask)
            if reference is None
            else self._moments(reference, reference_mask)
        )
        if reference is None:
            out = (inputs - level) / scale
            return out * self.gamma + self.beta if self.affine else out
        out = inputs
        if self.affine:
            # a scale that training brought near 0 must not divide
            small = ops.cast(self.epsilon**2, out.dtype)
            out = (out - self.beta) / (self.gamma + small)
        return out * scale + level

    def compute_output_shape(
        self, inputs_shape: tuple, reference_shape: Optional[tuple] = None
    ) -> tuple:
        return tuple(inputs_shape)

    def get_config(self) -> dict:
        return {**super().get_config(), "affine": self.affine, "epsilon": self.epsilon}
