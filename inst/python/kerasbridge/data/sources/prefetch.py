"""The next blocks are made on a thread while the present one is used."""

from __future__ import annotations

import queue
import threading
from typing import Any, Iterable, Iterator

_END = object()
_STEP = 0.1  # seconds between two looks at whether somebody wants to stop


class _Failed:
    def __init__(self, error: BaseException):
        self.error = error


def prefetched(make: Iterable[Any], ahead: int = 1) -> Iterator[Any]:
    """The elements of `make`, up to `ahead` of them made in advance on a thread.

    An error comes out where its element would have. The thread ends when the iterator is used up,
    closed or thrown away; waiting for it can be interrupted at any time.
    """
    ready: queue.Queue = queue.Queue(maxsize=max(1, ahead))
    stop = threading.Event()

    def put(value: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(value, timeout=_STEP)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        elements = iter(make)
        try:
            for element in elements:
                if not put(element):
                    return
                del element  # else one more block than is counted stays alive
            put(_END)
        except BaseException as error:  # the other thread raises it
            put(_Failed(error))
        finally:
            close = getattr(elements, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="kerasbridge-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                element = ready.get(timeout=_STEP)
            except queue.Empty:
                continue
            if element is _END:
                return
            if isinstance(element, _Failed):
                raise element.error
            yield element
            del element
    finally:
        stop.set()
        thread.join(timeout=30)
