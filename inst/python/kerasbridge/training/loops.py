"""One compiled loop around the model's own public `train_step` or `test_step`.

A `StepLoop` traces the step once for any number of rows. Its loops take the resident data as
arguments, cut batches out of it inside the graph and run as many steps a call as they are told, so
one trace serves every chunk, every epoch and, without XLA, every batch size.
"""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.runtime.quiet import hush_retracing
from kerasbridge.training.building import build_model, build_optimizer
from kerasbridge.training.compiling import flat_layers
from kerasbridge.training.graphs import Graph, row_bytes, writes_weights
from kerasbridge.training.placing import NotResident, flat, nest

_ATTRIBUTE = "_kerasbridge_loops"


class StepLoop:
    """The compiled loops of one model, one kind of step and one layout of data.

    Args:
        model: a compiled Keras model.
        kind: "train" or "test".
        data: nest of resident tensors, rows first, as `placing.packed` makes.

    Raises:
        NotResident: the step can't stand in a loop (it calls Python while it runs, or reports
            something that is not a dict of tensors of fixed shape).
    """

    def __init__(self, model: Any, kind: str, data: Any):
        hush_retracing()
        self.model = model
        self.kind = kind
        self.layout = nest(data, lambda tensor: None)
        self.specs = [tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in flat(data)]
        self._step_method = model.train_step if kind == "train" else model.test_step
        self._rows = _rows_to_know(model)
        self._loops: dict[tuple, Any] = {}
        self._static_steps: dict[int, Any] = {}
        self.compiled: set[tuple] = set()  # (xla, shuffled, size or None) of loops that have run
        self.timings: dict[str, Any] = {}  # filled by the chooser, kept between fits
        self.step = tf.function(self._call, autograph=False, jit_compile=False)
        self.traced = self.step.get_concrete_function(*self.specs)
        timesteps = max([s.shape[1] or 1 for s in self.specs if s.shape.rank > 2], default=1)
        self.graph = Graph(self.traced, timesteps)
        if self.graph.calls_out:
            raise NotResident("the step calls back into Python or R while it runs")
        logs = self.traced.structured_outputs
        if not isinstance(logs, dict):
            raise NotResident("the step does not report a dict of numbers")
        for value in logs.values():
            if not isinstance(value, tf.TensorSpec) and not tf.is_tensor(value):
                raise NotResident("the step reports something that is not a tensor")
        self.names = list(logs)
        # as Keras: if the step reports what the metrics hold, the metrics are asked at the end;
        # if it reports something of its own, the last step's report counts
        self.carries = set(self.names) != set(model.get_metrics_result())
        if self.carries and not all(v.shape.is_fully_defined() for v in logs.values()):
            raise NotResident("the step reports values whose shape varies")
        self.row_bytes = row_bytes(self.traced)
        self.writes_weights = writes_weights(self.traced, model)

    def _call(self, *tensors: tf.Tensor) -> Any:
        if self._rows is not None:
            tensors = tuple(tf.ensure_shape(t, (self._rows, *t.shape[1:])) for t in tensors)
        left = iter(tensors)
        data = nest(self.layout, lambda _: next(left))
        logs = self._step_method(data)
        if isinstance(logs, dict):
            return {
                name: tf.convert_to_tensor(value)
                for name, value in logs.items()
                if not isinstance(value, dict)
            } | {
                name: tf.convert_to_tensor(inner)
                for value in logs.values()
                if isinstance(value, dict)
                for name, inner in value.items()
            }
        return logs

    def fits(self, data: Any) -> bool:
        """Whether data of this layout, these types and these inner shapes can go through."""
        specs = [tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in flat(data)]
        return specs == self.specs and nest(data, lambda tensor: None) == self.layout

    def run(
        self, data: list, order: Optional[tf.Tensor], row: int, count: int, size: int, xla: bool
    ) -> dict:
        """Run `count` steps of `size` rows from row `row` on; the last may have fewer.

        Args:
            data: the resident tensors, flat.
            order: int32 (rows,), which row comes when; None for rows as they lie.
            row: place of the first row in the order.
            count: how many steps, 1 or more.
            size: rows a step.
            xla: compile with XLA; all steps must then have `size` rows.

        Returns:
            What the model reports after the last of these steps: name -> tensor.
        """
        key = (xla, order is not None, size if xla else None)
        if key not in self._loops:
            self._loops[key] = self._make(xla, order is not None, size)
        if order is None:
            order = tf.zeros((0,), tf.int32)
        logs = self._loops[key](
            tf.constant(row, tf.int32),
            tf.constant(count, tf.int32),
            tf.constant(size, tf.int32),
            order,
            *data,
        )
        self.compiled.add(key)
        return logs

    def run_single(self, data: list, order: Optional[tf.Tensor], row: int, size: int) -> dict:
        """One step as a call of its own, which is how Keras runs it."""
        last = min(row + size, int(data[0].shape[0]))
        if order is None:
            batch = [tensor[row:last] for tensor in data]
        else:
            batch = [tf.gather(tensor, order[row:last]) for tensor in data]
        return self.traced(*batch)

    def queue_loop(self) -> Any:
        """The loop over batches of a queue, traced at its first use.

        It is called with the handle of a queue whose elements are a logical and the tensors of a
        batch, flat, and with that of an int32 variable. It runs a step for each element until one
        comes whose logical is False, or the variable isn't 0, and returns what the model reports.
        """
        if "queue" not in self._loops:
            self._loops["queue"] = self._make_queue_loop()
        return self._loops["queue"]

    def _make_queue_loop(self) -> Any:
        model, carries, names = self.model, self.carries, self.names
        types = [tf.bool, *(spec.dtype for spec in self.specs)]
        shapes = {n: (s.shape, s.dtype) for n, s in self.traced.structured_outputs.items()}

        def loop(queue, stopped):
            def body(_, *before):
                more, *batch = tf.raw_ops.QueueDequeueV2(handle=queue, component_types=types)
                for tensor, spec in zip(batch, self.specs):
                    tensor.set_shape(spec.shape)
                now = tf.raw_ops.ReadVariableOp(resource=stopped, dtype=tf.int32)
                now.set_shape(())
                more.set_shape(())
                more = more & tf.equal(now, 0)

                def step():
                    logs = self.traced(*batch)
                    kept = [logs[name] for name in names]
                    with tf.control_dependencies(kept):
                        return (
                            [tf.identity(value) for value in kept]
                            if carries
                            else [tf.identity(more)]
                        )

                after = tf.cond(
                    more, step, lambda: list(before) if carries else [tf.identity(more)]
                )
                return (more, *after) if carries else (tf.identity(after[0]),)

            begin = [tf.zeros(*shapes[name]) for name in names] if carries else []
            ended = tf.while_loop(
                lambda more, *_: more, body, (tf.constant(True), *begin), parallel_iterations=1
            )
            if carries:
                return dict(zip(names, ended[1:]))
            with tf.control_dependencies([ended[0]]):
                return {n: tf.convert_to_tensor(v) for n, v in model.get_metrics_result().items()}

        handle = tf.TensorSpec((), tf.resource)
        function = tf.function(loop, input_signature=[handle, handle], autograph=False)
        return function.get_concrete_function()

    def _step_for(self, xla: bool, size: int) -> Any:
        if not (xla and self.graph.loops):
            return self.traced
        # XLA needs fixed sizes within loops of the model's own
        if size not in self._static_steps:
            specs = [tf.TensorSpec((size, *s.shape[1:]), s.dtype) for s in self.specs]
            step = tf.function(self._call, autograph=False)
            self._static_steps[size] = (step, step.get_concrete_function(*specs))
        return self._static_steps[size][1]

    def _make(self, xla: bool, shuffled: bool, fixed: int) -> Any:
        step = self._step_for(xla, fixed)
        model, carries, names = self.model, self.carries, self.names
        shapes = {name: (spec.shape, spec.dtype) for name, spec in step.structured_outputs.items()}

        def loop(row, count, size, order, *data):
            rows = tf.shape(data[0])[0]

            def batch(first):
                if xla:
                    # a slice would make XLA compile anew for every first row, a gather doesn't
                    index = first + tf.range(fixed)
                    if shuffled:
                        index = tf.gather(order, index)
                    return [tf.gather(tensor, index) for tensor in data]
                length = tf.minimum(size, rows - first)
                if shuffled:
                    index = tf.slice(order, [first], [length])
                    return [tf.gather(tensor, index) for tensor in data]
                return [
                    tf.slice(
                        tensor,
                        [first] + [0] * (tensor.shape.rank - 1),
                        [length] + [-1] * (tensor.shape.rank - 1),
                    )
                    for tensor in data
                ]

            def body(done, *_):
                logs = step(*batch(row + done * (fixed if xla else size)))
                return (done + 1, *([logs[name] for name in names] if carries else []))

            begin = [tf.zeros(*shapes[name]) for name in names] if carries else []
            ended = tf.while_loop(
                lambda done, *_: done < count,
                body,
                (tf.constant(0), *begin),
                parallel_iterations=1,
            )
            if carries:
                return dict(zip(names, ended[1:]))
            with tf.control_dependencies([ended[0]]):
                return {n: tf.convert_to_tensor(v) for n, v in model.get_metrics_result().items()}

        scalar = tf.TensorSpec((), tf.int32)
        signature = [scalar, scalar, scalar, tf.TensorSpec((None,), tf.int32), *self.specs]
        return tf.function(loop, input_signature=signature, autograph=False, jit_compile=xla)


