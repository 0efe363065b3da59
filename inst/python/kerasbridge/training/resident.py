"""Epochs over resident data: the loop of Keras' `fit`, many steps a call."""

from __future__ import annotations

import math
import time
from typing import Any, Callable, Optional

import keras
import numpy as np
import tensorflow as tf

from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.training.batching import evaluation_rows
from kerasbridge.training.choose import Chooser, by_rule, timed
from kerasbridge.training.guards import check_monitors, class_weight_rows, split_at
from kerasbridge.training.history import History
from kerasbridge.training.loops import StepLoop, step_loop
from kerasbridge.training.placing import NotResident, as_array, flat, nest, packed, place
from kerasbridge.training.progress import SILENCE, Progress, format_seconds
from kerasbridge.training.watch import Watch

_XLA_ERRORS = (
    tf.errors.InvalidArgumentError,
    tf.errors.UnimplementedError,
    tf.errors.InternalError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
)


def pack(x: Any, y: Any, sample_weight: Any) -> Any:
    """What the model's step gets: x alone, (x, y) or (x, y, sample_weight)."""
    if sample_weight is not None and isinstance(y, (list, tuple, dict)):
        if not isinstance(sample_weight, (list, tuple, dict)):
            shape = np.shape(sample_weight)
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
                raise NotResident("sample_weight is not one number a row")
            same = sample_weight
            sample_weight = nest(y, lambda _: same)
        elif not _same_layout(y, sample_weight):
            raise NotResident("sample_weight is laid out unlike y")
    return packed(x, y, sample_weight)


def _same_layout(one: Any, other: Any) -> bool:
    return nest(one, lambda _: None) == nest(other, lambda _: None)


class Rows:
    """Resident data and the way through it.

    Args:
        data: nest of tensors, rows first.
        size: rows a step.
        shuffle: True, False or "batch" (only within each batch).
        steps: steps an epoch; None for one pass over all rows.
    """

    def __init__(self, data: Any, size: int, shuffle: Any, steps: Optional[int]):
        self.data = data
        self.tensors = flat(data)
        self.rows = int(self.tensors[0].shape[0])
        self.size = size
        self.shuffle = shuffle
        self.steps = steps
        self.batches = math.ceil(self.rows / size)
        self.order: Optional[tf.Tensor] = None
        self.at: Optional[int] = None  # next batch of the pass, None before the first
        self.full = self.rows // size

    def start_epoch(self) -> None:
        """With `steps` the pass goes on where the last epoch stopped, else a new one begins."""
        if self.at is None or self.steps is None:
            self._start_pass()

    def end_epoch(self) -> None:
        if self.at is not None and self.at >= self.batches:
            self._start_pass()

    def _start_pass(self) -> None:
        self.at = 0
        if self.shuffle == "batch":
            whole = tf.range(self.rows)
            parts = [
                tf.random.shuffle(whole[i * self.size : (i + 1) * self.size])
                for i in range(self.batches)
            ]
            self.order = tf.concat(parts, axis=0)
        elif self.shuffle:
            self.order = tf.random.shuffle(tf.range(self.rows))

    def more(self) -> bool:
        """Whether a batch is left in this pass."""
        return self.at < self.batches

    @property
    def epoch_steps(self) -> int:
        return self.steps or self.batches


