"""Devices by name: which there are, computing on one, insisting on a graphics card."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from kerasbridge.errors import ArgumentError
from kerasbridge.runtime.starting import backend_name, start


def running(kind: str = "") -> list[dict]:
    """The devices of the running backend: `device` ("GPU:0"), `name`, `memory` in bytes or None.

    Args:
        kind: "CPU" or "GPU" for those alone.

    Returns:
        An empty list while no backend runs.
    """
    backend = backend_name()
    rows: list[dict] = []
    if backend == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_logical_devices():
            name = device.name.split("device:")[-1]
            rows.append({"device": name, "name": _card_name(tf, name), "memory": None})
    elif backend == "jax":
        import jax

        for platform in dict.fromkeys(("cpu", jax.default_backend())):
            for device in jax.local_devices(backend=platform):
                name = f"{'CPU' if platform == 'cpu' else 'GPU'}:{device.id}"
                limit = (
                    (device.memory_stats() or {}).get("bytes_limit") if platform != "cpu" else None
                )
                rows.append({"device": name, "name": device.device_kind, "memory": limit})
    elif backend == "torch":
        import torch

        rows.append({"device": "CPU:0", "name": "cpu", "memory": None})
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            rows.append({"device": f"GPU:{index}", "name": card.name, "memory": card.total_memory})
    return [row for row in rows if row["device"].upper().startswith(kind.upper())]


def _card_name(tf: Any, name: str) -> str:
    kind, _, index = name.partition(":")
    cards = tf.config.list_physical_devices("GPU")
    if kind != "GPU" or int(index) >= len(cards):
        return kind.lower()
    return str(
        tf.config.experimental.get_device_details(cards[int(index)]).get("device_name", "gpu")
    )


def standard_name(device: str) -> str:
    """ "gpu:1" for "/gpu:1", "GPU:1", "/device:GPU:1" or "cuda:1"; "cpu:0" for "cpu".

    Raises:
        ArgumentError: it is no name of a device.
    """
    text = str(device).strip().lower()
    match = re.fullmatch(r"/?(?:device:)?(cpu|gpu|cuda)(?::(\d+))?", text)
    if match is None:
        raise ArgumentError(
            f"`device` must be a name such as 'gpu:0' or 'cpu', not {device!r}.", argument="device"
        )
    return f"{match.group(1).replace('cuda', 'gpu')}:{match.group(2) or 0}"


class Scope:
    """Within `enter` and `leave`, variables and operations are on one device."""

    def __init__(self, device: str):
        name = standard_name(device)
        keras = start()
        present = [row["device"].lower() for row in running()]
        if present and name not in present:
            raise ArgumentError(
                f"There is no device '{name}' here; there are {', '.join(present)}.",
                hint="kerasbridge::gpu_status() says why a card is not found.",
                argument="device",
            )
        self._context = keras.device(name)
        self._stack = contextlib.ExitStack()

    def enter(self) -> None:
        self._stack.enter_context(self._context)

    def leave(self) -> None:
        self._stack.close()
