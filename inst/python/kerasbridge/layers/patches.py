"""Images as sequences of patches."""

from __future__ import annotations

from typing import Any, Optional

import keras
from keras import ops

from kerasbridge.errors import ArgumentError
from kerasbridge.layers.checks import check_positive


@keras.saving.register_keras_serializable(package="kerasbridge")
class PatchEmbedding(keras.layers.Layer):
    """Cuts images into square patches and gives each a vector.

    Input: `(batch, rows, columns, channels)`, rows and columns multiples of `patch_size`. Output:
    `(batch, patches, embed_dim)`, patches row by row; with `class_token` one more, learned, in front.
    Source: Dosovitskiy et al., "An image is worth 16x16 words" (2020).

    Args:
        patch_size: pixels of a side.
        embed_dim: length of the vectors.
        class_token: whether a learned vector is put in front.
        position: whether a learned vector of its place is added to each patch; needs a fixed size.

    Raises:
        ArgumentError: the image can't be cut into such patches.
    """

    def __init__(
        self,
        patch_size: int,
        embed_dim: int,
        class_token: bool = False,
        position: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.patch_size = check_positive(patch_size, "patch_size")
        self.embed_dim = check_positive(embed_dim, "embed_dim")
        self.class_token = bool(class_token)
        self.position = bool(position)

    def _count(self, shape: tuple) -> Optional[int]:
        rows, columns = shape[1], shape[2]
        for size in (rows, columns):
            if size is not None and size % self.patch_size:
                raise ArgumentError(
                    f"Layer '{self.name}' can't cut images of {rows} x {columns} pixels into patches "
                    f"of {self.patch_size} x {self.patch_size}.",
                    hint="Resize the images, or choose a `patch_size` that divides both sides.",
                    argument="patch_size",
                )
        if rows is None or columns is None:
            return None
        return (rows // self.patch_size) * (columns // self.patch_size)

    def build(self, input_shape: tuple) -> None:
        count = self._count(input_shape)
        if self.position and count is None:
            raise ArgumentError(
                f"Layer '{self.name}' needs images of a known size to learn the places of patches.",
                hint="Say the size where the input is described, or use position = FALSE.",
                argument="position",
            )
        self.project = keras.layers.Conv2D(
            self.embed_dim,
            self.patch_size,
            strides=self.patch_size,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="project",
        )
        self.project.build(input_shape)
        if self.class_token:
            self.token = self.add_weight(
                shape=(1, 1, self.embed_dim), initializer="zeros", name="token"
            )
        if self.position:
            self.places = self.add_weight(
                shape=(1, count + self.class_token, self.embed_dim),
                initializer=keras.initializers.TruncatedNormal(stddev=0.02),
                name="places",
            )

    def call(self, inputs: Any) -> Any:
        patches = self.project(inputs)
        shape = ops.shape(patches)
        out = ops.reshape(patches, (shape[0], shape[1] * shape[2], self.embed_dim))
        if self.class_token:
            token = ops.cast(ops.tile(self.token, (shape[0], 1, 1)), out.dtype)
            out = ops.concatenate([token, out], axis=1)
        return out + ops.cast(self.places, out.dtype) if self.position else out

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        count = self._count(input_shape)
        steps = None if count is None else count + self.class_token
        return (input_shape[0], steps, self.embed_dim)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "embed_dim": self.embed_dim,
            "class_token": self.class_token,
            "position": self.position,
        }
