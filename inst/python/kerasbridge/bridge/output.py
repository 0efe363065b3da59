"""Where progress text goes when R runs the engine."""

from __future__ import annotations

from typing import Callable


class Output:
    """Text for R's console: `write` is an R function, called on R's main thread only."""

    def __init__(self, write: Callable[[str], None], terminal: bool, width: int):
        self._write = write
        self.terminal = bool(terminal)
        self.width = int(width)

    def write(self, text: str) -> None:
        if text:
            self._write(text)

    def flush(self) -> None:
        """R's console shows text at once."""
