"""Training and evaluation on a source: window after window goes through the compiled loop.

A window is many batches of rows, read and mixed on another thread while the loop runs over the one
before. The batches are those that Keras would see: only the last of an epoch may be shorter.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Iterator, Optional

import keras
import numpy as np
import tensorflow as tf

from kerasbridge.data.sources import nests
from kerasbridge.data.sources.base import Source
from kerasbridge.data.sources.prefetch import prefetched
from kerasbridge.errors import ArgumentError
from kerasbridge.training import guards
from kerasbridge.training.batching import evaluation_rows
from kerasbridge.training.loops import step_loop
from kerasbridge.training.placing import packed, place
from kerasbridge.training.resident import (
    Evaluator,
    Resident,
    Rows,
    Runner,
    make_chooser,
    pack,
    validating,
)
from kerasbridge.training.sourced import check_window


class StreamRows(Rows):
    """Rows of a source as `Rows`: one window at a time, exchanged for the next when it is used up.

    Args:
        model: what the rows are for; those of the first pass are checked against it.
        source: where they come from.
        steps: steps an epoch; None for one pass over all rows.
        shuffle: in the source's order for the epoch, or as rows lie.
        passes: how many passes to read ahead for; None for any number.
        class_weight: number -> weight, put beside each row.
    """

    def __init__(
        self,
        model: Any,
        source: Source,
        steps: Optional[int],
        shuffle: bool,
        passes: Optional[int] = 1,
        class_weight: Optional[dict] = None,
    ):
        self.model, self.source = model, source
        self.size, self.steps = source.batch_size, steps
        self.shuffle, self.shuffled = False, shuffle  # rows of a window are mixed already
        self.class_weight = class_weight
        self.passes = passes
        self.order = None
        self.at: Optional[int] = None
        self._unchecked = True
        self._windows: Optional[Iterator] = None
        self._tail: Any = None
        self._whole = 0  # rows of a full window, once they are known
        self._midway = False
        try:
            self._begin_pass()
        except BaseException:
            self.close()
            raise
        self._fresh = True

    def _passes(self) -> Iterator:
        """The windows of all passes, None after each."""
        source = self.source.copy()
        for _ in range(self.passes) if self.passes is not None else itertools.count():
            yield from source.windows(self.shuffled)
            source.epoch += 1
            yield None

    def close(self) -> None:
        """End the thread that reads ahead."""
        if self._windows is not None:
            self._windows.close()
            self._windows = None

    def _begin_pass(self) -> None:
        if self._midway:  # an evaluation was left before its end
            self.close()
        if self._windows is None:
            self._windows = prefetched(self._passes())
        self._midway = True
        window = next(self._windows, None)
        if window is None:  # all passes were read
            self.close()
            self._windows = prefetched(self._passes())
            window = next(self._windows)
        self._show(window)

    def _show(self, window: Any) -> None:
        """Make `window` the present one. A short batch at its end becomes a window of its own."""
        rows = nests.rows_of(window)
        if self._unchecked:
            check_window(self.model, window)
        window = self._weighted(window)
        full = rows // self.size * self.size
        self._tail = None
        if 0 < full < rows:
            self._tail = nests.mapped(lambda a: a[full:], window)
            window, rows = nests.mapped(lambda a: a[:full], window), full
        self._whole = self._whole or full
        if full and rows < self._whole:
            # XLA compiles for each number of rows, so all windows have the same
            window = nests.mapped(lambda a: _padded(a, self._whole), window)
        self._use(window, rows)

    def _use(self, window: Any, rows: int) -> None:
        self.data = _placed(window)
        self.tensors = nests.flat(self.data)
        self.rows = nests.rows_of(window)
        self.batches = math.ceil(rows / self.size)
        self.full = rows // self.size
        self.at = 0

    def _weighted(self, window: Any) -> Any:
        if self.class_weight is None:
            return window
        if len(window) != 2:
            what = (
                "needs a source with `y`" if len(window) == 1 else "and weights exclude each other"
            )
            raise ArgumentError(f"`class_weight` {what}.", argument="class_weight")
        weight = guards.class_weight_rows(window[1], self.class_weight, keras.config.floatx())
        return (*window, weight)

    def more(self) -> bool:
        """Whether there is a batch left in this pass; brings in the next window if need be."""
        if self.at is not None and self.at < self.batches:
            return True
        if self.at is None or self._windows is None:
            return False
        if self._tail is not None:
            tail, self._tail = self._tail, None
            self._use(tail, nests.rows_of(tail))
            return True
        window = next(self._windows, None)
        if window is None:
            self._end_pass()
            return False
        self._show(window)
        return True

    def _end_pass(self) -> None:
        self._unchecked = self._midway = False
        self.at = None
        self.batches = 0
        if self.shuffled:
            self.source.on_epoch_end()
        if self.passes == 1:
            self.close()

    def start_epoch(self) -> None:
        if self._fresh:
            self._fresh, self.at = False, 0
        elif self.at is None:
            self._begin_pass()

    def end_epoch(self) -> None:
        if self.at is not None:
            self.more()

    @property
    def epoch_steps(self) -> int:
        return self.steps or len(self.source)


def _padded(array: np.ndarray, rows: int) -> np.ndarray:
    out = nests.empty_like(array, rows)
    out[: len(array)] = array
    out[len(array) :] = "" if out.dtype.kind == "O" else 0
    return out


def _text_tensor(array: Any) -> Any:
    """Text as the only tensor that TensorFlow has for it; anything else as it is."""
    return tf.constant(array, dtype=tf.string) if array.dtype.kind in "OSU" else array


def _placed(window: tuple) -> Any:
    """The tensors of a window, as the model's step takes them."""
    return place(pack(*(*nests.mapped(_text_tensor, window), None, None)[:3]))


