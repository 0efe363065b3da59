"""One batch at a time from whatever yields batches."""

from __future__ import annotations

from typing import Any

from kerasbridge.errors import ArgumentError


def next_batch(generator: Any) -> Any:
    """The next batch of a source of this package or of an iterator; None when it has ended."""
    own = getattr(generator, "next_batch", None)
    if own is not None:
        return own()
    if not hasattr(generator, "__next__"):
        raise ArgumentError(
            f"`generator` is a {type(generator).__name__}, which has no next element.",
            hint="Give an iterator: of a dataset, as_iterator(dataset).",
            argument="generator",
        )
    return next(generator, None)
