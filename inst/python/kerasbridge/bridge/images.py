"""Image generators as R makes them."""

from __future__ import annotations

from typing import Any

from kerasbridge.data import images


def new(**settings: Any) -> images.ImageGenerator:
    return images.ImageGenerator(**settings)


def fit(generator: images.ImageGenerator, **arguments: Any) -> images.ImageGenerator:
    return generator.fit(**arguments)


def flow(kind: str, generator: images.ImageGenerator, arguments: dict) -> Any:
    """A source of batches; one that calls a function of R stays on R's thread."""
    from kerasbridge.data.indexed import DirectBatches

    source = getattr(images, kind)(generator, **arguments)
    direct = generator.preprocessing_function is not None
    return DirectBatches(source) if direct else source
