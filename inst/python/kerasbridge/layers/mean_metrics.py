"""MeanRelativeError and MeanTensor, which Keras 3 has dropped."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import keras
import numpy as np
from keras import ops

from kerasbridge.errors import ArgumentError


def _weighted(values: Any, sample_weight: Any) -> tuple:
    """`values` times weights spread over their trailing axes, and the weights of that shape."""
    if sample_weight is None:
        return values, ops.ones_like(values)
    weight = ops.cast(sample_weight, values.dtype)
    weight = ops.reshape(weight, (*weight.shape, *([1] * (values.ndim - weight.ndim))))
    weight = ops.broadcast_to(weight, ops.shape(values))
    return values * weight, weight


@keras.saving.register_keras_serializable(package="kerasbridge")
class MeanRelativeError(keras.metrics.Mean):
    """Mean of `|y_true - y_pred| / normalizer`, where a normalizer of 0 gives 0.

    Args:
        normalizer: numbers of the shape of the predictions, or that spread over it.
        name: name of the metric.
        dtype: type of the result.
    """

    def __init__(
        self, normalizer: Any, name: str = "mean_relative_error", dtype: Any = None, **kwargs: Any
    ):
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.normalizer = np.asarray(normalizer, dtype="float32")
        if self.normalizer.size == 0 or not np.isfinite(self.normalizer).all():
            raise ArgumentError(
                "normalizer holds no numbers, or some that are not finite.",
                hint="Give the size of each true value, such as the true values themselves.",
                argument="normalizer",
            )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; `y_true` and `y_pred` have one shape."""
        y_true = ops.cast(y_true, self.dtype)
        y_pred = ops.cast(y_pred, self.dtype)
        error = ops.divide_no_nan(ops.abs(y_true - y_pred), ops.cast(self.normalizer, self.dtype))
        return super().update_state(error, sample_weight=sample_weight)

    def get_config(self) -> dict:
        return {**super().get_config(), "normalizer": self.normalizer.tolist()}


@keras.saving.register_keras_serializable(package="kerasbridge")
class MeanTensor(keras.metrics.Metric):
    """Mean of each element over all batches seen; the result has the shape of one batch's values.

    Args:
        shape: shape of the values; by default that of the first ones.
        name: name of the metric.
        dtype: type of the result.
    """

    def __init__(
        self,
        name: str = "mean_tensor",
        dtype: Any = None,
        shape: Optional[Sequence[int]] = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.shape = None
        if shape is not None:
            self._make_state(shape)

    def _make_state(self, shape: Sequence[int]) -> None:
        if any(axis is None for axis in shape):
            raise ArgumentError(
                f"The values have shape {tuple(shape)}: an axis has no fixed length.",
                hint="Use batches of one fixed shape.",
                argument="values",
            )
        self.shape = tuple(int(axis) for axis in shape)
        self.total = self.add_variable(self.shape, initializer="zeros", name="total")
        self.count = self.add_variable(self.shape, initializer="zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values of the metric's shape; weights spread over their trailing axes.

        Raises:
            ArgumentError: the values have another shape than those before.
        """
        values = ops.convert_to_tensor(values, dtype=self.dtype)
        if self.shape is None:
            self._make_state(values.shape)
        if tuple(values.shape) != self.shape:
            raise ArgumentError(
                f"The values have shape {tuple(values.shape)}, those before had {self.shape}.",
                hint="All values of one metric have the same shape.",
                argument="values",
            )
        total, count = _weighted(values, sample_weight)
        self.total.assign_add(total)
        self.count.assign_add(count)

    def result(self) -> Any:
        """The mean of each element, 0 where no weight has been seen.

        Raises:
            ArgumentError: nothing has been added and no shape was given.
        """
        if self.shape is None:
            raise ArgumentError(
                "The metric has seen no values.",
                hint="Call update_state() first.",
                argument="values",
            )
        return ops.divide_no_nan(self.total, self.count)

    def reset_state(self) -> None:
        """Forget all values; the shape stays."""
        for variable in self.variables:
            variable.assign(ops.zeros_like(variable))

    def get_config(self) -> dict:
        return {**super().get_config(), "shape": self.shape}
