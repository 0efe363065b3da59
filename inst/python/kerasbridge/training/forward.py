"""`predict` in few large batches."""

from __future__ import annotations

import math
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from kerasbridge.training.batching import rows_within
from kerasbridge.training.building import build_model
from kerasbridge.training.compiling import overrides
from kerasbridge.training.graphs import Graph, row_bytes, writes_weights
from kerasbridge.training.loops import kept_entry
from kerasbridge.training.placing import NotResident, as_array, flat, nest, packed, to_tensor

USUAL = 32  # rows a batch in Keras


def _rows_are_fixed(model: Any) -> bool:
    """Whether the model's input says how many rows a batch has, as stateful layers need."""
    try:
        return any(one.shape[0] is not None for one in model.inputs or ())
    except (AttributeError, ValueError):  # it was not built, or is a subclass of one's own
        return False


class Forward:
    """The compiled `predict_step` of one model for one layout of data.

    Raises:
        NotResident: the step must run as Keras runs it.
    """

    def __init__(self, model: Any, data: Any):
        if _rows_are_fixed(model):
            raise NotResident("the model takes batches of a fixed number of rows")
        self.layout = nest(data, lambda tensor: None)
        self.specs = [tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in flat(data)]
        step = model.predict_step

        def call(*tensors):
            left = iter(tensors)
            return step(nest(self.layout, lambda _: next(left)))

        self.function = tf.function(call, autograph=False)
        self.traced = self.function.get_concrete_function(*self.specs)
        graph = Graph(self.traced)
        if graph.calls_out:
            raise NotResident("the model calls back into Python or R while it runs")
        for value in tf.nest.flatten(self.traced.structured_outputs):
            if not isinstance(value, tf.TensorSpec) and not tf.is_tensor(value):
                raise NotResident("the model's output is not a plain tensor")
        # a step that draws random numbers or changes the model gives other results in other batches
        self.fixed = graph.random or writes_weights(self.traced, model)
        self.fixed = self.fixed or any(
            getattr(layer, "stateful", False) for layer in getattr(model, "layers", [])
        )
        if graph.random and getattr(model, "jit_compile", False):
            raise NotResident("the model draws random numbers under XLA")
        self.row_bytes = row_bytes(self.traced)
        self.rowwise: Optional[bool] = False if self.fixed else None
        if self.rowwise is None and overrides(model, "predict_step"):
            self.rowwise = False

    def fits(self, data: Any) -> bool:
        specs = [tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in flat(data)]
        return specs == self.specs and nest(data, lambda tensor: None) == self.layout

    def check_rowwise(self, batch: list) -> None:
        """Whether a row's output is the same in a batch of 64 as in two of 32; asked once."""
        if self.rowwise is not None:
            return
        whole = tf.nest.flatten(self.traced(*batch))
        parts = [
            tf.nest.flatten(self.traced(*[tensor[a:b] for tensor in batch]))
            for a, b in ((0, USUAL), (USUAL, None))
        ]
        self.rowwise = True
        for index, one in enumerate(whole):
            pieces = [part[index].numpy() for part in parts]
            one = one.numpy()
            if any(piece.ndim == 0 for piece in pieces) or one.ndim == 0:
                self.rowwise = False
                return
            other = np.concatenate(pieces)
            if one.shape != other.shape:
                self.rowwise = False
            elif one.dtype.kind in "fc":
                scale = float(np.max(np.abs(one), initial=1e-30))
                close = np.isclose(one, other, rtol=1e-3, atol=1e-4 * scale, equal_nan=True)
                self.rowwise = self.rowwise and bool(close.all())
            elif one.dtype.kind in "biu":
                self.rowwise = self.rowwise and bool((one == other).all())


def forward(model: Any, data: Any) -> Forward:
    """The model's compiled forward step for such data, kept between calls."""
    entry = kept_entry(model, "predict")
    for one in entry.loops:
        if one.fits(data):
            return one
    build_model(model, data[0] if isinstance(data, tuple) else data)
    one = Forward(model, data)
    entry.loops.append(one)
    del entry.loops[:-4]
    return one


def predict_resident(
    model: Any,
    x: Any,
    rows: int,
    batch_size: Optional[int],
    steps: Optional[int],
    callbacks: list,
    progress: Any,
    watch: Any,
) -> Any:
    """All rows through the model; nest of numpy arrays.

    Raises:
        NotResident: what the model gives can't be collected here; nothing was lost.
    """
    floatx = keras.config.floatx()
    arrays = nest(packed(x), lambda leaf: as_array(leaf, "data"))

    def cut(first: int, last: int) -> list:
        return [to_tensor(array[first:last], floatx) for array in flat(arrays)]

    head = cut(0, min(rows, 2 * USUAL))
    left = iter(head)
    run = forward(model, nest(arrays, lambda _: next(left)))
    if batch_size is None and steps:
        size = math.ceil(rows / steps)
    elif batch_size is None:
        if rows > USUAL and run.rowwise is None and rows >= 2 * USUAL:
            run.check_rowwise(head)
        size = rows_within(run.row_bytes) if run.rowwise else USUAL
    else:
        size = batch_size
    total = math.ceil(rows / size)
    wanted = min(steps or total, total)
    listing = keras.callbacks.CallbackList(
        [*callbacks, watch],
        add_history=False,
        add_progbar=False,
        verbose=0,
        epochs=1,
        steps=wanted,
        model=model,
    )
    listing.on_predict_begin()
    model.stop_predicting = False
    last_row = min(rows, wanted * size)
    found: list[np.ndarray] = []
    for step in range(wanted):
        first, last = step * size, min((step + 1) * size, last_row)
        batch = head if (first, last) == (0, int(head[0].shape[0])) else cut(first, last)
        outputs = [one.numpy() for one in tf.nest.flatten(run.traced(*batch))]
        if not found:
            for one in outputs:
                if one.ndim == 0 or one.shape[0] != last - first:
                    raise NotResident("the model's output has another number of rows")
            if wanted == 1:
                found = outputs
            else:
                found = [np.empty((last_row, *one.shape[1:]), one.dtype) for one in outputs]
        if wanted > 1:
            for whole, one in zip(found, outputs):
                if one.shape != (last - first, *whole.shape[1:]):
                    raise NotResident("the model's output varies in shape")
                whole[first:last] = one
        watch.check_stop()
        if progress.due():
            progress.step(step + 1)
        if model.stop_predicting:
            found = [one[:last] for one in found]
            break
    listing.on_predict_end()
    return tf.nest.pack_sequence_as(run.traced.structured_outputs, found)