class Runner:
    """Runs steps of one loop over one set of rows, the way the chooser says.

    Attributes:
        announce: called with a sentence before a compilation that takes long; None for silence.
    """

    def __init__(self, loop: StepLoop, rows: Rows, chooser: Chooser):
        self.loop = loop
        self.rows = rows
        self.chooser = chooser
        self.announce: Optional[Callable[[str], None]] = None
        self.short_xla = bool(getattr(loop.model, "jit_compile", False)) and (
            loop.graph.random and loop.kind == "train"
        )

    def advance(self, left_in_epoch: int, left: int) -> tuple[int, dict]:
        """Run some steps; (how many, what the model reports after them)."""
        rows = self.rows
        here = min(left_in_epoch, rows.batches - rows.at)
        mode, count = self.chooser.next(here)
        size, row = rows.size, rows.at * rows.size
        short = rows.at + count > rows.full
        if mode == "xla" and short:
            if rows.at < rows.full:
                count = rows.full - rows.at  # the whole ones now, the short one next time
            elif self.short_xla:
                size, count = rows.rows - row, 1
            else:
                mode, count = "graph", 1
        try:
            logs, seconds = timed(lambda: self._call(mode, row, count, size))
        except _XLA_ERRORS as error:
            if mode != "xla" or (True, rows.order is not None, size) in self.loop.compiled:
                raise
            self.chooser.failed("xla", f"XLA can't compile the model ({type(error).__name__})")
            return self.advance(left_in_epoch, left)
        rows.at += count
        if mode == self.chooser.mode:
            self.chooser.learn(mode, count, seconds, left - count)
        return count, logs

    def _call(self, mode: str, row: int, count: int, size: int) -> dict:
        rows, loop = self.rows, self.loop
        seconds = self.chooser.compile_estimate
        new = mode == "xla" and (True, rows.order is not None, size) not in loop.compiled
        if new and seconds > SILENCE and self.announce is not None:
            self.announce(f"Compiling the step with XLA, some {format_seconds(seconds)} ...")
        if mode == "keras":
            logs: dict = {}
            for step in range(count):
                logs = loop.run_single(rows.tensors, rows.order, row + step * size, size)
            if not loop.carries:
                logs = loop.model.get_metrics_result()
        else:
            logs = loop.run(rows.tensors, rows.order, row, count, size, mode == "xla")
        for value in logs.values():
            # waits for the device, so that the time is the time (Keras 3.0 has waited: a float)
            np.asarray(value)
            break
        return logs


def plain_logs(logs: dict) -> dict:
    """Numbers where the values are scalars, arrays elsewhere."""
    found = {}
    for name, value in logs.items():
        array = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
        found[name] = float(array) if np.ndim(array) == 0 or np.size(array) == 1 else array
    return found


class Resident:
    """Everything a resident fit needs, made before the first step.

    Raises:
        NotResident: why this fit takes Keras' ordinary path instead; nothing has changed then.
    """

    def __init__(self, model: Any, arguments: dict, callbacks: list, engine: str):
        self.model = model
        x, y, weight = (arguments[name] for name in ("x", "y", "sample_weight"))
        if getattr(model, "steps_per_execution", 1) != 1 and arguments["steps_per_epoch"]:
            raise NotResident("steps_per_execution and steps_per_epoch are both set")
        counted = ("steps_per_epoch", "validation_steps")
        if any(arguments[name] for name in counted) and keras_before(3, 6):
            raise NotResident("this version of Keras counts steps_per_epoch in its own way")
        class_weight = arguments["class_weight"]
        if class_weight is not None:
            weight = class_weight_rows(y, class_weight, keras.config.floatx())
        validation = arguments["validation_data"]
        arrays = nest(pack(x, y, weight), lambda leaf: as_array(leaf, "data"))
        validation_data = None
        if validation is None and arguments["validation_split"]:
            # cut while the arrays are numpy's, where a part is a view; tensors would be copied
            kept = split_at(len(flat(arrays)[0]), arguments["validation_split"])
            validation_data = place(nest(arrays, lambda a: a[kept:]), "validation data")
            arrays = nest(arrays, lambda a: a[:kept])
        elif isinstance(validation, tuple):
            parts = [*validation, None, None][:3]
            validation_data = place(pack(*parts), "validation data")
        data = place(arrays)
        steps = arguments["steps_per_epoch"]
        rows = int(flat(data)[0].shape[0])
        size = arguments["batch_size"] or (math.ceil(rows / steps) if steps else 32)
        self.rows = Rows(data, size, arguments["shuffle"], steps)
        traced = time.perf_counter()
        self.loop = step_loop(model, "train", data)
        traced = time.perf_counter() - traced
        self.loop.timings.setdefault("trace", traced)
        epochs = arguments["epochs"] - arguments["initial_epoch"]
        chooser = make_chooser(self.loop, self.rows, engine, epochs, engine == "auto")
        self.runner = Runner(self.loop, self.rows, chooser)
        self.validation: Optional[Evaluator] = None
        if validation_data is not None:
            self.validation = Evaluator(
                model,
                validation_data,
                arguments["validation_batch_size"] or arguments["batch_size"],
                arguments["validation_steps"],
                free=arguments["validation_batch_size"] is None,
                engine=validating(engine),
                runs=epochs,
            )
        elif validation is not None:
            from kerasbridge.training.streaming import validation_of

            self.validation = validation_of(model, arguments, validating(engine), epochs)
        check_monitors(callbacks, sorted(self.loop.names), self.validation is not None)

    def close(self) -> None:
        """End the threads that read ahead, where there are any."""
        for part in (self, self.validation):
            close = getattr(getattr(part, "rows", None), "close", None)
            if close is not None:
                close()


