"""A second thread for compiled steps, and the way back from any thread to the main one.

R calls its functions on one thread, the one that runs R. While a step runs beside it, that thread
either makes the next batch or waits here in short slices, in which an interrupt is answered and
whatever other threads ask for is run: a function of R, or text for a stream that belongs to R.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import queue
import sys
import threading
import time
from typing import Any, Callable, Iterator, Optional

from kerasbridge.errors import UnsupportedError

SLICE = 0.05  # seconds that the main thread waits at a stretch
_HANDOVER = 0.01  # seconds to wait at most until a step has begun

_NEVER = 2.0  # seconds after which a job that has not begun is taken for never started
_SAME_PRESS = 0.1  # seconds within which two interrupts are one

_main = threading.main_thread().ident
# what is to be run on the main thread; None only wakes it
_requests: queue.SimpleQueue = queue.SimpleQueue()


class Job:
    """A call on the worker thread.

    Attributes:
        begun, done: how far it is.
        result, error: what came of it.
    """

    def __init__(self, function: Callable[[], Any], drain: Optional[Callable[[], None]] = None):
        self._function: Optional[Callable[[], Any]] = function
        self.drain = drain
        self.begun = self.done = False
        self.result: Any = None
        self.error: Optional[BaseException] = None

    def run(self) -> None:
        self.begun = True
        _requests.put(None)
        try:
            self.result = self._function()
        except BaseException as error:  # noqa: B036 - it is raised again where the result is asked for
            self.error = error
        self.done = True
        _requests.put(None)

    def close(self) -> Any:
        """The result; what the call held is let go here, on the thread that asks."""
        self._function = self.drain = None
        if self.error is not None:
            raise self.error
        return self.result


class _Worker:
    """One daemon thread, started with the first job; one job at a time."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None
        self.job: Optional[Job] = None

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            job.run()
            del job

    def start(self, job: Job) -> Job:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="kerasbridge-step", daemon=True)
            self._thread.start()
        self.job = job
        self._jobs.put(job)
        return job


_worker = _Worker()
# held from the start of a job to its end: objects of R must not be freed by the other thread
_collects = False


def on_main() -> bool:
    return threading.get_ident() == _main


def start(function: Callable[[], Any], drain: Optional[Callable[[], None]] = None) -> Job:
    """Run `function` on the worker thread; call from the main thread.

    Args:
        function: what to run.
        drain: makes a job that waits for more come to its end; `settle` calls it.

    Returns when the job has begun, or after 10 ms. Until `finish` Python's cycle collector is
    off, so that it can't free memory of R on the other thread.
    """
    global _collects
    settle()
    if gc.isenabled():
        _collects = True
        gc.disable()
    job = _worker.start(Job(function, drain))
    limit = time.monotonic() + _HANDOVER
    while not job.begun and time.monotonic() < limit:
        serve(_HANDOVER)
    return job


def wait(job: Job, seconds: Optional[float] = None) -> bool:
    """Wait for a job, at most `seconds`; requests of other threads are run meanwhile.

    Returns whether the job is done. An interrupt is raised from here; the job then goes on.
    """
    limit = None if seconds is None else time.monotonic() + seconds
    while not job.done:
        left = SLICE if limit is None else min(SLICE, limit - time.monotonic())
        if left <= 0:
            break
        serve(left)
    return job.done


def finish(job: Job) -> Any:
    """Wait for a job to its end and return its result, or raise its error."""
    wait(job)
    _release(job)
    return job.close()


def _release(job: Optional[Job]) -> None:
    global _collects
    if _worker.job is job:
        _worker.job = None
        if _collects:
            gc.enable()
            _collects = False


def settle() -> None:
    """Wait until no job is under way. Its result stays with the job."""
    job = _worker.job
    if not on_main():
        return
    if job is not None:
        if job.drain is not None and not job.done:
            job.drain()
        # an interrupt can fall between the making of a job and its start: then it never begins
        limit = time.monotonic() + _NEVER
        while not wait(job, SLICE) and (job.begun or time.monotonic() < limit):
            pass
    _release(job)


def settle_interrupted() -> None:
    """`settle` after an interrupt; another one breaks off the wait, unless it is the same press.

    One press can arrive twice where another program passes it on.
    """
    before = time.monotonic()
    try:
        settle()
    except KeyboardInterrupt:
        if time.monotonic() - before > _SAME_PRESS:
            raise
        settle()


def busy() -> bool:
    """Whether a job is under way."""
    return _worker.job is not None and not _worker.job.done


def serve(seconds: float) -> bool:
    """Wait for one request at most so long and run it; False if none came."""
    try:
        request = _requests.get(timeout=seconds)
    except queue.Empty:
        return False
    if request is not None:
        request()
    return True


def _refusal(function: Callable) -> UnsupportedError:
    name = getattr(function, "__name__", "r_function")
    return UnsupportedError(
        f"The R function `{name}` was called from a thread other than R's, where R can't run.",
        hint="Compile the model with run_eagerly = TRUE, or do this step with op_*() functions.",
    )


def ask(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Run `function` on the main thread, from any thread, and return what it returns.

    Raises:
        UnsupportedError: the main thread is not waiting for requests, so that waiting for it might
            never end.
    """
    if on_main():
        return function(*args, **kwargs)
    done = threading.Event()
    outcome: dict = {}

    def request() -> None:
        try:
            outcome["value"] = function(*args, **kwargs)
        except BaseException as error:  # noqa: B036 - it is raised again on the thread that asked
            outcome["error"] = error
        done.set()

    if not busy():
        raise _refusal(function)
    _requests.put(request)
    while not done.wait(SLICE):
        if not busy():
            raise _refusal(function)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def main_only(function: Callable) -> Callable:
    """A function of R as one that runs on the main thread whoever calls it."""

    @functools.wraps(function)
    def on_main_thread(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if on_main() else ask(function, *args, **kwargs)

    return on_main_thread


@contextlib.contextmanager
def routed_output() -> Iterator[None]:
    """Within the block, text that other threads write to R's streams is written by the main thread.

    Streams of Python itself are left alone: any thread may write to them. The text that is left at
    the end is written then.
    """
    changed = []
    for stream in (sys.stdout, sys.stderr):
        if stream is None or isinstance(stream, io.IOBase) or "write" in vars(stream):
            continue
        plain = stream.write
        stream.write = _by_main(plain)  # the object itself: loggers hold it too
        changed.append(stream)
    try:
        yield
    finally:
        while serve(0):
            pass
        for stream in changed:
            del stream.write


def _by_main(write: Callable[[str], Any]) -> Callable[[str], Any]:
    def write_by_main(text: str) -> Any:
        if on_main():
            return write(text)
        _requests.put(lambda: write(text))
        return len(text)

    return write_by_main
