"""Convolution whose weights are not shared: every output position has a kernel of its own.

Written with `keras.ops` only. Layout of the kernels is that of Keras 2 (its first implementation):
one row of flattened window values per position, so that weights of older models fit.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

from keras import config, ops

from kerasbridge.errors import ArgumentError


def output_length(length: Optional[int], window: int, stride: int, padding: str) -> Optional[int]:
    """Number of window positions along an axis of `length` points; None if that is unknown."""
    if length is None:
        return None
    if padding == "same":
        return -(-length // stride)
    return (length - window) // stride + 1


def same_padding(length: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis so that `output_length(..., "same")` positions fit."""
    total = max((output_length(length, window, stride, "same") - 1) * stride + window - length, 0)
    return total // 2, total - total // 2


def _windows(positions: int, window: int, stride: int) -> list:
    """Indices of shape (positions, window) into the axis the window moves along."""
    return [[i * stride + j for j in range(window)] for i in range(positions)]


def check_data_format(data_format: Optional[str]) -> str:
    """The data format, by default that of the configuration."""
    data_format = data_format or config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(
            f"data_format is '{data_format}'.",
            hint='Use "channels_last" or "channels_first".',
            argument="data_format",
        )
    return data_format


def _apply(patches: Any, kernel: Any) -> Any:
    """(batch, positions, features) times (positions, features, filters), position by position."""
    return ops.einsum("bpf,pfo->bpo", patches, kernel)


def _check_kernel(kernel: Any, positions: int, features: int) -> None:
    found = tuple(kernel.shape)
    if len(found) != 3 or found[0] != positions or found[1] != features:
        raise ArgumentError(
            f"The kernel has shape {found}; this input needs ({positions}, {features}, filters).",
            hint="Its axes are output positions, values in a window, filters.",
            argument="kernel",
        )


def local_conv_1d(
    inputs: Any,
    kernel: Any,
    kernel_size: int,
    strides: int = 1,
    data_format: Optional[str] = None,
) -> Any:
    """Unshared 1D convolution without padding.

    Args:
        inputs: shape (batch, steps, channels), or (batch, channels, steps) with "channels_first".
        kernel: shape (positions, kernel_size * channels, filters); the values of a window run
            step by step ("channels_last") or channel by channel ("channels_first").
        kernel_size: steps in a window.
        strides: steps between two windows.
        data_format: "channels_last" or "channels_first", by default that of the configuration.

    Returns:
        A tensor of shape (batch, positions, filters) or (batch, filters, positions).

    Raises:
        ArgumentError: the kernel doesn't fit the input.
    """
    data_format = check_data_format(data_format)
    first = data_format == "channels_first"
    steps_axis, channel_axis = (2, 1) if first else (1, 2)
    steps, channels = inputs.shape[steps_axis], inputs.shape[channel_axis]
    positions = output_length(steps, kernel_size, strides, "valid")
    _check_kernel(kernel, positions, kernel_size * channels)
    patches = ops.take(inputs, _windows(positions, kernel_size, strides), axis=steps_axis)
    if first:  # (batch, channels, positions, window)
        patches = ops.transpose(patches, (0, 2, 1, 3))
    out = _apply(ops.reshape(patches, (-1, positions, kernel_size * channels)), kernel)
    return ops.transpose(out, (0, 2, 1)) if first else out


def local_conv_2d(
    inputs: Any,
    kernel: Any,
    kernel_size: Sequence[int],
    strides: Sequence[int] = (1, 1),
    data_format: Optional[str] = None,
) -> Any:
    """Unshared 2D convolution without padding.

    Args:
        inputs: shape (batch, rows, columns, channels), or (batch, channels, rows, columns) with
            "channels_first".
        kernel: shape (positions, rows * columns of the window * channels, filters); positions run
            row by row, the values of a window as they lie in the input.
        kernel_size: rows and columns of a window.
        strides: rows and columns between two windows.
        data_format: "channels_last" or "channels_first", by default that of the configuration.

    Returns:
        A tensor of shape (batch, new_rows, new_columns, filters), or with filters second.

    Raises:
        ArgumentError: the kernel doesn't fit the input.
    """
    data_format = check_data_format(data_format)
    first = data_format == "channels_first"
    row_axis = 2 if first else 1
    channels = inputs.shape[1 if first else 3]
    (height, width), (down, right) = kernel_size, strides
    rows = output_length(inputs.shape[row_axis], height, down, "valid")
    columns = output_length(inputs.shape[row_axis + 1], width, right, "valid")
    features = height * width * channels
    _check_kernel(kernel, rows * columns, features)
    patches = ops.take(inputs, _windows(rows, height, down), axis=row_axis)
    patches = ops.take(patches, _windows(columns, width, right), axis=row_axis + 2)
    if first:  # (batch, channels, rows, height, columns, width)
        patches = ops.transpose(patches, (0, 2, 4, 1, 3, 5))
    else:  # (batch, rows, height, columns, width, channels)
        patches = ops.transpose(patches, (0, 1, 3, 2, 4, 5))
    out = _apply(ops.reshape(patches, (-1, rows * columns, features)), kernel)
    out = ops.reshape(out, (-1, rows, columns, kernel.shape[2]))
    return ops.transpose(out, (0, 3, 1, 2)) if first else out