def make_chooser(loop: StepLoop, rows: Rows, engine: str, epochs: int, brief: bool) -> Chooser:
    """The chooser for `epochs` epochs of these rows; `brief`: it may take single steps if they are few.

    With TensorFlow's global seed set, the same program has to give the same weights to the last
    bit, so a clock must not decide: a fixed rule does.
    """
    model = loop.model
    refusal = xla_refusal(loop, model)
    rule = None
    if engine == "auto" and tf.compat.v1.get_seed(None)[0] is not None:
        rule = by_rule(
            refusal,
            operations=loop.graph.operations,
            written=loop.graph.written,
            convolves=loop.graph.convolves,
            work=6.0 * rows.size * loop.graph.timesteps * weight_numbers(model),
            steps=rows.epoch_steps * epochs,
        )
    return Chooser(
        engine,
        rule=rule,
        xla_refusal=refusal,
        operations=loop.graph.operations,
        compile_estimate=2.0 * loop.timings.get("trace", 1.0)
        + (loop.timings.get("trace", 1.0) if loop.graph.loops else 0.0),
        timings=loop.timings,
        key=f"{rows.rows}:{rows.size}:{bool(rows.shuffle)}",
        prefer_xla=bool(getattr(model, "jit_compile", False)),
        few=rows.epoch_steps * epochs if brief and not loop.compiled else None,
    )


def weight_numbers(model: Any) -> int:
    """How many numbers the weight matrices hold."""
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights if len(w.shape) > 1)


def xla_refusal(loop: StepLoop, model: Any) -> Optional[str]:
    """Why XLA must not run this step, or could not before; None if it may."""
    if "failed" in loop.timings:
        return loop.timings["failed"]
    if loop.graph.random and not getattr(model, "jit_compile", False):
        return "XLA would draw other random numbers than Keras"
    if loop.graph.no_xla:
        return "the step works on text, tables or ragged values"
    from kerasbridge.training.compiling import flat_layers

    for layer in flat_layers(model):
        if not getattr(layer, "supports_jit", True):
            return f"the layer '{layer.name}' does not support it"
    return None


def validating(engine: str) -> str:
    """The engine of validations within a fit on `engine`: XLA's compilation would not be paid back."""
    return "auto" if engine == "auto" else "graph"