def _rows_to_know(model: Any) -> Optional[int]:
    """Rows of each batch, where a step can't be traced without; None elsewhere.

    Stateful recurrent layers of Keras 3.12 and 3.13 compare them while they are traced.
    """
    if keras_before(3, 12) or not keras_before(3, 14):
        return None
    if not any(getattr(layer, "stateful", False) for layer in flat_layers(model)):
        return None
    try:
        return next((one.shape[0] for one in model.inputs or ()), None)
    except (AttributeError, ValueError):  # it was not built, or is a subclass of one's own
        return None


class _Kept:
    """Loops kept with a model until it is compiled or changed again."""

    def __init__(self) -> None:
        self.token: Any = None
        self.loops: list[StepLoop] = []


class _Shelf:
    """Hangs on the model; no container type, so that saving doesn't look into it."""

    def __init__(self) -> None:
        self.entries: dict[str, _Kept] = {}


def _token(model: Any, kind: str) -> tuple:
    """What a trace depends on besides the data: the compilation, flags, and set of variables."""
    getattr(model, f"make_{kind}_function")()
    function = getattr(model, f"{kind}_function")
    flags = tuple(variable.trainable for variable in model.variables)
    layers = tuple(
        bool(layer.trainable)
        for layer in getattr(model, "layers", [])
        if hasattr(layer, "trainable")
    )
    return (function, getattr(model, "optimizer", None), flags, layers, keras.config.floatx())


