"""Where training is, for what is said of an error in R code, and what R code inside of steps costs."""

from __future__ import annotations

from typing import Optional

_epoch: Optional[int] = None
_batch: Optional[int] = None
_calls = 0
_seconds = 0.0


def begin(epoch: Optional[int]) -> None:
    """An epoch begins (counted from 0; None while evaluating or predicting), and its first batch."""
    global _epoch, _batch, _calls, _seconds
    _epoch, _batch = (None if epoch is None else epoch + 1), 1
    _calls, _seconds = 0, 0.0


def at(batch: int) -> None:
    """A batch (counted from 0) begins."""
    global _batch
    _batch = batch + 1


def end() -> None:
    """The run is over."""
    global _epoch, _batch
    _epoch = _batch = None


def phrase() -> str:
    """ ", epoch 2, batch 3", or nothing outside of a run; both count from 1."""
    return epoch() + ("" if _batch is None else f", batch {_batch}")


def epoch() -> str:
    """ ", epoch 2", or nothing outside of a fit."""
    return "" if _epoch is None else f", epoch {_epoch}"


def count(seconds: float) -> None:
    """A function of R has run."""
    global _calls, _seconds
    _calls, _seconds = _calls + 1, _seconds + seconds


def cost() -> tuple[int, float]:
    """(calls, seconds) of R functions since the epoch began."""
    return _calls, _seconds
