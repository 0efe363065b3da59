"""A model keeps its values whatever ends a run, on JAX.

There Keras takes the values out of the model for the time of `fit`, `evaluate` or `predict`, and JAX takes
the arrays of a step for the results of it (donation). Where an error or Ctrl-C ends `evaluate` or `predict`,
or falls between a step and Keras' note of its results, the model is left with nothing. So the values are
noted here before and after each step, a press waits until the step that has taken them is over, and what
the model lacks at the end is put back.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import weakref
from typing import Any, Callable, Iterator, Optional

import keras

from kerasbridge.runtime import presses, spreading

# kind of step -> what its state holds, in order
_STATE = {
    "train": ("trainable", "non_trainable", "optimizer", "metrics"),
    "test": ("trainable", "non_trainable", "metrics"),
    "predict": ("trainable", "non_trainable"),
}
_kept: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def values_kept(model: Any) -> Iterator[list]:
    """Within the block, and after it, the model has values: those of its last step that was finished.

    Yields the callbacks that belong in front of a run's others: a press that waited is answered there. A
    second press, half a second later, is answered at once; then a step in the middle may have taken the
    values for good.
    """
    if keras.config.backend() != "jax":
        yield []
        return
    known = _kept.get(model)
    keeper = known or Keeper(model)
    with contextlib.nullcontext() if known else keeper.installed():
        try:
            yield [_Answer(keeper)]
            keeper.answer()
        except BaseException as error:
            pressed = keeper.settle()
            keeper.put_back()
            # what Keras does at the end of a run can fail over values that are gone
            if not isinstance(error, KeyboardInterrupt) and (pressed or _after_press(error)):
                raise KeyboardInterrupt from None
            raise


def _after_press(error: BaseException) -> bool:
    earlier = error.__context__
    return earlier is not None and (isinstance(earlier, KeyboardInterrupt) or _after_press(earlier))


class Keeper:
    """Notes the values around the steps of one model.

    Attributes:
        values: kind of variable -> arrays, as they were when the last step ended or the next one began.
    """

    def __init__(self, model: Any):
        self._model = weakref.ref(model)
        self.values: dict[str, list] = {}
        self._taken: Optional[list] = None  # the arrays that the present step may take
        self._noted: Any = None  # (when, frame) of a press that waits
        self._before: Any = None

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Steps go through `_step`, and presses through `_press`, within the block."""
        model = self._model()
        _kept[model] = self
        for kind in _STATE:
            self._wrap(model, kind)
        ours = self._listen()
        try:
            yield
        finally:
            if ours and signal.getsignal(signal.SIGINT) == self._press:
                presses.handle(self._before)
            for kind in _STATE:
                object.__delattr__(model, f"make_{kind}_function")
                function = getattr(model, f"{kind}_function", None)
                setattr(model, f"{kind}_function", getattr(function, "plain", function))
            _kept.pop(model, None)

    def _wrap(self, model: Any, kind: str) -> None:
        make, attribute = getattr(model, f"make_{kind}_function"), f"{kind}_function"

        def made(*args: Any, **kwargs: Any) -> Any:
            out = make(*args, **kwargs)
            function = getattr(model, attribute)
            if not hasattr(function, "plain"):
                setattr(model, attribute, self._step(kind, function))
            return out if out is None else getattr(model, attribute)

        object.__setattr__(model, f"make_{kind}_function", made)

    def _step(self, kind: str, function: Callable) -> Callable:
        names = _STATE[kind]

        def step(state: tuple, *data: Any) -> tuple:
            self.values.update(zip(names, state))
            self.answer()
            self._taken = [array for part in state for array in part]
            out = function(state, *map(spreading.cut, data))
            self.values.update(zip(names, out[1]))
            return out

        step.plain = function
        return step

    def _listen(self) -> bool:
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            return False
        self._before = before
        presses.handle(self._press)
        return True

    def _press(self, number: int, frame: Any) -> Any:
        now = time.monotonic()
        again = self._noted is not None and now - self._noted[0] > presses.SAME
        if self._taken is not None and any(map(_deleted, self._taken)) and not again:
            self._noted = self._noted or (now, frame)
            return None
        self._noted = None
        self._before(number, frame)
        if again:
            presses.check()

    def settle(self) -> bool:
        """The step is over; whether a press waits that is not to be answered any more."""
        self._taken = None
        noted, self._noted = self._noted, None
        return noted is not None

    def answer(self) -> None:
        """The step is over and Keras has noted what it gave: answer a press that came meanwhile.

        Raises:
            KeyboardInterrupt: there was one.
        """
        self._taken = None
        if self._noted is not None:
            model = self._model()
            model.jax_state_sync()
            (_, frame), self._noted = self._noted, None
            self._before(signal.SIGINT, frame)
            presses.check()

    def put_back(self) -> None:
        """Give the model the noted values if it lacks some."""
        model = self._model()
        with contextlib.suppress(Exception):  # over arrays that were taken
            model.jax_state_sync()
        groups = {
            "trainable": model.trainable_variables,
            "non_trainable": model.non_trainable_variables,
            "optimizer": getattr(getattr(model, "optimizer", None), "variables", []),
            "metrics": model.metrics_variables,
        }
        pairs = [pair for name in self.values for pair in zip(groups[name], self.values[name])]
        if any(_lacks(variable) for variable, _ in pairs):
            for variable, value in pairs:
                if not _deleted(value):
                    variable.assign(value)


class _Answer(keras.callbacks.Callback):
    """The first of a run's callbacks: a press that waited for a step is answered before the next one.

    (A hook at the step's end would make Keras wait for the device at each step.)
    """

    def __init__(self, keeper: Keeper):
        super().__init__()
        self._keeper = keeper

    def on_train_batch_begin(self, batch, logs=None):
        self._keeper.answer()

    on_test_batch_begin = on_predict_batch_begin = on_train_batch_begin


def _deleted(array: Any) -> bool:
    is_deleted = getattr(array, "is_deleted", None)
    return is_deleted is not None and is_deleted()


def _lacks(variable: Any) -> bool:
    try:
        return _deleted(variable.value)
    except TypeError:  # Keras has taken its value out
        return True
