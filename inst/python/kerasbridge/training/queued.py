"""Many steps in one call, fed batch by batch through a queue of the backend.

The compiled loop waits for batches and runs its steps in the backend's own code. Nothing of it
needs Python, so it goes on while a function of R makes the next batch, however long that takes.
"""

from __future__ import annotations

import gc
import time
from typing import Any, Callable, Optional

import tensorflow as tf

from kerasbridge.runtime import threads
from kerasbridge.training.building import first_step_whole
from kerasbridge.training.eligible import backend_reason, model_reason
from kerasbridge.training.loops import StepLoop, step_loop
from kerasbridge.training.overlap import Ahead, plain_logs
from kerasbridge.training.placing import NotResident, flat, nest
from kerasbridge.training.resident import pack

_VERBS = {"train": "fit", "test": "evaluate"}
_COLLECT = 200  # batches between two collections of Python's garbage
_MARKS = 4  # places of the queue beyond those for batches
_MORE = tf.constant(True)
_POLL = (2e-4, 0.02)  # shortest and longest wait for room in the queue, seconds


def refusal(model: Any, kind: str) -> Optional[str]:
    """Why a model's steps can't run in such a loop; None if they can."""
    reason = backend_reason() or model_reason(model, _VERBS[kind])
    if reason is None and getattr(model, "jit_compile", False):
        return "the model is compiled with jit_compile"
    return reason


def _packed(batch: tuple) -> Any:
    """What the model's step gets; NotResident for what isn't dense tensors of numbers."""
    x, y, weight = batch
    data = nest((x, y) if weight is None and y is not None else pack(*batch), lambda leaf: leaf)
    for leaf in flat(data):
        if not isinstance(leaf, tf.Tensor) or leaf.dtype in (tf.string, tf.variant):
            raise NotResident("the batches are not tensors of numbers")
    return data


class Queued:
    """The loop over a queue for one kind of step of one model.

    Args:
        kind: "train" or "test".
        limit: batches that wait in the queue at most.

    Attributes:
        why: why steps can't run in the loop, or no longer can; None while they can.
    """

    def __init__(self, model: Any, kind: str, limit: int):
        self._model, self._kind, self._limit = model, kind, limit
        self.why: Optional[str] = refusal(model, kind)
        self._stopped: Optional[tf.Variable] = None
        self._queue: Any = None
        self._handle: Any = None
        self._ended = False
        self._loop: Optional[StepLoop] = None

    def run(self, ahead: Ahead, count: int, fed: Callable) -> tuple[int, Any]:
        """Run steps as long as batches suit the loop; (how many, what the model reports).

        Args:
            fed: called after each batch with the names of what the steps report, and functions that
                say how many steps are finished and what the metrics are.

        The rest, if `ahead` has more, is for single steps: batches of another form, a model that
        can't be looped, or a function that uses Keras itself. An error of the function is raised
        after the steps before it have run.
        """
        if self.why is not None:
            return 0, None
        first = ahead.take()
        if first is None:
            return 0, None
        try:
            data = _packed(first)
            with first_step_whole(self._model, self._kind):
                self._loop = step_loop(self._model, self._kind, data)
            function = self._loop.queue_loop()
        except NotResident as reason:
            self.why = str(reason)
            ahead.put_back(first)
            return 0, None
        except Exception as error:  # single steps meet the same trouble and say so, or cope with it
            self.why = f"the step could not be compiled ({type(error).__name__})"
            ahead.put_back(first)
            return 0, None
        return self._feed(function, data, ahead, count, fed)

    def _feed(
        self, function: Any, data: Any, ahead: Ahead, count: int, fed: Callable
    ) -> tuple[int, Any]:
        loop = self._loop
        types = [tf.bool, *(spec.dtype for spec in loop.specs)]
        if self._queue is None or self._queue.dtypes != types:
            with tf.device("CPU"):
                self._queue = tf.queue.FIFOQueue(self._limit + _MARKS, types)
        queue, self._queue = self._queue, None  # kept for the next stretch if this one ends well
        self._handle = queue.queue_ref
        if self._stopped is None:
            self._stopped = tf.Variable(0, dtype=tf.int32, trainable=False)
        self._stopped.assign(0)
        handles = self._handle, self._stopped.handle
        self._ended = False
        job = None
        done = 0

        def finished() -> int:
            return max(0, done - self._waiting() - 1)

        room = self._limit  # batches that fit for sure
        started = time.perf_counter()
        try:
            job = threads.start(lambda: function(*handles), self._end)
            while True:
                self._put(True, flat(data))
                done += 1
                fed(loop.names, finished, self._values)
                if done == count or self._model.stop_training:
                    break
                room -= 1
                if room <= 0:
                    room = self._wait_for_room(job, started, done)
                if job.done:  # a step failed
                    break
                batch = ahead.take()
                if batch is None or job.done:
                    if job.done and batch is not None:
                        ahead.put_back(batch)
                        self.why = "the generator uses Keras itself"
                    break
                data = self._suiting(batch)
                if data is None:
                    ahead.put_back(batch)
                    self.why = "the batches differ in form"
                    break
                if done % _COLLECT == 0:
                    gc.collect(1)  # on this thread, while the collector is off
            self._end()
            logs = threads.finish(job)
            self._queue = queue if self._waiting() == 0 else None
            return done, logs
        except KeyboardInterrupt:
            self._stopped.assign(1)
            raise  # `threads.settle_interrupted` marks the end and waits
        except BaseException:
            self._end()
            if job is not None:
                threads.finish(job)
            raise

    def _suiting(self, batch: tuple) -> Any:
        try:
            data = _packed(batch)
        except NotResident:
            return None
        return data if self._loop.fits(data) else None

    def _values(self) -> Optional[dict]:
        return None if self._loop.carries else plain_logs(self._model.get_metrics_result())

    def _put(self, more: bool, tensors: list) -> None:
        tf.raw_ops.QueueEnqueueV2(
            handle=self._handle,
            components=[_MORE if more else tf.constant(False), *tensors],
        )

    def _waiting(self) -> int:
        return int(tf.raw_ops.QueueSizeV2(handle=self._handle))

    def _wait_for_room(self, job: Any, started: float, done: int) -> int:
        """Wait until fewer batches are queued than may be; how many more fit.

        The last places of the queue are kept for the end marks.
        """
        while not job.done and (waiting := self._waiting()) >= self._limit:
            pace = (time.perf_counter() - started) / max(1, done - waiting)
            threads.serve(min(max(pace / 4, _POLL[0]), _POLL[1]))
        return 1 if job.done else self._limit - waiting

    def _end(self) -> None:
        """Mark the end of the batches; the loop runs what waits before it, and ends.

        An interrupt can fall anywhere, so this may be called again: another mark does no harm.
        """
        if not self._ended:
            self._put(False, [tf.zeros([0] * s.shape.rank, s.dtype) for s in self._loop.specs])
            self._ended = True
