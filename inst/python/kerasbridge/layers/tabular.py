"""Tables: columns as vectors, numbers in richer forms, and a transformer over columns."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import keras
import numpy as np
from keras import ops

from kerasbridge.errors import ArgumentError
from kerasbridge.layers.checks import check_positive, check_rate
from kerasbridge.layers.transformer import TransformerEncoder


def _uniform(width: int) -> Any:
    bound = width**-0.5
    return keras.initializers.RandomUniform(-bound, bound)


@keras.saving.register_keras_serializable(package="kerasbridge")
class FeatureTokenizer(keras.layers.Layer):
    """A vector for each column of a table, for layers that work on sequences.

    Input: numbers `(batch, columns)`; or a list of two, numbers `(batch, columns)` and whole numbers
    `(batch, other columns)` that count from 0. Output: `(batch, tokens, embed_dim)`, the number columns
    first, then the others, with `class_token` a learned vector in front. Source: Gorishniy et al.,
    "Revisiting deep learning models for tabular data" (2021).

    Args:
        embed_dim: length of the vectors.
        cardinalities: number of values of each column of whole numbers.
        class_token: whether a learned vector is put in front.

    Raises:
        ArgumentError: `cardinalities` don't fit the input.
    """

    def __init__(
        self,
        embed_dim: int,
        cardinalities: Sequence[int] = (),
        class_token: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.embed_dim = check_positive(embed_dim, "embed_dim")
        self.cardinalities = [check_positive(n, "cardinalities") for n in cardinalities or ()]
        self.class_token = bool(class_token)

    def _shapes(self, input_shape: Any) -> tuple:
        """The shape of the numbers and that of the whole numbers (None: there are none)."""
        two = len(input_shape) > 0 and isinstance(input_shape[0], (list, tuple))
        numbers, codes = tuple(input_shape) if two else (tuple(input_shape), None)
        given = 0 if codes is None else codes[-1]
        if given != len(self.cardinalities):
            raise ArgumentError(
                f"Layer '{self.name}' has {len(self.cardinalities)} `cardinalities`, and its input "
                f"{given} columns of whole numbers.",
                hint="Give `cardinalities` one number for each of these columns, and the input as a "
                "list: the numbers, then the whole numbers.",
                argument="cardinalities",
            )
        return tuple(numbers), codes

    def build(self, input_shape: Any) -> None:
        numbers, _ = self._shapes(input_shape)
        shape = (numbers[-1], self.embed_dim)
        start = _uniform(self.embed_dim)
        self.scale = self.add_weight(shape=shape, initializer=start, name="scale")
        self.offset = self.add_weight(shape=shape, initializer=start, name="offset")
        if self.cardinalities:
            self.table = self.add_weight(
                shape=(sum(self.cardinalities), self.embed_dim), initializer=start, name="table"
            )
            self.table_offset = self.add_weight(
                shape=(len(self.cardinalities), self.embed_dim),
                initializer=start,
                name="table_offset",
            )
        if self.class_token:
            self.token = self.add_weight(
                shape=(1, 1, self.embed_dim), initializer=start, name="token"
            )

    def call(self, inputs: Any) -> Any:
        numbers, codes = inputs if self.cardinalities else (inputs, None)
        x = ops.cast(numbers, self.compute_dtype)[..., None]
        tokens = [x * ops.cast(self.scale, x.dtype) + ops.cast(self.offset, x.dtype)]
        if codes is not None:
            first = np.concatenate([[0], np.cumsum(self.cardinalities)[:-1]]).astype("int32")
            rows = ops.cast(codes, "int32") + first
            vectors = ops.take(self.table, rows, axis=0) + self.table_offset
            tokens.append(ops.cast(vectors, x.dtype))
        if self.class_token:
            token = ops.tile(self.token, (ops.shape(x)[0], 1, 1))
            tokens.insert(0, ops.cast(token, x.dtype))
        return ops.concatenate(tokens, axis=1) if len(tokens) > 1 else tokens[0]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        numbers, codes = self._shapes(input_shape)
        count = numbers[-1] + (0 if codes is None else codes[-1]) + self.class_token
        return (numbers[0], count, self.embed_dim)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "embed_dim": self.embed_dim,
            "cardinalities": list(self.cardinalities),
            "class_token": self.class_token,
        }


@keras.saving.register_keras_serializable(package="kerasbridge")
class TabularTransformer(keras.layers.Layer):
    """A transformer over the columns of a table (FT-Transformer); a dense layer on top predicts.

    Input: as `FeatureTokenizer`. Output: `(batch, embed_dim)`, what the class token has gathered.
    Source: Gorishniy et al., "Revisiting deep learning models for tabular data" (2021).

    Args:
        embed_dim: length of the columns' vectors, divided by `num_heads`.
        num_blocks: transformer blocks.
        num_heads: attention heads of each.
        cardinalities: as `FeatureTokenizer`.
        intermediate_dim: units of the blocks' networks; `2 * embed_dim` if None.
        dropout: share of values dropped in training.
    """

    def __init__(
        self,
        embed_dim: int = 32,
        num_blocks: int = 2,
        num_heads: int = 4,
        cardinalities: Sequence[int] = (),
        intermediate_dim: Optional[int] = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.embed_dim = check_positive(embed_dim, "embed_dim")
        self.num_blocks = check_positive(num_blocks, "num_blocks")
        self.num_heads = check_positive(num_heads, "num_heads")
        self.cardinalities = list(cardinalities or ())
        self.intermediate_dim = intermediate_dim
        self.dropout = check_rate(dropout, "dropout")

    def build(self, input_shape: Any) -> None:
        policy = self.dtype_policy
        self.tokenizer = FeatureTokenizer(
            self.embed_dim, self.cardinalities, dtype=policy, name="tokenizer"
        )
        self.tokenizer.build(input_shape)
        shape = self.tokenizer.compute_output_shape(input_shape)
        self.blocks = []
        for number in range(self.num_blocks):
            block = TransformerEncoder(
                self.num_heads,
                self.intermediate_dim or 2 * self.embed_dim,
                dropout=self.dropout,
                activation="gelu",
                norm_first=True,
                dtype=policy,
                name=f"block_{number}",
            )
            block.build(shape)
            self.blocks.append(block)
        self.norm = keras.layers.LayerNormalization(dtype=policy, name="norm")
        self.norm.build((shape[0], self.embed_dim))

    def call(self, inputs: Any, training: Optional[bool] = None) -> Any:
        x = self.tokenizer(inputs)
        for block in self.blocks:
            x = block(x, training=training)
        return self.norm(x[:, 0, :])

    def compute_output_shape(self, input_shape: Any) -> tuple:
        first = input_shape[0]
        batch = first[0] if isinstance(first, (list, tuple)) else first
        return (batch, self.embed_dim)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "embed_dim": self.embed_dim,
            "num_blocks": self.num_blocks,
            "num_heads": self.num_heads,
            "cardinalities": list(self.cardinalities),
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kerasbridge")
class PeriodicEmbedding(keras.layers.Layer):
    """Each number as sines and cosines of learned frequencies.

    Input: `(batch, columns)`; output: `(batch, columns, 2 * num_frequencies)`. Source: Gorishniy,
    Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning" (2022).

    Args:
        num_frequencies: waves for each column.
        sigma: spread of the frequencies at the start; small for smooth relations.
    """

    def __init__(self, num_frequencies: int = 8, sigma: float = 0.1, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_frequencies = check_positive(num_frequencies, "num_frequencies")
        self.sigma = float(check_positive(sigma, "sigma", whole=False))

    def build(self, input_shape: tuple) -> None:
        self.frequencies = self.add_weight(
            shape=(input_shape[-1], self.num_frequencies),
            initializer=keras.initializers.RandomNormal(stddev=self.sigma),
            name="frequencies",
        )

    def call(self, inputs: Any) -> Any:
        angle = 2 * np.pi * inputs[..., None] * ops.cast(self.frequencies, inputs.dtype)
        return ops.concatenate([ops.cos(angle), ops.sin(angle)], axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*tuple(input_shape), 2 * self.num_frequencies)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_frequencies": self.num_frequencies,
            "sigma": self.sigma,
        }


@keras.saving.register_keras_serializable(package="kerasbridge")
class PiecewiseLinearEmbedding(keras.layers.Layer):
    """Each number as how far it fills each of a row of bins: 1 below it, 0 above, a share inside.

    Input: `(batch, columns)`; output: `(batch, columns, bins)`, no trained weights. Values outside
    the edges go on linearly in the first and the last bin. Source: Gorishniy, Rubachev and Babenko, "On
    embeddings for numerical features in tabular deep learning" (2022).

    Args:
        edges: for each column its bins' edges, rising, the same number for all; quantiles of the training
            data as a rule (`PiecewiseLinearEmbedding.quantiles(x, bins)` computes them).

    Raises:
        ArgumentError: edges that don't rise, or of another number of columns than the input.
    """

    def __init__(self, edges: Sequence[Sequence[float]], **kwargs: Any):
        super().__init__(**kwargs)
        try:
            table = np.asarray(edges, dtype="float64")
        except ValueError:
            table = np.empty(0)
        if table.ndim != 2 or table.shape[1] < 2 or not (np.diff(table, axis=1) > 0).all():
            raise ArgumentError(
                "`edges` must hold at least two rising numbers for each column, as many for each.",
                hint="`quantiles` of the training data are a good choice.",
                argument="edges",
            )
        self.edges = table.tolist()

    @staticmethod
    def quantiles(x: Any, bins: int) -> list:
        """Edges of `bins` bins for each column of `x` (rows, columns) with equal counts.

        Raises:
            ArgumentError: a column has fewer different values than edges.
        """
        x = np.asarray(x, dtype="float64")
        edges = np.quantile(x, np.linspace(0, 1, check_positive(bins, "bins") + 1), axis=0).T
        flat = np.flatnonzero(~(np.diff(edges, axis=1) > 0).all(axis=1))
        if len(flat):
            raise ArgumentError(
                f"Column {flat[0] + 1} has too few different values for {bins} bins.",
                hint="Use fewer bins, or leave the column out.",
                argument="bins",
            )
        return edges.tolist()

    def build(self, input_shape: tuple) -> None:
        if input_shape[-1] != len(self.edges):
            raise ArgumentError(
                f"Layer '{self.name}' has edges for {len(self.edges)} columns; the input has "
                f"{input_shape[-1]}.",
                argument="edges",
            )

    def call(self, inputs: Any) -> Any:
        edges = np.asarray(self.edges, dtype="float32")
        low, width = edges[:, :-1], np.diff(edges, axis=1)
        share = (ops.cast(inputs, "float32")[..., None] - low) / width
        bins = low.shape[1]
        least = np.where(np.arange(bins) == 0, -np.inf, 0.0).astype("float32")
        most = np.where(np.arange(bins) == bins - 1, np.inf, 1.0).astype("float32")
        return ops.cast(ops.minimum(ops.maximum(share, least), most), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*tuple(input_shape), len(self.edges[0]) - 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "edges": self.edges}
