"""Batches pulled one by one from a function, on the thread that asks."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from kerasbridge.errors import DataError


def leaves(part: Any, name: str):
    """(name, array) of every array in a nest of lists and dicts, in order."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from leaves(value, f"{name}${key}")
    elif isinstance(part, (list, tuple)):
        for i, value in enumerate(part):
            yield from leaves(value, f"{name}[[{i + 1}]]")
    elif part is not None:
        yield name, part


class PulledBatches:
    """Batches of a function that is called once for each.

    Args:
        pull: returns (x,), (x, y) or (x, y, sample_weight), or None when there is nothing left.
        input_shapes: shape of each input of the model with the batch axis, None where unknown.
        word: what the function is called in messages.
        check: called with x, y and whether the batch is the first; raises a DataError where the
            batch doesn't suit the model.
        column: axes of the model's output where its last one has length 1: targets without that
            axis get it, so that all batches are alike.

    Attributes:
        calls: batches taken so far.
        ended: whether the function has said that there is nothing left.
    """

    def __init__(
        self,
        pull: Callable[[], Any],
        input_shapes: Optional[list] = None,
        word: str = "generator",
        check: Optional[Callable[[Any, Any, bool], None]] = None,
        column: Optional[int] = None,
    ):
        self._pull = pull
        self._inputs = input_shapes
        self._first: Optional[list] = None
        self._suits = check
        self._column = column
        self.word = word
        self.calls = 0
        self.ended = False

    def next(self) -> Optional[tuple]:
        """The next batch as (x, y, sample_weight), None at the end.

        Raises:
            DataError: the parts differ in rows, or their shapes from those of the first batch or of
                the model's inputs; says which batch and which element.
        """
        if self.ended:
            return None
        parts = self._pull()
        if parts is None:
            self.ended = True
            return None
        self.calls += 1
        x, y, weight = (tuple(parts) + (None, None))[:3]
        x = self._fit_inputs(x)
        if (
            self._column is not None
            and np.ndim(y) == self._column - 1
            and isinstance(y, np.ndarray)
        ):
            y = y[..., None]
        self._check(x, y, weight)
        if self._suits is not None:
            try:
                self._suits(x, y, self.calls == 1)
            except DataError as error:
                raise self._refuse(error.message, error.hint) from error
        return x, y, weight

    def _refuse(self, text: str, hint: Optional[str] = None) -> DataError:
        return DataError(
            f"Batch {self.calls} of the {self.word}: {text}",
            hint=hint,
            argument="x",
            details={"batch": self.calls},
        )

    def _fit_inputs(self, x: Any) -> Any:
        """Give back the axis that R drops where a batch has one column or one row."""
        shapes = self._inputs
        if shapes is None or isinstance(x, dict):
            return x
        parts = list(x) if isinstance(x, (list, tuple)) else [x]
        if len(parts) != len(shapes):
            raise self._refuse(f"`x` has {len(parts)} parts, the model takes {len(shapes)} inputs.")
        parts = [
            self._fit_one(part, shape, "x" if len(shapes) == 1 else f"x[[{i + 1}]]")
            for i, (part, shape) in enumerate(zip(parts, shapes))
        ]
        return type(x)(parts) if isinstance(x, (list, tuple)) else parts[0]

    def _fit_one(self, array: Any, shape: Optional[tuple], name: str) -> Any:
        if shape is None or not hasattr(array, "shape"):
            return array
        have = tuple(array.shape)
        if len(have) == len(shape) - 1 and isinstance(array, np.ndarray):
            if shape[-1] == 1:
                array = array[..., None]
            elif all(want in (None, n) for want, n in zip(shape[1:], have)):
                array = array[None]
        have = tuple(int(n) for n in array.shape)
        same = len(have) == len(shape) and all(
            want in (None, n) for want, n in zip(shape[1:], have[1:])
        )
        if not same:
            wanted = ", ".join("any" if n is None else str(n) for n in shape[1:])
            raise self._refuse(
                f"`{name}` has shape ({', '.join(map(str, have))}); the model takes "
                f"(rows, {wanted}).",
                "A batch keeps its matrix form with `drop = FALSE`: x[rows, , drop = FALSE].",
            )
        return array

    def _check(self, x: Any, y: Any, weight: Any) -> None:
        found = [*leaves(x, "x"), *leaves(y, "y"), *leaves(weight, "sample_weight")]
        sizes = []
        for name, array in found:
            shape = getattr(array, "shape", None)
            if shape is None:
                raise self._refuse(f"`{name}` is not an array.")
            if len(shape) == 0:
                raise self._refuse(f"`{name}` is a single value, not a row for each sample.")
            sizes.append((name, tuple(int(n) for n in shape)))
        if not sizes:
            raise self._refuse("it holds no data.")
        first_name, first_shape = sizes[0]
        if first_shape[0] == 0:
            raise self._refuse(f"`{first_name}` has no rows.")
        for name, shape in sizes[1:]:
            if shape[0] != first_shape[0]:
                raise self._refuse(
                    f"`{first_name}` has {first_shape[0]} rows, `{name}` {shape[0]}."
                )
        form = [(name, shape[1:]) for name, shape in sizes]
        if self._first is None:
            self._first = form
            return
        if [name for name, _ in form] != [name for name, _ in self._first]:
            raise self._refuse(
                f"it has the parts {', '.join(name for name, _ in form)}; the first batch had "
                f"{', '.join(name for name, _ in self._first)}."
            )
        for (name, shape), (_, before) in zip(form, self._first):
            if len(shape) != len(before):
                raise self._refuse(
                    f"`{name}` has {len(shape) + 1} axes, in the first batch {len(before) + 1}."
                )


def output_column(model: Any) -> Optional[int]:
    """Axes of the output of a model with one output whose last axis has length 1; else None."""
    try:
        shape = model.output_shape
    except Exception:  # a model that has not been built has no output to ask for
        return None
    plain = isinstance(shape, tuple) and all(n is None or isinstance(n, int) for n in shape)
    return len(shape) if plain and len(shape) > 1 and shape[-1] == 1 else None


def input_shapes(model: Any) -> Optional[list]:
    """Shapes of the model's inputs in order, with the batch axis; None where they aren't known."""
    try:
        inputs = model.inputs
    except Exception:  # a model that has not been built has no inputs to ask for
        return None
    if not inputs:
        return None
    return [tuple(tensor.shape) for tensor in inputs]
