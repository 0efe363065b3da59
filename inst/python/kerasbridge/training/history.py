"""What a fit leaves behind: plain values, no model."""

from __future__ import annotations

import math
from typing import Any

from kerasbridge.runtime.attached import attach


class TrainingWarning(UserWarning):
    """Something about a training run that a person should know; the run itself went on."""


class History:
    """The record of one `fit`: picklable, without a reference to the model.

    Attributes:
        epoch: 0-based numbers of the epochs that were completed.
        metrics: name -> list of values, in the order of the epochs that reported the name. A name
            that some epochs lack (`validation_freq`) has a shorter list; `columns()` aligns them.
        params: epochs, initial_epoch, steps, batch_size, samples, validation_samples; None where a
            number isn't known.
        interrupted: whether a person stopped the run.
        engine: "keras" (single steps), "graph" or "xla": what ran most of the steps.
        engine_reason: one sentence that says why.
        seconds: wall time of the whole fit.
        notes: sentences worth showing to a person (non-finite loss, interruption, ...).
        warnings: those of the notes that say that something is wrong.
        environment: what the run depended on: seed (None if none was set), deterministic, devices,
            versions (see `kerasbridge.runtime.facts`).
    """

    def __init__(self, params: dict | None = None):
        self.epoch: list[int] = []
        self.metrics: dict[str, list] = {}
        self.epochs_of: dict[str, list[int]] = {}
        self.params: dict[str, Any] = dict(params or {})
        self.interrupted = False
        self.engine = "keras"
        self.engine_reason = ""
        self.seconds = 0.0
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.environment: dict[str, Any] = {}

    @property
    def history(self) -> dict[str, list]:
        """The older name of `metrics`."""
        return self.metrics

    def add(self, epoch: int, logs: dict) -> None:
        """Record the logs (name -> number or array) of one completed epoch."""
        self.epoch.append(int(epoch))
        for name, value in logs.items():
            self.metrics.setdefault(name, []).append(value)
            self.epochs_of.setdefault(name, []).append(int(epoch))

    def columns(self, absent: Any = math.nan) -> dict[str, list]:
        """Columns of equal length: `epoch`, then one per metric with `absent` where it has none."""
        table: dict[str, list] = {"epoch": list(self.epoch)}
        for name, values in self.metrics.items():
            known = dict(zip(self.epochs_of[name], values))
            table[name] = [known.get(epoch, absent) for epoch in self.epoch]
        return table

    def plain(self) -> dict[str, Any]:
        """Everything but the notes as numbers, texts, lists and dicts."""

        def number(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return [number(item) for item in value]
            if value is None or isinstance(value, (bool, int, float, str)):
                return value
            return value.tolist() if hasattr(value, "tolist") else float(value)

        return {
            "epoch": list(self.epoch),
            "metrics": {name: number(values) for name, values in self.metrics.items()},
            "columns": {name: number(values) for name, values in self.columns(None).items()},
            "environment": self.environment,
            "params": {name: number(value) for name, value in self.params.items()},
            "interrupted": self.interrupted,
            "engine": self.engine,
            "engine_reason": self.engine_reason,
            "seconds": self.seconds,
        }

    def keep_with(self, model: Any) -> History:
        """Keep this record with the model, so that it is saved and loaded along; returns itself."""
        if self.epoch:
            attach(model, "history", self.plain())
        return self

    def __repr__(self) -> str:
        done = len(self.epoch)
        last = ", ".join(
            f"{name} {values[-1]:.4g}"
            for name, values in self.metrics.items()
            if values and isinstance(values[-1], (int, float))
        )
        state = ", interrupted" if self.interrupted else ""
        return f"<History: {done} epoch{'' if done == 1 else 's'}{state}; {last or 'no metrics'}>"
