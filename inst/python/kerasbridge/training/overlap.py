"""One step beside the making of the next batches.

Batches are made on the thread that trains, callbacks run there, and so does every first step of a
kind: it may be traced, which calls functions of R. A step that is compiled already runs on the
worker thread of `kerasbridge.runtime.threads`, and while it runs the next batches are made.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Any, Callable, Iterator, Optional

import keras
import numpy as np

from kerasbridge.data.rgenerator import PulledBatches
from kerasbridge.errors import ArgumentError
from kerasbridge.runtime import spreading, threads
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.training.building import build_model, build_optimizer
from kerasbridge.training.compiling import flat_layers
from kerasbridge.training.guards import class_weight_rows, leaves
from kerasbridge.training.keeping import values_kept

_YIELD = 5e-4  # seconds between two batches in which a finished step can report


class Ahead:
    """The `count` batches of a stretch, made at most `limit` ahead and never beyond the stretch.

    What goes wrong while a batch is made is raised when its turn comes.
    """

    def __init__(
        self, batches: PulledBatches, count: int, limit: int, prepare: Callable[[tuple], tuple]
    ):
        self._batches, self._limit, self._prepare = batches, limit, prepare
        self._ready: deque = deque()
        self._left = count

    @property
    def wanted(self) -> bool:
        return self._left > 0 and len(self._ready) < self._limit

    def pull(self) -> None:
        self._left -= 1
        try:
            batch = self._batches.next()
            self._ready.append((None if batch is None else self._prepare(batch), None))
        except Exception as error:
            self._ready.append((None, error))
            batch = None
        if batch is None:
            self._left = 0

    def put_back(self, batch: tuple) -> None:
        """Make a batch that was taken the next one again."""
        self._ready.appendleft((batch, None))

    def take(self) -> Optional[tuple]:
        """The next batch, None when the function has said that there is none."""
        if not self._ready:
            self.pull()
        batch, error = self._ready.popleft()
        if error is not None:
            raise error
        return batch


def _as_tensors(part: Any) -> Any:
    """Arrays of a nest as tensors: converted here, they cost the step nothing."""
    import tensorflow as tf

    if isinstance(part, dict):
        return {name: _as_tensors(value) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(_as_tensors(value) for value in part)
    return tf.convert_to_tensor(part) if isinstance(part, np.ndarray) else part


def _kind_of(part: Any) -> Any:
    """What a compiled step distinguishes: the form of a nest, and type and shape of each leaf."""
    if isinstance(part, dict):
        return ("dict", *((name, _kind_of(value)) for name, value in part.items()))
    if isinstance(part, (list, tuple)):
        return ("list", *(_kind_of(value) for value in part))
    if part is None:
        return None
    return (type(part).__name__, str(part.dtype), tuple(part.shape))


def _common(one: Any, other: Any) -> Any:
    """The kind that covers both, None on the axes where they differ; False if there is none."""
    if one == other:
        return one
    if not (isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other)):
        return False
    leaf = len(one) == 3 and isinstance(one[2], tuple) and isinstance(one[1], str)
    if leaf:
        same = one[:2] == other[:2] and len(one[2]) == len(other[2])
        if not same:
            return False
        return (*one[:2], tuple(a if a == b else None for a, b in zip(one[2], other[2])))
    parts = []
    for a, b in zip(one, other):
        part = _common(a, b)
        if part is False and a is not b:
            return False
        parts.append(part)
    return tuple(parts)


class _Kinds:
    """The kinds of batches that a step is compiled for.

    As TensorFlow does, a second shape makes every axis free on which it differs from the first.
    """

    def __init__(self) -> None:
        self._seen: set = set()
        self._covers: Any = None

    def __contains__(self, kind: Any) -> bool:
        return kind in self._seen or (
            self._covers is not None and _common(self._covers, kind) == self._covers
        )

    @property
    def any(self) -> bool:
        return bool(self._seen)

    def add(self, kind: Any) -> None:
        if self._seen and self._covers is None:
            self._covers = next(iter(self._seen))
        if self._covers is not None:
            self._covers = _common(self._covers, kind) or None
        self._seen.add(kind)


@contextlib.contextmanager
def _metrics_run_on(model: Any) -> Iterator[None]:
    """Within the block the one-batch methods add to the metrics instead of resetting them."""
    object.__setattr__(model, "reset_metrics", lambda: None)
    try:
        yield
    finally:
        object.__delattr__(model, "reset_metrics")


def plain_logs(logs: Any) -> dict:
    """Numbers by name, inner dicts unfolded; arrays stay arrays."""
    out = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            out.update(plain_logs(value))
            continue
        value = np.asarray(value)
        out[name] = float(value) if value.ndim == 0 else value
    return out


def _overlaps(model: Any) -> bool:
    """Whether a compiled step of this model may run on another thread."""
    if keras.config.backend() != "tensorflow" or getattr(model, "run_eagerly", False):
        return False
    import tensorflow as tf

    if spreading.strategy_of(model) is not None:
        return False
    return not tf.config.functions_run_eagerly() and not tf.distribute.has_strategy()


def _has_own_state(model: Any) -> bool:
    """Whether a step is a function of JAX from values to values, on one device."""
    return (
        keras.config.backend() == "jax"
        and not keras_before(3, 7)  # its function takes the batch itself
        and not getattr(model, "run_eagerly", False)
        and keras.distribution.distribution() is None
    )


class Steps:
    """The steps of one run: `kind` is "train", "test" or "predict".

    `start` begins a step and returns at once where it may run beside this thread; `finish` returns
    its logs (a dict, perhaps of tensors; see `plain_logs`) or its outputs.
    """

    def __init__(self, model: Any, kind: str, class_weight: Optional[dict] = None):
        self._model, self._kind = model, kind
        self._class_weight = class_weight
        self._kinds = _Kinds()
        self._function: Any = None
        self.beside = _overlaps(model)
        self._stateless = kind == "train" and _has_own_state(model)

    def prepare(self, batch: tuple) -> tuple:
        """A batch as the step takes it."""
        x, y, weight = batch
        if self._kind == "predict":
            y = weight = None
        if self._class_weight is not None:
            if weight is not None:
                raise ArgumentError(
                    "`class_weight` can't be combined with weights from the generator.",
                    argument="class_weight",
                )
            weight = class_weight_rows(y, self._class_weight, keras.config.floatx())
        parts = (x, y, weight)
        return tuple(_as_tensors(part) for part in parts) if self.beside else parts

    def start(self, batch: tuple) -> Any:
        if self._stateless:
            return _Done(self._jax_step(batch))
        if not self.beside:
            return _Done(self._first(batch))
        kind = _kind_of(batch)
        function = getattr(self._model, f"{self._kind}_function", None)
        if function is None or function is not self._function or kind not in self._kinds:
            if function is not self._function:
                self._kinds = _Kinds()
            done = _Done(self._first(batch))
            self._function = getattr(self._model, f"{self._kind}_function", None)
            self._kinds.add(kind)
            # a function that is traced anew for every iterator (older versions) can't go beside
            traced = hasattr(self._function, "get_concrete_function")
            self.beside = self._function is not None and (self._kind == "predict" or not traced)
            return done
        if self._kind == "predict":
            return threads.start(lambda: self._model.predict_on_batch(batch[0]))
        return threads.start(lambda: function(iter([batch])))

    def _first(self, batch: tuple) -> Any:
        x, y, weight = batch
        if spreading.strategy_of(self._model) is not None:
            return self._on_devices(batch)
        build_model(self._model, x)
        if self._kind == "train":
            build_optimizer(self._model)
        if self._kind == "predict":
            with values_kept(self._model):
                return self._model.predict_on_batch(x)
        weight = spreading.weights_on_devices(y, weight)
        with values_kept(self._model), _metrics_run_on(self._model):
            method = getattr(self._model, f"{self._kind}_on_batch")
            return method(x, y, sample_weight=weight, return_dict=True)

    def _jax_step(self, batch: tuple) -> Any:
        """One step of training on JAX: the model's own function, on the values of its variables.

        Keras' `train_on_batch` does the same, but looks the model through, puts the batch on the device and
        waits for the numbers each time. The first batch of each kind goes through it.
        """
        model, kind = self._model, _kind_of(batch)
        function = getattr(model, "train_function", None)
        function = getattr(function, "plain", function)
        if function is None or function is not self._function or kind not in self._kinds:
            if function is not self._function:
                self._kinds = _Kinds()
            logs = self._first(batch)
            self._function = getattr(model.train_function, "plain", model.train_function)
            self._kinds.add(kind)
            return logs
        groups = (
            model.trainable_variables, model.non_trainable_variables,
            model.optimizer.variables, model.metrics_variables,
        )  # fmt: skip
        with values_kept(model):
            state = tuple([variable.value for variable in group] for group in groups)
            logs, state = model.train_function(state, iter([batch]))
            for group, values in zip(groups, state):
                for variable, value in zip(group, values):
                    variable.assign(value)
        return logs

    def _on_devices(self, batch: tuple) -> Any:
        """One step in which each device of the model's strategy has its part of the batch."""
        model, kind = self._model, self._kind
        x, y, weight = batch
        rows = next(leaf.shape[0] for _, leaf in leaves(x, "x"))
        if kind == "predict":
            return model.predict(x, batch_size=rows, verbose=0)
        strategy = spreading.strategy_of(model)
        with spreading.weighed_gradients(model, flat_layers(model)):
            first = not self._kinds.any
            if first:
                with strategy.scope():  # metrics and optimizer get their variables
                    with _metrics_run_on(model):
                        model.test_on_batch(x, y, sample_weight=weight)
                    model.reset_metrics()
                    if kind == "train" and not model.optimizer.built:
                        model.optimizer.build(model.trainable_variables)
                self._kinds.add(_kind_of(batch))
            # compiled anew for each run: an earlier one may have had data of another rank
            getattr(model, f"make_{kind}_function")(force=first)
            data = (x, y) if weight is None else (x, y, weight)
            logs = getattr(model, f"{kind}_function")(iter([strategy.spread(data)]))
            # a device reports its own part of a metric; outside of the step they are summed
            whole = model.get_metrics_result()
            return whole if set(whole) == set(logs) else logs

    def finish(self, job: Any, ahead: Ahead) -> Any:
        """What the step gave; the next batches are made while it runs."""
        if isinstance(job, _Done):
            return job.result
        while ahead.wanted and not job.done:
            ahead.pull()
            threads.wait(job, _YIELD)
        return threads.finish(job)


class _Done:
    """A step that has run on this thread."""

    def __init__(self, result: Any):
        self.result = result
