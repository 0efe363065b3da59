"""Progress as text: one live line in a terminal, one line an epoch anywhere else."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, Callable, Optional

from kerasbridge.errors import ArgumentError
from kerasbridge.runtime.patience import Word

INTERVAL = 0.25  # seconds between two updates of the live line
SILENCE = 2.0  # seconds without a word after which a person is told what is going on
PREPARING = "Compiling the model and preparing its first step ..."


class StandardOutput:
    """Progress text to `sys.stdout`, whatever that is at the time of writing."""

    @property
    def terminal(self) -> bool:
        return bool(getattr(sys.stdout, "isatty", lambda: False)())

    @property
    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def check_verbose(verbose: Any) -> int:
    """Turn "auto", 0, 1, 2 (or a logical) into 0, 1 or 2."""
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if verbose in (0, 1, 2) and not isinstance(verbose, (str, float)):
        return int(verbose)
    raise ArgumentError(
        f"`verbose` must be 0, 1, 2 or 'auto', not {verbose!r}.",
        hint="0 is silent, 1 a progress bar, 2 one line an epoch.",
        argument="verbose",
    )


def format_value(value: Any) -> str:
    """Four significant digits; an array is shown by its mean."""
    try:
        return f"{float(value):.4g}"
    except (TypeError, ValueError):
        mean = getattr(value, "mean", None)
        return f"{float(mean()):.4g}" if callable(mean) else str(value)


def format_seconds(seconds: float) -> str:
    """1 digit below ten seconds, whole seconds, then m:ss and h:mm:ss."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def format_logs(logs: Optional[dict]) -> str:
    return "  ".join(f"{name} {format_value(value)}" for name, value in (logs or {}).items())


class Progress:
    """Writes the progress of one run.

    Args:
        output: None (standard output) or an object with `write(text)`, `terminal` (logical) and
            `width` (columns).
        verbose: 0 writes nothing at all; 1 a live line where the output is a terminal; 2 one line
            an epoch everywhere.
        clock: seconds, monotonic.
    """

    def __init__(self, output=None, verbose=1, clock: Callable[[], float] = time.monotonic):
        self.own_output = output is not None  # the caller's, not standard output
        self.output = StandardOutput() if output is None else output
        self.verbose = check_verbose(verbose)
        self.live = self.verbose == 1 and bool(self.output.terminal)
        self._clock = clock
        self._shown = 0  # characters of the live line now on screen
        self._last = -1e9
        self._started = clock()
        self._title = ""
        self._total: Optional[int] = None
        self._first = 0
        self._word: Optional[Word] = None

    def expect(self, text: str = PREPARING, seconds: float = SILENCE) -> None:
        """Say `text` if so many seconds pass with nothing to show; on a live output only."""
        self._take_back()
        if self.live:
            self._word = Word(seconds, lambda: self._line(text))

    def aside(self, text: str) -> None:
        """A sentence for a person who looks on: on a live output only."""
        if self.live:
            self._line(text)

    def _take_back(self) -> None:
        if self._word is not None:
            self._word.take_back()
            self._word = None

    def begin(self, title: str, total: Optional[int], done: int = 0) -> None:
        """Start a stretch (an epoch, an evaluation) of `total` steps, None if unknown."""
        self._title, self._total, self._first = title, total, done
        self._started = self._clock()
        self._last = self._started  # the first update comes after one interval

    def due(self) -> bool:
        """Whether a call of `step` would write now; cheap enough for every batch."""
        if self._word is not None:  # there are steps, so the wait is over
            self._take_back()
        return self.live and self._clock() - self._last >= INTERVAL

    def step(self, done: int, logs: Optional[dict] = None) -> None:
        """Show that `done` steps of the stretch are finished, at most four times a second."""
        if not self.due():
            return
        now = self._last = self._clock()
        taken = now - self._started
        if self._total:
            share = min(1.0, done / self._total)
            pace = taken / max(1, done - self._first)
            eta = format_seconds(pace * max(0, self._total - done))
            bar = "[" + "=" * int(20 * share) + " " * (20 - int(20 * share)) + "]"
            text = f"{self._title} {bar} {done}/{self._total}  ETA {eta}"
        else:
            text = f"{self._title} {done} steps  {format_seconds(taken)}"
        values = format_logs(logs)
        self._show(f"{text}  {values}" if values else text)

    def end(self, logs: Optional[dict] = None) -> None:
        """The stretch is over: its one lasting line."""
        if self.verbose == 0:
            return
        text = f"{self._title}  {format_seconds(self._clock() - self._started)}"
        values = format_logs(logs)
        self._line(f"{text}  {values}" if values else text)

    def note(self, text: str, least: int = 1) -> None:
        """A sentence of its own line; silent when `verbose` is 0 or below `least`."""
        if self.verbose != 0 and self.verbose >= least:
            self._line(text)

    def close(self) -> None:
        """Leave the cursor on a fresh line whatever happened."""
        self._take_back()
        if self._shown:
            self.output.write("\n")
            self._shown = 0

    def _show(self, text: str) -> None:
        text = text[: max(10, int(self.output.width) - 1)]
        self.output.write("\r" + text + " " * max(0, self._shown - len(text)))
        self._shown = len(text)

    def _line(self, text: str) -> None:
        self._take_back()
        if self._shown:
            self.output.write("\r" + text + " " * max(0, self._shown - len(text)) + "\n")
            self._shown = 0
        else:
            self.output.write(text + "\n")
