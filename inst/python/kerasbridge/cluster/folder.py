"""The folder that driver and workers share: task, checkpoints, progress, signs of life."""

from __future__ import annotations

import json
import os
import pickle
import time
from pathlib import Path
from typing import Any, Optional

SILENT = 60.0  # seconds without a sign of the driver after which a worker ends
OVER = "over"  # what the driver says last


class Folder:
    """Paths and small files of one training; what is written is whole or not there."""

    def __init__(self, path: Any):
        self.path = Path(path)
        self.model = self.path / "model.keras"
        self.final = self.path / "final.keras"

    def checkpoint(self, epochs: int) -> Path:
        """The model after so many epochs."""
        return self.path / f"checkpoint-{epochs}.keras"

    def write(self, name: str, value: Any) -> None:
        """Plain values as JSON."""
        self._replace(name, json.dumps(value).encode())

    def read(self, name: str) -> Optional[Any]:
        """What `write` wrote; None if it isn't there."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def write_object(self, name: str, value: Any) -> None:
        """Data or a description of data, for the processes of this training alone."""
        self._replace(name, pickle.dumps(value, protocol=4))

    def read_object(self, name: str) -> Any:
        return pickle.loads((self.path / name).read_bytes())

    def _replace(self, name: str, content: bytes) -> None:
        part = self.path / f"{name}.{os.getpid()}.part"
        part.write_bytes(content)
        os.replace(part, self.path / name)

    def epochs(self) -> list[dict]:
        """What was reported of each finished epoch, in order."""
        return self.read("epochs.json") or []

    def add_epoch(self, row: dict) -> None:
        """An epoch whose checkpoint is written is finished; older checkpoints go."""
        rows = [*self.epochs(), row]
        self.write("epochs.json", rows)
        for old in self.path.glob("checkpoint-*.keras"):
            if old != self.checkpoint(len(rows)):
                old.unlink(missing_ok=True)

    def beat(self, attempt: int) -> None:
        """The driver is alive, and watches this attempt."""
        self._replace("driver", f"{attempt} {time.time()}".encode())

    def over(self) -> None:
        """The driver goes: so do all workers."""
        self._replace("driver", OVER.encode())

    def driver(self) -> Optional[tuple]:
        """The attempt that is watched (None after the end) and the sign itself; None without one."""
        try:
            sign = (self.path / "driver").read_text(encoding="utf-8")
        except OSError:
            return None
        return (None if sign == OVER else int(sign.split()[0])), sign

    def log(self, worker: int, attempt: int) -> Path:
        return self.path / f"worker-{worker}-{attempt}.log"

    def failure(self, worker: int, attempt: int) -> Path:
        """Where a worker says what its error was."""
        return self.path / f"failed-{attempt}-{worker}"
