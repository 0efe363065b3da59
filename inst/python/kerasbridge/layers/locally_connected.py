"""LocallyConnected1D and LocallyConnected2D: convolution with a kernel per output position.

Keras 3 has dropped them. Arguments, defaults and the layout of the weights (kernel and bias of the
first implementation) are those of Keras 2, so that older configurations and weights can be used.
"""

from __future__ import annotations

from typing import Any, Optional

import keras
from keras import ops

from kerasbridge.errors import ArgumentError
from kerasbridge.layers.local_convolution import (
    check_data_format,
    local_conv_1d,
    local_conv_2d,
    output_length,
    same_padding,
)


def _sizes(value: Any, rank: int, argument: str) -> tuple:
    """`value` as a tuple of `rank` positive ints."""
    sizes = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(sizes) != rank or any(int(v) != v or v < 1 for v in sizes):
        raise ArgumentError(
            f"{argument} is {value!r}.",
            hint=f"Use one whole number above 0, or {rank}.",
            argument=argument,
        )
    return tuple(int(v) for v in sizes)


class _LocallyConnected(keras.layers.Layer):
    """What the one- and two-dimensional layer share; `rank` is the number of spatial axes."""

    rank = 0

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: Optional[str] = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if int(filters) != filters or filters < 1:
            raise ArgumentError(
                f"filters is {filters!r}.", hint="Use a whole number above 0.", argument="filters"
            )
        if padding not in ("valid", "same"):
            raise ArgumentError(
                f"padding is '{padding}'.", hint='Use "valid" or "same".', argument="padding"
            )
        if implementation not in (1, 2, 3):
            raise ArgumentError(
                f"implementation is {implementation!r}.",
                hint="Keras 2 knew 1, 2 and 3; the result is the same with each.",
                argument="implementation",
            )
        self.filters = int(filters)
        self.kernel_size = _sizes(kernel_size, self.rank, "kernel_size")
        self.strides = _sizes(strides, self.rank, "strides")
        self.padding = padding
        self.data_format = check_data_format(data_format)
        self.activation = keras.activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.implementation = implementation
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def _spatial(self, shape: tuple) -> tuple:
        return shape[2:] if self.data_format == "channels_first" else shape[1:-1]

    def _channels(self, shape: tuple) -> Optional[int]:
        return shape[1] if self.data_format == "channels_first" else shape[-1]

    def _positions(self, shape: tuple) -> list:
        triples = zip(self._spatial(shape), self.kernel_size, self.strides)
        return [output_length(n, k, s, self.padding) for n, k, s in triples]

    def build(self, input_shape: tuple) -> None:
        channels = self._channels(input_shape)
        if channels is None or None in self._spatial(input_shape):
            raise ArgumentError(
                f"Input of shape {tuple(input_shape)} has an axis of unknown length.",
                hint="A kernel per position needs every length but that of the batch axis.",
                argument="input_shape",
            )
        positions = self._positions(input_shape)
        if min(positions) < 1:
            raise ArgumentError(
                f"kernel_size {self.kernel_size} is larger than the input {tuple(input_shape)}.",
                hint='Use a smaller kernel, or padding = "same".',
                argument="kernel_size",
            )
        window, places = 1, 1
        for size, count in zip(self.kernel_size, positions):
            window *= size
            places *= count
        self.kernel = self.add_weight(
            name="kernel",
            shape=(places, window * channels, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(*positions, self.filters),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        channel_axis = 1 if self.data_format == "channels_first" else self.rank + 1
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2, axes={channel_axis: channels})
        self.built = True

    def _padded(self, inputs: Any) -> Any:
        if self.padding == "valid":
            return inputs
        triples = zip(self._spatial(tuple(inputs.shape)), self.kernel_size, self.strides)
        around = [same_padding(n, k, s) for n, k, s in triples]
        first = self.data_format == "channels_first"
        widths = [(0, 0), (0, 0), *around] if first else [(0, 0), *around, (0, 0)]
        return ops.pad(inputs, widths)

    def _convolve(self, inputs: Any) -> Any:
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        out = self._convolve(self._padded(inputs))
        if self.bias is not None:
            bias = ops.convert_to_tensor(self.bias)
            if self.data_format == "channels_first":
                bias = ops.moveaxis(bias, -1, 0)
            out = out + bias
        return self.activation(out)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        positions = self._positions(input_shape)
        if self.data_format == "channels_first":
            return (input_shape[0], self.filters, *positions)
        return (input_shape[0], *positions, self.filters)

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            filters=self.filters,
            kernel_size=self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            activation=keras.activations.serialize(self.activation),
            use_bias=self.use_bias,
            kernel_initializer=keras.initializers.serialize(self.kernel_initializer),
            bias_initializer=keras.initializers.serialize(self.bias_initializer),
            kernel_regularizer=keras.regularizers.serialize(self.kernel_regularizer),
            bias_regularizer=keras.regularizers.serialize(self.bias_regularizer),
            activity_regularizer=keras.regularizers.serialize(self.activity_regularizer),
            kernel_constraint=keras.constraints.serialize(self.kernel_constraint),
            bias_constraint=keras.constraints.serialize(self.bias_constraint),
            implementation=self.implementation,
        )
        return config


@keras.saving.register_keras_serializable(package="kerasbridge")
class LocallyConnected1D(_LocallyConnected):
    """1D convolution with a kernel of its own at every step.

    Input: (batch, steps, channels), with "channels_first" (batch, channels, steps). Output:
    (batch, positions, filters) or (batch, filters, positions), positions being
    `(steps - kernel_size) // strides + 1` without padding and `ceil(steps / strides)` with "same".
    Weights: `kernel` (positions, kernel_size * channels, filters), `bias` (positions, filters).

    Args:
        filters: output channels.
        kernel_size: steps in a window.
        strides: steps between windows.
        padding: "valid" or "same" (zeros around the input).
        data_format: "channels_last" or "channels_first", by default that of the configuration.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
        bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint: as in Conv1D.
        implementation: 1, 2 or 3, kept for configurations of Keras 2, where it chose how the same
            result was computed.

    Raises:
        ArgumentError: an argument is out of range, or an axis of the input has no fixed length.
    """

    rank = 1

    def _convolve(self, inputs: Any) -> Any:
        return local_conv_1d(
            inputs, self.kernel, self.kernel_size[0], self.strides[0], self.data_format
        )


@keras.saving.register_keras_serializable(package="kerasbridge")
class LocallyConnected2D(_LocallyConnected):
    """2D convolution with a kernel of its own at every row and column.

    Input: (batch, rows, columns, channels), with "channels_first" (batch, channels, rows,
    columns). Output: (batch, new_rows, new_columns, filters), or with filters second. Weights:
    `kernel` (new_rows * new_columns, window rows * window columns * channels, filters), `bias`
    (new_rows, new_columns, filters).

    Args:
        filters: output channels.
        kernel_size: rows and columns of a window, or one number for both.
        strides: rows and columns between windows, or one number for both.
        padding: "valid" or "same" (zeros around the input).
        data_format: "channels_last" or "channels_first", by default that of the configuration.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
        bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint: as in Conv2D.
        implementation: 1, 2 or 3, kept for configurations of Keras 2, where it chose how the same
            result was computed.

    Raises:
        ArgumentError: an argument is out of range, or an axis of the input has no fixed length.
    """

    rank = 2

    def _convolve(self, inputs: Any) -> Any:
        return local_conv_2d(inputs, self.kernel, self.kernel_size, self.strides, self.data_format)
