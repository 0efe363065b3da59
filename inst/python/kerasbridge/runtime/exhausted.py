"""What an error of a backend says about memory that ran out: shape, bytes, device.

The texts are those that TensorFlow, XLA, JAX, PyTorch and NumPy write; each is matched by its facts, not
by its words alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Optional

from kerasbridge.errors import OutOfMemoryError
from kerasbridge.runtime import devices, memory

_NAMES = {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError", "_ArrayMemoryError"}
_SIGNS = re.compile(
    r"OOM when allocating|RESOURCE_EXHAUSTED|[Oo]ut of memory|can't allocate memory|"
    r"Unable to allocate [\d.]+ \w+ for an array|std::bad_alloc|failed to allocate memory"
)
_HOST = re.compile(  # the memory of the machine, whatever cards there are
    r"Unable to allocate [\d.]+ \w+ for an array|can't allocate memory|std::bad_alloc|^$"
)
_SHAPE = re.compile(r"shape\s*[\[(]([\d, ]+)[\])]")
_TYPE = re.compile(r"(?:and type|data type) (\w+)")
_DEVICE = re.compile(r"device:(\w+:\d+)|\bGPU (\d+)\b")
_AMOUNT = r"([\d.]+)\s*([KMGTPE]?i?B|bytes)"
_WANTED = re.compile(
    rf"(?:[Tt]ried to allocate|[Uu]nable to allocate|allocat\w+)\s+{_AMOUNT}", re.IGNORECASE
)
_FREE = re.compile(rf"of which {_AMOUNT} is free|{_AMOUNT} free", re.IGNORECASE)
_BITS = {"half": 2, "bfloat16": 2, "float": 4, "double": 8, "bool": 1}
_UNIT = {"B": 1, "BYTES": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "PIB": 2**50}
_UNIT.update({"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EIB": 2**60})


@dataclass
class Exhausted:
    """What is known; None where the backend doesn't say. Bytes are of the one tensor or buffer."""

    shape: Optional[list] = None
    dtype: Optional[str] = None
    wanted: Optional[int] = None
    free: Optional[int] = None
    device: str = "CPU"
    details: dict = field(default_factory=dict)


def of(error: BaseException) -> Optional[Exhausted]:
    """The facts of an error that says that memory ran out; None for any other error.

    Errors that caused it are looked at too.
    """
    seen: set[int] = set()
    node: Optional[BaseException] = error
    while node is not None and id(node) not in seen:
        seen.add(id(node))
        text = str(node)
        kinds = {cls.__name__ for cls in type(node).__mro__}
        if isinstance(node, OutOfMemoryError):
            return None  # it has been said already
        if kinds & _NAMES or _SIGNS.search(text):
            return read(text)
        node = node.__cause__ or node.__context__
    return None


def read(text: str) -> Exhausted:
    """The facts in the text of such an error."""
    found = Exhausted()
    shape = _SHAPE.search(text)
    if shape:
        found.shape = [int(part) for part in shape.group(1).replace(" ", "").split(",") if part]
    dtype = _TYPE.search(text)
    if dtype:
        found.dtype = dtype.group(1)
    device = _DEVICE.search(text)
    if device:
        found.device = device.group(1) or f"GPU:{device.group(2)}"
    elif "CUDA" in text or not _HOST.search(text):
        # XLA names no device: it computes on the first card where there is one
        usual = "GPU:0" if "CUDA" in text else found.device
        found.device = next((row["device"] for row in devices.running("GPU")), usual)
    amount = _WANTED.search(text)
    if amount:
        found.wanted = _bytes(*amount.groups())
    elif found.shape is not None:
        found.wanted = _size(found.dtype)
        for side in found.shape:
            found.wanted *= side
    free = _FREE.search(text)
    within = memory.free_bytes(found.device)  # of what was allowed, which PyTorch's text leaves out
    if free:
        found.free = _bytes(*[part for part in free.groups() if part is not None])
        found.free = found.free if within is None else min(found.free, within)
    else:
        found.free = within
    return found


def _bytes(number: str, unit: str) -> int:
    return int(float(number) * _UNIT.get(unit.upper(), 1))


def _size(dtype: Optional[str]) -> int:
    bits = re.search(r"(\d+)$", dtype or "")
    return _BITS.get(dtype or "float", int(bits.group(1)) // 8 if bits else 4)


def amount(size: Optional[float]) -> str:
    """ "1.5 GB" for bytes."""
    if size is None:
        return "an unknown amount"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError


def as_error(
    found: Exhausted, batch_size: Optional[int] = None, verb: str = "", auto: bool = True
) -> OutOfMemoryError:
    """The error that says it to a person.

    Args:
        batch_size: rows a step where a step ran out; None elsewhere.
        verb: "fit", "evaluate" or "predict" where one ran.
        auto: whether `batch_size = "auto"` can be advised.
    """
    what = []
    if found.shape is not None:
        kind = f"{found.dtype} " if found.dtype else ""
        shape = ", ".join(str(side) for side in found.shape)
        what.append(f"a {kind}tensor of shape ({shape})")
    if found.wanted is not None:
        size = amount(found.wanted)
        what = [f"{what[0]}, {size}," if what else size]
    card = not found.device.upper().startswith("CPU")
    where = f"the memory of {found.device}" if card else "memory"
    message = f"{where[0].upper()}{where[1:]} ran out"
    if what:
        message += f": {what[0]} was asked for"
        if found.free is not None:
            message += f" and {amount(found.free)} were free"
    message += f" (batch_size = {batch_size})." if batch_size else "."
    advice = []
    if batch_size and batch_size > 1:
        advice.append(f"Use batch_size = {batch_size // 2}")
        if auto and verb == "fit":
            advice.append('batch_size = "auto", which finds the largest that fits')
    if card:
        advice.append("mixed precision, or close other programs that use the card")
    hint = ", or ".join(advice) + "." if advice else "Use fewer rows at once or a smaller model."
    return OutOfMemoryError(
        message,
        hint=hint,
        argument="batch_size" if batch_size else None,
        details={
            "known": "oom",
            "shape": found.shape,
            "dtype": found.dtype,
            "bytes_wanted": found.wanted,
            "bytes_free": found.free,
            "device": found.device,
            "batch_size": batch_size,
            "proposed_batch_size": batch_size // 2 if batch_size and batch_size > 1 else None,
        },
    )
