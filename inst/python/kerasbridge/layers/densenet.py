"""Densely connected networks of any block sizes (G. Huang et al. 2017, arXiv:1608.06993).

Layers are named and ordered as in Keras' own DenseNet121, 169 and 201, so that weights fit.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

import keras
from keras import layers

from kerasbridge.errors import ArgumentError

GROWTH = 32  # channels that each unit adds
_STANDARD = {(6, 12, 24, 16): "121", (6, 12, 32, 32): "169", (6, 12, 48, 32): "201"}


def _norm(x: Any, axis: int, name: str, relu: str) -> Any:
    x = layers.BatchNormalization(axis=axis, epsilon=1.001e-5, name=name)(x)
    return layers.Activation("relu", name=relu)(x)


def _unit(x: Any, axis: int, name: str) -> Any:
    inner = _norm(x, axis, f"{name}_0_bn", f"{name}_0_relu")
    inner = layers.Conv2D(4 * GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(inner)
    inner = _norm(inner, axis, f"{name}_1_bn", f"{name}_1_relu")
    inner = layers.Conv2D(GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(inner)
    return layers.Concatenate(axis=axis, name=f"{name}_concat")([x, inner])


def _transition(x: Any, axis: int, name: str) -> Any:
    x = _norm(x, axis, f"{name}_bn", f"{name}_relu")
    x = layers.Conv2D(x.shape[axis] // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def densenet(
    blocks: Sequence[int],
    include_top: bool = True,
    weights: Optional[str] = "imagenet",
    input_tensor: Any = None,
    input_shape: Optional[Sequence[Optional[int]]] = None,
    pooling: Optional[str] = None,
    classes: int = 1000,
) -> Any:
    """A model of `len(blocks)` dense blocks; arguments as those of `keras.applications`.

    Raises:
        ArgumentError: ImageNet weights for block sizes that have none, an unknown pooling, no
            blocks.
    """
    blocks = tuple(int(n) for n in blocks)
    if not blocks or min(blocks) < 1:
        raise ArgumentError("`blocks` must be whole numbers from 1.", argument="blocks")
    if pooling not in (None, "avg", "max"):
        raise ArgumentError(
            f"`pooling` must be None, 'avg' or 'max', not {pooling!r}.", argument="pooling"
        )
    if weights == "imagenet":
        if blocks not in _STANDARD:
            raise ArgumentError(
                f"There are no ImageNet weights for `blocks` of {', '.join(map(str, blocks))}.",
                hint="Give weights = None, or the path of a weights file.",
                argument="weights",
            )
        ready = getattr(keras.applications, f"DenseNet{_STANDARD[blocks]}")
        return ready(
            include_top=include_top, weights=weights, input_tensor=input_tensor,
            input_shape=input_shape, pooling=pooling, classes=classes,
        )  # fmt: skip
    axis = 3 if keras.config.image_data_format() == "channels_last" else 1
    if input_tensor is not None:
        image = input_tensor
    else:
        default = (224, 224, 3) if include_top else (None, None, 3)
        if axis == 1:
            default = (default[2], *default[:2])
        image = keras.Input(tuple(input_shape) if input_shape else default)
    x = layers.ZeroPadding2D(padding=((3, 3), (3, 3)))(image)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = _norm(x, axis, "conv1_bn", "conv1_relu")
    x = layers.ZeroPadding2D(padding=((1, 1), (1, 1)))(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for number, units in enumerate(blocks, start=2):
        for unit in range(1, units + 1):
            x = _unit(x, axis, f"conv{number}_block{unit}")
        if number <= len(blocks):
            x = _transition(x, axis, f"pool{number}")
    x = _norm(x, axis, "bn", "relu")
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(name="max_pool")(x)
    name = f"densenet{_STANDARD.get(blocks, '')}"
    source = keras.utils.get_source_inputs(image)[0] if input_tensor is not None else image
    model = keras.Model(source, x, name=name)
    if weights is not None:
        model.load_weights(weights)
    return model