class StreamEvaluator(Evaluator):
    """An `Evaluator` that reads a source, rows as they lie."""

    def __init__(
        self,
        model: Any,
        source: Source,
        steps: Optional[int],
        free: bool = True,
        engine: str = "auto",
        runs: int = 1,
    ):
        self.model, self.steps = model, steps
        self.loop = step_loop(model, "test", _placed(source.first_rows(1)))
        if free and steps is None:
            size = evaluation_rows(model, self.loop, source.batch_size)
            source = source.with_batch_size(min(size, max(source.samples, 1)))
        self.rows = StreamRows(model, source, steps, shuffle=False)
        self._make_runner(engine, runs)


class StreamResident(Resident):
    """As `Resident`, for a source.

    Raises:
        NotResident: why this fit takes Keras' ordinary path instead; nothing has changed then.
    """

    def __init__(self, model: Any, arguments: dict, callbacks: list, engine: str):
        self.model = model
        self.validation: Optional[Evaluator] = None
        source, steps = arguments["x"], arguments["steps_per_epoch"]
        epochs = arguments["epochs"] - arguments["initial_epoch"]
        self.rows = StreamRows(
            model,
            source,
            steps,
            source.shuffle,
            passes=None if steps else max(1, epochs),
            class_weight=arguments["class_weight"],
        )
        try:
            self.loop = step_loop(model, "train", self.rows.data)
            chooser = make_chooser(self.loop, self.rows, engine, epochs, engine == "auto")
            self.runner = Runner(self.loop, self.rows, chooser)
            self.validation = validation_of(model, arguments, validating(engine), epochs)
            guards.check_monitors(callbacks, sorted(self.loop.names), self.validation is not None)
        except BaseException:
            self.close()
            raise


def validation_of(model: Any, arguments: dict, engine: str, runs: int) -> Optional[Evaluator]:
    """What validates: a source, or arrays; None without."""
    data = arguments["validation_data"]
    size, steps = arguments["validation_batch_size"], arguments["validation_steps"]
    if data is None:
        return None
    if isinstance(data, Source):
        data = data if size is None else data.with_batch_size(size)
        return StreamEvaluator(model, data, steps, size is None, engine, runs)
    placed = place(pack(*(*data, None, None)[:3]), "validation data")
    return Evaluator(model, placed, size, steps, size is None, engine, runs)


def evaluate_source(
    evaluator: StreamEvaluator, callbacks: list, watch: Any, progress: Any
) -> dict[str, float]:
    """Metrics by name over the evaluator's source."""
    listing = keras.callbacks.CallbackList(
        [*callbacks, watch],
        add_history=False,
        add_progbar=False,
        verbose=0,
        epochs=1,
        steps=evaluator.rows.epoch_steps,
        model=evaluator.model,
    )
    try:
        return evaluator.run(listing, watch, progress)
    finally:
        evaluator.rows.close()


def predict_source(
    model: Any, source: Source, steps: Optional[int], free: bool, callbacks: list, watch: Any,
    progress: Any,
) -> Any:  # fmt: skip
    """Outputs for all rows as they lie; targets and weights of the source are left aside.

    Raises:
        NotResident: Keras has to do it.
    """
    from kerasbridge.training.batching import rows_within
    from kerasbridge.training.forward import USUAL, forward
    from kerasbridge.training.placing import NotResident

    def placed(x: Any) -> Any:
        return place(packed(nests.mapped(_text_tensor, x)))

    head = placed(source.first_rows(2 * USUAL)[0])
    run = forward(model, head)
    size = source.batch_size
    if free and steps is None:
        tensors = [tensor[: 2 * USUAL] for tensor in nests.flat(head)]
        if run.rowwise is None and len(tensors[0]) == 2 * USUAL:
            run.check_rowwise(tensors)
        size = rows_within(run.row_bytes, source.batch_size) if run.rowwise else size
    source = source.with_batch_size(size)
    total = len(source) if steps is None else min(steps, len(source))
    listing = keras.callbacks.CallbackList(
        [*callbacks, watch],
        add_history=False,
        add_progbar=False,
        verbose=0,
        epochs=1,
        steps=total,
        model=model,
    )
    listing.on_predict_begin()
    model.stop_predicting = False
    found: Optional[list] = None
    at = step = 0
    windows = prefetched(source.windows())
    try:
        for window in windows:
            data = placed(window[0])
            tensors = nests.flat(data)
            rows = int(tensors[0].shape[0])
            for first in range(0, rows, size):
                batch = [tensor[first : first + size] for tensor in tensors]
                outputs = [one.numpy() for one in tf.nest.flatten(run.traced(*batch))]
                here = int(batch[0].shape[0])
                if any(one.ndim == 0 or one.shape[0] != here for one in outputs):
                    raise NotResident("the model's output has another number of rows")
                if found is None:
                    most = min(source.samples, total * size)
                    found = [np.empty((most, *one.shape[1:]), one.dtype) for one in outputs]
                for whole, one in zip(found, outputs):
                    if one.shape[1:] != whole.shape[1:]:
                        raise NotResident("the model's output varies in shape")
                    whole[at : at + here] = one
                at, step = at + here, step + 1
                watch.check_stop()
                if progress.due():
                    progress.step(step)
                if step >= total or model.stop_predicting:
                    break
            if step >= total or model.stop_predicting:
                break
    finally:
        windows.close()
    listing.on_predict_end()
    found = [whole[:at] for whole in found or []]
    return tf.nest.pack_sequence_as(run.traced.structured_outputs, found)