class Evaluator:
    """Runs the model's own test step over resident data, in order.

    Args:
        data: nest of tensors, rows first.
        size: rows a step as the person said, None if not said.
        steps: at most so many steps; None for all rows.
        free: whether larger batches may be taken where they give the same numbers.
        engine: "graph", "xla"; anything else is "graph", or single steps where they are few.
        runs: how often the data will be gone through.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        size: Optional[int],
        steps: Optional[int],
        free: bool = True,
        engine: str = "auto",
        runs: int = 1,
    ):
        self.model = model
        self.loop = step_loop(model, "test", data)
        self.steps = steps
        rows = int(flat(data)[0].shape[0])
        if size is None and steps:
            size = math.ceil(rows / steps)
        size = size or 32
        if free and steps is None:
            size = min(max(rows, 1), evaluation_rows(model, self.loop, size))
        self.rows = Rows(data, size, False, steps)
        self._make_runner(engine, runs)

    def _make_runner(self, engine: str, runs: int) -> None:
        asked = engine if engine == "xla" else "graph"
        brief = engine not in ("graph", "xla")
        chooser = make_chooser(self.loop, self.rows, asked, runs, brief)
        self.runner = Runner(self.loop, self.rows, chooser)

    def run(self, callbacks: Any, watch: Optional[Watch] = None, progress=None) -> dict:
        """One evaluation: `on_test_begin`, the steps, `on_test_end`; metrics by name."""
        model, rows = self.model, self.rows
        model.stop_evaluating = False
        callbacks.on_test_begin()
        model.reset_metrics()
        rows.at = None
        rows.start_epoch()
        wanted = rows.epoch_steps
        done = 0
        logs: dict = {}
        while done < wanted and rows.more():
            count, logs = self.runner.advance(wanted - done, wanted - done)
            done += count
            if watch is not None:
                watch.check_stop()
            if progress is not None and progress.due():
                progress.step(done, plain_logs(logs))
            if model.stop_evaluating:
                break
        if done < wanted and not model.stop_evaluating and watch is not None:
            watch.notices.ran_short(done, wanted)
        found = dict(sorted(plain_logs(logs).items()))
        callbacks.on_test_end(found)
        return found


def fit_resident(
    resident: Resident,
    callbacks: list,
    history: History,
    progress: Progress,
    stop: Any,
    arguments: dict,
) -> None:
    """The epochs. Callbacks are called as Keras calls them, batches excepted."""
    model, rows, runner = resident.model, resident.rows, resident.runner
    epochs = arguments["epochs"]
    watch = Watch(
        progress, stop, history, others=callbacks, validation=resident.validation is not None
    )
    watch.notices.findings = lambda: look_for_causes(rows.data)
    runner.announce = progress.aside
    history.params["steps"] = rows.epoch_steps
    history.params["batch_size"] = rows.size
    listing = keras.callbacks.CallbackList(
        [*callbacks, watch],
        add_history=True,
        add_progbar=False,
        verbose=0,
        epochs=epochs,
        steps=rows.epoch_steps,
        model=model,
    )
    terminators = [c for c in callbacks if isinstance(c, keras.callbacks.TerminateOnNaN)]
    model.stop_training = False
    history.engine = "graph"
    told = False
    try:
        listing.on_train_begin()
        logs: dict = {}
        epoch_logs: Optional[dict] = None
        # BackupAndRestore tells `fit` of the epoch it restored through this attribute alone
        first = getattr(model, "_initial_epoch", None) or arguments["initial_epoch"]
        for epoch in range(first, epochs):
            model.reset_metrics()
            listing.on_epoch_begin(epoch)
            rows.start_epoch()
            done = 0
            while done < rows.epoch_steps:
                if not rows.more():
                    watch.notices.ran_short(done, rows.epoch_steps)
                    break
                here = rows.epoch_steps - done
                count, logs = runner.advance(here, here + (epochs - epoch - 1) * rows.epoch_steps)
                done += count
                watch.check_stop()
                if progress.due():
                    progress.step(done, dict(sorted(plain_logs(logs).items())))
                for callback in terminators:
                    callback.on_batch_end(done - 1, plain_logs(logs))
                if runner.chooser.settled and not told:
                    told = True
                    engine, reason = runner.chooser.outcome()
                    progress.note(f"Engine: {engine} ({reason}).", least=2)
                if model.stop_training:
                    break
            rows.end_epoch()
            epoch_logs = plain_logs(logs)
            if resident.validation is not None and wants_validation(
                epoch, arguments["validation_freq"]
            ):
                found = resident.validation.run(listing, watch)
                epoch_logs.update({f"val_{name}": value for name, value in found.items()})
            listing.on_epoch_end(epoch, epoch_logs)
            if model.stop_training:
                break
        if isinstance(model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        listing.on_train_end(epoch_logs)
    finally:
        history.engine, history.engine_reason = runner.chooser.outcome()


def wants_validation(epoch: int, frequency: Any) -> bool:
    """Whether the 0-based epoch is validated; `frequency` counts epochs from 1."""
    if hasattr(frequency, "__iter__"):
        return epoch + 1 in [int(one) for one in frequency]
    return (epoch + 1) % int(frequency) == 0


def look_for_causes(data: Any) -> list[str]:
    """What the data themselves say about a loss that isn't finite."""
    if not isinstance(data, tuple):
        data = (data,)
    found = []
    for name, part in zip(("x", "y", "sample_weight"), data):
        bad = largest = 0.0
        for tensor in flat(part):
            if tensor.dtype.is_floating:
                finite = tf.math.is_finite(tensor)
                bad += int(tf.math.count_nonzero(~finite))
                clean = tf.where(finite, tf.abs(tensor), tf.zeros_like(tensor))
                largest = max(largest, float(tf.reduce_max(clean)))
        if bad:
            many = "s" if bad > 1 else ""
            found.append(f"{name} has {int(bad)} missing or infinite value{many}")
        elif name != "sample_weight" and largest > 1e4:
            found.append(f"{name} has values up to {largest:.3g}: scale it")
    if not found:
        found.append(
            "the data are finite and of ordinary size, so look at the learning rate (try a tenth, "
            "or clipnorm = 1) and at whether the loss fits the last activation"
        )
    return found
