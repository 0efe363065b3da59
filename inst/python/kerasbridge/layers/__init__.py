"""Layers, losses and metrics that ship with kerasbridge, registered as "kerasbridge>Name".

Importing this package loads neither Keras nor a backend: each class is loaded when its name is
first used. A saved model that holds one of them is loaded after `register()`; importing this
package after Keras registers them at once.
"""

from __future__ import annotations

import importlib
import sys

# public name -> module that defines it, imported on first use
_LAZY = {
    "AttentionPooling": "kerasbridge.layers.attention_pooling",
    "FeatureTokenizer": "kerasbridge.layers.tabular",
    "GradientReversal": "kerasbridge.layers.regularizing",
    "LocallyConnected1D": "kerasbridge.layers.locally_connected",
    "LocallyConnected2D": "kerasbridge.layers.locally_connected",
    "MeanRelativeError": "kerasbridge.layers.mean_metrics",
    "MeanTensor": "kerasbridge.layers.mean_metrics",
    "MixtureDensity": "kerasbridge.layers.mixture",
    "MixtureDensityLoss": "kerasbridge.layers.mixture",
    "MonteCarloDropout": "kerasbridge.layers.regularizing",
    "PatchEmbedding": "kerasbridge.layers.patches",
    "PeriodicEmbedding": "kerasbridge.layers.tabular",
    "PiecewiseLinearEmbedding": "kerasbridge.layers.tabular",
    "PositionEmbedding": "kerasbridge.layers.positions",
    "RandomHeight": "kerasbridge.layers.random_size",
    "RandomWidth": "kerasbridge.layers.random_size",
    "ReversibleInstanceNorm": "kerasbridge.layers.temporal",
    "SinusoidalEncoding": "kerasbridge.layers.positions",
    "SqueezeExcite": "kerasbridge.layers.attention_pooling",
    "TabularTransformer": "kerasbridge.layers.tabular",
    "TemporalBlock": "kerasbridge.layers.temporal",
    "ThresholdedReLU": "kerasbridge.layers.thresholded_relu",
    "TransformerDecoder": "kerasbridge.layers.transformer",
    "TransformerEncoder": "kerasbridge.layers.transformer",
}

__all__ = sorted([*_LAZY, "register"])


def register() -> None:
    """Load every class, so that Keras finds them by name in a saved model. Starts Keras."""
    for module in sorted(set(_LAZY.values())):
        importlib.import_module(module)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'kerasbridge.layers' has no attribute '{name}'")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__


if "keras" in sys.modules:
    register()
