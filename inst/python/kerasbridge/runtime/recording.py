"""A method that is followed symbolically, to be written down as operations of Keras.

While a recording is on, weights that R code hands to an operation are replaced by symbolic tensors: the
values of a weight must not end up as constants in what is written. See `saving/programs.py`.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Optional


class NotExpressible(Exception):
    """The method can't be written down as operations of Keras; the text says why."""


class Recording:
    """One method on its way through symbolic tensors.

    Args:
        swapped: id of a variable -> the symbolic tensor that stands for it.
        constants: tensors with values that were there before.
    """

    def __init__(self, swapped: dict, constants: list):
        self._swapped = swapped
        self._known = {id(value): value for value in constants}
        self.reason: Optional[str] = None  # why it can't be written down

    def arguments(self, symbol: str, value: Any) -> Any:
        """Arguments of an operation, with symbolic tensors in place of weights.

        Raises:
            NotExpressible: random numbers, weights of elsewhere, or tensors of unknown origin.
        """
        if symbol.startswith("keras.random."):
            refuse(f"it draws random numbers ({symbol})")
        return self._replaced(value)

    def _replaced(self, value: Any) -> Any:
        import keras

        if isinstance(value, (list, tuple)):
            return type(value)(self._replaced(item) for item in value)
        if isinstance(value, dict):
            return {key: self._replaced(item) for key, item in value.items()}
        if isinstance(value, keras.Variable):
            if id(value) not in self._swapped:
                refuse("it uses a weight that is not its own")
            return self._swapped[id(value)]
        if keras.ops.is_tensor(value) and not isinstance(value, keras.KerasTensor):
            if id(value) not in self._known:
                refuse("it computes past the operations of Keras")
        return value

    def result(self, value: Any) -> Any:
        """Remember the constants among the results of an operation; returns `value`."""
        import keras

        for item in value if isinstance(value, (list, tuple)) else [value]:
            if keras.ops.is_tensor(item):
                self._known[id(item)] = item
        return value


_current: Optional[Recording] = None


def current() -> Optional[Recording]:
    """The recording that is on, or None."""
    return _current


def refuse(reason: str) -> None:
    """End the recording, if one is on.

    Raises:
        NotExpressible: with the reason, which the recording keeps: R code in between keeps texts only.
    """
    if _current is not None:
        _current.reason = _current.reason or reason
        raise NotExpressible(reason)


@contextlib.contextmanager
def recording(swapped: dict, constants: list) -> Iterator[Recording]:
    """Record within the block."""
    global _current
    before, _current = _current, Recording(swapped, constants)
    try:
        yield _current
    finally:
        _current = before


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Record nothing within the block."""
    global _current
    before, _current = _current, None
    try:
        yield
    finally:
        _current = before
