"""Transformer blocks: attention over a sequence, then a small network at each step."""

from __future__ import annotations

from typing import Any, Optional

import keras
from keras import ops

from kerasbridge.errors import ArgumentError
from kerasbridge.layers.checks import check_positive, check_rate


class _Block(keras.layers.Layer):
    """What encoder and decoder share: arguments, the small network, residual connections."""

    def __init__(
        self,
        num_heads: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        activation: Any = "relu",
        norm_first: bool = False,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = check_positive(num_heads, "num_heads")
        self.intermediate_dim = check_positive(intermediate_dim, "intermediate_dim")
        self.dropout = check_rate(dropout, "dropout")
        self.activation = keras.activations.get(activation)
        self.norm_first = bool(norm_first)
        self.epsilon = float(epsilon)
        self.supports_masking = True

    def _attention(self, width: int, shapes: tuple, name: str) -> Any:
        if width % self.num_heads:
            raise ArgumentError(
                f"Layer '{self.name}' has {self.num_heads} heads, which don't divide the {width} "
                "features of its input.",
                hint="Choose `num_heads` so that it does.",
                argument="num_heads",
            )
        layer = keras.layers.MultiHeadAttention(
            self.num_heads,
            width // self.num_heads,
            dropout=self.dropout,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(*shapes)
        return layer

    def _built(self, layer: Any, shape: tuple) -> Any:
        layer.build(shape)
        return layer

    def _norm(self, shape: tuple, name: str) -> Any:
        return self._built(
            keras.layers.LayerNormalization(
                epsilon=self.epsilon, dtype=self.dtype_policy, name=name
            ),
            shape,
        )

    def _build_network(self, shape: tuple) -> None:
        width = shape[-1]
        policy = self.dtype_policy
        self.widen = self._built(
            keras.layers.Dense(
                self.intermediate_dim, activation=self.activation, dtype=policy, name="widen"
            ),
            shape,
        )
        inner = (*shape[:-1], self.intermediate_dim)
        self.narrow = self._built(keras.layers.Dense(width, dtype=policy, name="narrow"), inner)
        self.drop = keras.layers.Dropout(self.dropout, dtype=policy, name="drop")
        self.network_norm = self._norm(shape, "network_norm")

    def _residual(self, x: Any, norm: Any, branch: Any, training: Optional[bool]) -> Any:
        """`x + branch(norm(x))`, or `norm(x + branch(x))` where the norm comes last."""
        out = self.drop(branch(norm(x) if self.norm_first else x), training=training)
        return x + out if self.norm_first else norm(x + out)

    def _network(self, x: Any, training: Optional[bool]) -> Any:
        return self._residual(x, self.network_norm, lambda h: self.narrow(self.widen(h)), training)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "norm_first": self.norm_first,
            "epsilon": self.epsilon,
        }


def _attend_mask(mask: Any) -> Any:
    """`(batch, steps)` -> `(batch, 1, steps)`: which steps may be looked at."""
    return None if mask is None else ops.cast(mask, "bool")[:, None, :]


@keras.saving.register_keras_serializable(package="kerasbridge")
class TransformerEncoder(_Block):
    """Self-attention and a two-layer network, each with a residual connection and layer norm.

    Input and output: `(batch, steps, features)`; `features` is divided by `num_heads`. A mask of the
    input keeps padded steps from being looked at. Source: Vaswani et al., "Attention is all you need"
    (2017); with `norm_first`: Xiong et al., "On layer normalization in the transformer architecture"
    (2020).

    Args:
        num_heads: number of attention heads.
        intermediate_dim: units of the network's first layer.
        dropout: share of values dropped in training.
        activation: of the network's first layer.
        norm_first: layer norm before each part instead of after it.
        epsilon: of layer norm.

    Raises:
        ArgumentError: the heads don't divide the features, or an argument is out of range.
    """

    def build(self, input_shape: tuple) -> None:
        shape = tuple(input_shape)
        self.attention = self._attention(shape[-1], (shape, shape), "attention")
        self.attention_norm = self._norm(shape, "attention_norm")
        self._build_network(shape)

    def call(self, inputs: Any, mask: Any = None, training: Optional[bool] = None) -> Any:
        allowed = _attend_mask(mask)

        def attend(x: Any) -> Any:
            return self.attention(x, x, attention_mask=allowed, training=training)

        out = self._residual(inputs, self.attention_norm, attend, training)
        return self._network(out, training)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)


@keras.saving.register_keras_serializable(package="kerasbridge")
class TransformerDecoder(_Block):
    """Causal self-attention, attention to an encoder's output (if one is given), and a network.

    Call: `layer(x)` or `layer(x, encoded)`. `x`: `(batch, steps, features)`, `encoded`:
    `(batch, other steps, any)`; output as `x`. A step looks at itself and at earlier ones only.
    Masks of `x` and of `encoded` are followed. Source: as `TransformerEncoder`.

    Args:
        num_heads, intermediate_dim, dropout, activation, norm_first, epsilon: as
            `TransformerEncoder`.
    """

    def build(self, inputs_shape: tuple, encoded_shape: Optional[tuple] = None) -> None:
        shape = tuple(inputs_shape)
        self.attention = self._attention(shape[-1], (shape, shape), "attention")
        self.attention_norm = self._norm(shape, "attention_norm")
        self.cross = self.cross_norm = None
        if encoded_shape is not None:
            self.cross = self._attention(shape[-1], (shape, tuple(encoded_shape)), "cross")
            self.cross_norm = self._norm(shape, "cross_norm")
        self._build_network(shape)

    def call(
        self,
        inputs: Any,
        encoded: Any = None,
        mask: Any = None,
        inputs_mask: Any = None,
        encoded_mask: Any = None,
        training: Optional[bool] = None,
    ) -> Any:
        # so Keras calls the mask of the first of two inputs
        allowed = _attend_mask(inputs_mask if mask is None else mask)

        def attend(x: Any) -> Any:
            return self.attention(
                x, x, attention_mask=allowed, use_causal_mask=True, training=training
            )

        out = self._residual(inputs, self.attention_norm, attend, training)
        if self.cross is not None:
            if encoded is None:
                raise ValueError(
                    f"Layer '{self.name}' was built with an encoder's output and called without one."
                )
            seen = _attend_mask(encoded_mask)

            def look(x: Any) -> Any:
                return self.cross(x, encoded, attention_mask=seen, training=training)

            out = self._residual(out, self.cross_norm, look, training)
        return self._network(out, training)

    def compute_output_shape(
        self, inputs_shape: tuple, encoded_shape: Optional[tuple] = None
    ) -> tuple:
        return tuple(inputs_shape)