def step_loop(model: Any, kind: str, data: Any) -> StepLoop:
    """The model's loop for such data, traced now or kept from before.

    Keras forgets its own compiled functions when `compile` is called; what is kept here goes with
    them.
    """
    entry = kept_entry(model, kind)
    for loop in entry.loops:
        if loop.fits(data):
            return loop
    build_model(model, data[0] if isinstance(data, tuple) else data)
    if kind == "train":
        build_optimizer(model)  # the trace then need not run twice
    loop = StepLoop(model, kind, data)
    entry.token = _token(model, kind)  # tracing may have built variables
    entry.loops.append(loop)
    del entry.loops[:-4]
    return loop


def kept_entry(model: Any, kind: str) -> _Kept:
    """What is kept for this kind of step, emptied if the model has changed since."""
    kept = vars(model).get(_ATTRIBUTE)
    if not isinstance(kept, _Shelf):
        kept = _Shelf()
        object.__setattr__(model, _ATTRIBUTE, kept)
    entry = kept.entries.setdefault(kind, _Kept())
    token = _token(model, kind)
    if entry.token is None or not _same(entry.token, token):
        entry.loops.clear()
        entry.token = token
    return entry


def _same(one: tuple, other: tuple) -> bool:
    return all(a is b for a, b in zip(one[:2], other[:2])) and one[2:] == other[2:]
