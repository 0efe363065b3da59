"""Checksums of large weights as they lie in memory, computed while Keras writes the same values to a file.

So the file needs not be read again. An HDF5 file holds the bytes of a weight as memory does; what it doesn't
hold so (another type, another place) is left to `sweeping.dataset_checksums`.
"""

from __future__ import annotations

import contextlib
import math
import threading
import zlib
from typing import Any, Iterator

LARGE = 2**20  # bytes from which on a weight is worth it
_TYPES = {"float16": 2, "float32": 4, "float64": 8, "int8": 1, "int32": 4, "int64": 8, "uint8": 1}


@contextlib.contextmanager
def summed_meanwhile(model: Any, ending: str) -> Iterator[dict]:
    """Around Keras' writer of `.h5` files: yields a dict, filled once the block is left.

    Path of a dataset -> (shape, dtype, CRC-32 of its values). Where the backend's values can't be seen without
    a copy, and for other formats, it stays empty.
    """
    found: dict = {}
    named = _large_weights(model) if ending == ".h5" else {}
    thread = threading.Thread(target=_sum, args=(named, found), daemon=True)
    if named:
        thread.start()
    try:
        yield found
    finally:
        if named:
            thread.join()


def _large_weights(model: Any) -> dict:
    """Path in the file -> weight, of those that no other weight shares the path with."""
    pairs = []
    for layer in model.layers:
        own = [*layer.trainable_weights, *layer.non_trainable_weights]
        pairs += [(f"model_weights/{layer.name}/{w.path}", w) for w in own]
    # (an optimizer of another kind than Keras' has no such variables)
    optimizer = getattr(getattr(model, "optimizer", None), "variables", None) or []
    pairs += [(f"optimizer_weights/{w.path}", w) for w in optimizer]
    out: dict = {}
    for path, weight in pairs:
        same = out.setdefault(path, weight)
        out[path] = weight if same is weight else None
    return {path: w for path, w in out.items() if w is not None and _size(w) >= LARGE}


def _size(weight: Any) -> int:
    return math.prod(weight.shape) * _TYPES.get(str(weight.dtype), 0)


def _sum(named: dict, found: dict) -> None:
    for path, weight in named.items():
        try:
            # (a variable of TensorFlow gives a tensor of the same memory)
            held = weight.value
            values = memoryview(held.read_value() if hasattr(held, "read_value") else held)
            if values.c_contiguous and values.nbytes == _size(weight):
                value = zlib.crc32(values) & 0xFFFFFFFF
                found[f"/{path}"] = (tuple(weight.shape), str(weight.dtype), value)
        except Exception:  # noqa: B902 - of any backend; it is read from the file then
            return
