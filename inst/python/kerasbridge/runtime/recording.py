"""A method that is followed symbolically, to be written down as operations of Keras.

While a recording is on, weights that R code hands to an operation are replaced by symbolic tensors: the
values of a weight must not end up as constants in what is written. See `saving/programs.py`. Code that takes
no tensors, such as an initializer, is followed with values, and its operations are noted one by one: see
`saving/function_programs.py`.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Optional

from kerasbridge.runtime.variables import variable_class


class NotExpressible(Exception):
    """The method can't be written down as operations of Keras; the text says why."""


class Recording:
    """One method on its way through symbolic tensors.

    Args:
        swapped: id of a variable -> the symbolic tensor that stands for it.
        constants: tensors with values that were there before.
        closed_over: whether other tensors with values may be used. They can't come from the arguments of
            a function that is given symbolic tensors, so they are constants.
    """

    def __init__(self, swapped: dict, constants: list, closed_over: bool = False):
        self._swapped, self._closed_over = swapped, closed_over
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
        if isinstance(value, variable_class()):
            if id(value) not in self._swapped:
                refuse("it uses a weight that is not its own")
            return self._swapped[id(value)]
        if keras.ops.is_tensor(value) and not isinstance(value, keras.KerasTensor):
            if id(value) not in self._known and not self._closed_over:
                refuse("it computes past the operations of Keras")
        return value

    def result(self, value: Any) -> Any:
        """Remember the constants among the results of an operation; returns `value`."""
        import keras

        for item in value if isinstance(value, (list, tuple)) else [value]:
            if keras.ops.is_tensor(item):
                self._known[id(item)] = item
        return value


class Operations:
    """The operations of code that takes no tensors, one by one.

    Attributes:
        steps: dicts with `symbol` (a public name, or None for an object that is called) and `args`,
            `kwargs` as `keras.saving` writes them; `{"result": [step, item]}` stands for what an earlier
            step gave, `item` being None for all of it.
        values: what the steps gave.
    """

    def __init__(self) -> None:
        self.steps: list = []
        self.values: list = []
        self.reason: Optional[str] = None

    def arguments(self, symbol: str, value: Any) -> Any:
        """Note an operation before it runs; returns its arguments as they are.

        Raises:
            NotExpressible: arguments that can't be written down.
        """
        if symbol.startswith(("keras.ops.", "keras.random.")):
            self.steps.append({"symbol": symbol, "args": self.written(value)})
        return value

    def called(self, target: Any, args: list, kwargs: dict) -> None:
        """Note that an object of Keras is called, such as an initializer."""
        import keras

        if isinstance(target, keras.Initializer) and type(target).__module__.startswith("keras."):
            made = keras.saving.serialize_keras_object(target)
            self.steps.append({"object": made, "args": self.written([args, kwargs])})

    def result(self, value: Any) -> Any:
        """Note what the operation gave; returns `value`."""
        if len(self.values) < len(self.steps):
            self.values.append(value)
        return value

    def written(self, value: Any) -> Any:
        """A value with references to the results of earlier steps."""
        import keras
        import numpy as np

        if isinstance(value, (list, tuple)):
            return [self.written(item) for item in value]
        if isinstance(value, dict):
            return {"dict": {key: self.written(item) for key, item in value.items()}}
        if isinstance(value, (variable_class(), keras.random.SeedGenerator)) or callable(value):
            refuse("it hands functions, weights or generators of numbers to operations")
        if keras.ops.is_tensor(value):
            for step, made in enumerate(self.values):
                if made is value:
                    return {"result": [step, None]}
                if isinstance(made, (list, tuple)) and any(item is value for item in made):
                    return {"result": [step, [item is value for item in made].index(True)]}
            refuse("it computes past the operations of Keras")
        if isinstance(value, (np.ndarray, np.generic)):
            if np.size(value) > MAX_CONSTANT:
                refuse("it holds large constants")
            return {"array": np.asarray(value).tolist(), "dtype": str(np.asarray(value).dtype)}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return refuse("it hands things to operations that can't be written as plain values")


MAX_CONSTANT = 10_000  # numbers

_current: Any = None


def current() -> Any:
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
def recording(recorder: Any) -> Iterator[Any]:
    """Record within the block, by a `Recording` or `Operations`."""
    global _current
    before, _current = _current, recorder
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
