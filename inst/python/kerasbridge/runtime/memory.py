"""How much memory the process and its devices hold, now and at most."""

from __future__ import annotations

import re
import sys
from typing import Any, Optional

from kerasbridge.runtime import device_settings
from kerasbridge.runtime.starting import backend_name

_CLEAR = "/proc/self/clear_refs"  # writing 5 sets the process's peak back


def usage(reset: bool = False) -> list[dict]:
    """Memory by device, in bytes; starts nothing.

    Args:
        reset: set the peaks back to what is held now, after they were read.

    Returns:
        For each device its name (`device`), `current` and `peak`, and `limit`, all in bytes and None
        where that can't be told. "CPU" is the whole process, R included; cards ("GPU:0") are there once
        the backend has started, with what the backend has taken for tensors.
    """
    rows = [_process()]
    backend = backend_name()
    if backend == "tensorflow":
        rows += _tensorflow(reset)
    elif backend == "jax":
        rows += _jax()
    elif backend == "torch":
        rows += _torch(reset)
    if reset:
        _reset_process()
    return rows


def _process() -> dict:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            found = dict(re.findall(r"^(Vm\w+):\s+(\d+) kB", file.read(), re.MULTILINE))
        current, peak = int(found["VmRSS"]) * 1024, int(found["VmHWM"]) * 1024
    except (OSError, KeyError):
        current, peak = None, _peak_elsewhere()
    return {"device": "CPU", "current": current, "peak": peak, "limit": total_bytes()}


def _peak_elsewhere() -> Optional[int]:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _reset_process() -> None:
    try:
        with open(_CLEAR, "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def _meminfo(name: str) -> Optional[int]:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            match = re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(match.group(1)) * 1024 if match else None


def total_bytes() -> Optional[int]:
    """Memory of the machine; None where the system doesn't say."""
    return _meminfo("MemTotal")


def free_bytes(device: str = "CPU") -> Optional[int]:
    """Memory that can still be had on a device; None where that can't be told."""
    if "gpu" not in device.lower() and "cuda" not in device.lower():
        return _meminfo("MemAvailable")
    for row in usage():
        if row["device"].lower() == device.lower() and row["limit"] is not None:
            return max(0, row["limit"] - (row["current"] or 0))
    return None


def _tensorflow(reset: bool) -> list[dict]:
    import tensorflow as tf

    rows = []
    for device in tf.config.list_logical_devices("GPU"):
        name = device.name.split("device:")[-1]
        found = tf.config.experimental.get_memory_info(name)
        limit = _configured_limit(tf, int(name.split(":")[-1]))
        rows.append(_row(name, found["current"], found["peak"], limit))
        if reset:
            tf.config.experimental.reset_memory_stats(name)
    return rows


def _configured_limit(tf: Any, index: int) -> Optional[int]:
    cards = tf.config.list_physical_devices("GPU")
    parts = tf.config.get_logical_device_configuration(cards[index]) if index < len(cards) else None
    limit = parts[0].memory_limit if parts else None
    return None if limit is None else int(limit * 2**20)


def _jax() -> list[dict]:
    import jax

    rows = []
    for device in jax.local_devices():
        if device.platform in ("gpu", "cuda", "rocm"):
            found = device.memory_stats() or {}
            current, peak = found.get("bytes_in_use"), found.get("peak_bytes_in_use")
            rows.append(_row(f"GPU:{device.id}", current, peak, found.get("bytes_limit")))
    return rows


def _torch(reset: bool) -> list[dict]:
    import torch

    allowed = device_settings.wishes.memory
    rows = []
    for index in range(torch.cuda.device_count()):
        total = torch.cuda.get_device_properties(index).total_memory
        if isinstance(allowed, int):
            total = min(total, allowed)
        current, peak = torch.cuda.memory_allocated(index), torch.cuda.max_memory_allocated(index)
        rows.append(_row(f"GPU:{index}", current, peak, total))
        if reset:
            torch.cuda.reset_peak_memory_stats(index)
    return rows


def _row(device: str, current: Any, peak: Any, limit: Any) -> dict:
    return {"device": device, "current": current, "peak": peak, "limit": limit}
