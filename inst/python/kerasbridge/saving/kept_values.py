"""A load of weights that fails leaves the model as it was: by a copy of its values, or without one."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any, Callable, ContextManager, Iterator

import numpy as np

from kerasbridge.saving.sizes import stored_size

Writing = Callable[[], ContextManager]  # what surrounds the writing of values that fit
SMALL = 32 * 2**20  # bytes up to which values are kept while others are written


def is_small(model: Any, size: int) -> bool:
    """Whether keeping a copy of the values of `model` costs little beside a file of `size` bytes."""
    return max(size, stored_size(model)) <= SMALL


@contextlib.contextmanager
def left_whole(model: Any, doors: list, source: str) -> Iterator[None]:
    """Around the writing of values that fit, so that nothing stays half written.

    A small model gets its values back on an error. For a large one the files are compared with their
    checksums before: what can still stop the writing is a person, or a disk that fails.
    """
    if is_small(model, sum(door.contents.size for door in doors)):
        with values_kept(model):
            yield
        return
    for door in doors:
        door.verified()
    try:
        yield
    except BaseException:
        warnings.warn(
            f"Loading '{source}' stopped half way: some layers have the weights of the file, others "
            "their own. Load weights again before the model is used.",
            RuntimeWarning,
            stacklevel=2,
        )
        raise


@contextlib.contextmanager
def values_kept(model: Any) -> Iterator[None]:
    """Around a load that writes before it compares: on an error every weight has its value again."""
    import keras

    optimizer = getattr(model, "optimizer", None)
    variables = [*model.weights, *getattr(optimizer, "variables", ())]
    before = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]
    try:
        yield
    except BaseException:
        for variable, value in zip(variables, before):
            variable.assign(value)
        raise
