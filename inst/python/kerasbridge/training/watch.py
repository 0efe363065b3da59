"""The callback that carries progress, history and stop requests through Keras' own loops."""

from __future__ import annotations

import time
import warnings
from typing import Any, Callable, Optional

import keras
import numpy as np

from kerasbridge.runtime import presses, where
from kerasbridge.training.guards import check_monitors, unreported
from kerasbridge.training.history import History, TrainingWarning
from kerasbridge.training.progress import Progress


class Watch(keras.callbacks.Callback):
    """Last in the list of callbacks, so that it sees what the others put into the logs.

    A hook at the end of a step makes Keras wait for the step's numbers, unless it is `async_safe`: then
    Keras calls it on a thread of its own where no other callback needs them. So the hooks at the end only
    note the numbers, and what writes, stops or raises comes before the next step, on the thread that trains.

    Args:
        progress: where text goes.
        stop: None or an object with `is_set()`; once set, the run ends as by Ctrl-C.
        history: filled epoch by epoch; None outside `fit`.
        others: the callbacks of the person who called, for the check of monitored names.
        validation: whether `fit` has validation data.
    """

    async_safe = True

    def __init__(
        self,
        progress: Progress,
        stop: Any = None,
        history: Optional[History] = None,
        others: Optional[list] = None,
        validation: bool = False,
        title: str = "",
    ):
        super().__init__()
        self.progress = progress
        self.stop = stop
        self.history_record = history
        self.others = list(others or [])
        self.validation = validation
        self.title = title
        self.notices = Notices(progress, history)
        self._checked = self._looked = False
        self._fitting = False
        self._epoch_began = 0.0
        self._noted: tuple = (0, None)  # the last step that is known to be over, and its numbers

    def check_stop(self) -> None:
        presses.check()
        if self.stop is not None and self.stop.is_set():
            raise KeyboardInterrupt

    def on_train_begin(self, logs=None):
        self._fitting = True
        if self.history_record is not None and self.history_record.params.get("steps") is None:
            self.history_record.params["steps"] = (self.params or {}).get("steps")

    def on_epoch_begin(self, epoch, logs=None):
        self.check_stop()
        self._epoch_began = time.perf_counter()
        self._noted = (0, None)
        where.begin(epoch)
        for callback in self.others:
            if "batch_seconds" in vars(callback):
                callback.batch_seconds = 0.0
        total = (self.params or {}).get("epochs", 0)
        self.progress.begin(f"Epoch {epoch + 1}/{total}", (self.params or {}).get("steps"))

    def check_names(self, logs: Optional[dict] = None) -> None:
        """Look once, as soon as the names of what is reported are known, for those that callbacks watch."""
        names = self._noted[1] or [name for name in logs or {} if not name.startswith("val_")]
        if not self._checked and names:
            self._checked = True
            check_monitors(self.others, names, self.validation)

    def fed(
        self,
        kind: str,
        names: list,
        done: Callable[[], int],
        values: Callable[[], Optional[dict]],
    ) -> None:
        """Called while a loop of the backend runs steps of `kind`, which no hook sees singly.

        Args:
            names: what the steps report.
            done, values: how many steps are finished, and the metrics so far; called only when
                something is to be written.
        """
        self.check_stop()
        if kind == "train":
            self.check_names(dict.fromkeys(names))
        elif self._fitting:
            return
        if self.progress.due():
            self.progress.step(done(), values())

    def on_train_batch_begin(self, batch, logs=None):
        self.check_names()
        self._before_step(batch, self._noted)

    def on_train_batch_end(self, batch, logs=None):
        self._noted = (batch, logs)

    on_test_batch_end = on_train_batch_end

    def _before_step(self, batch: int, noted: tuple) -> None:
        where.at(batch)
        self.check_stop()
        if batch and self.progress.due():
            last, logs = noted
            self.progress.step(last + 1, logs)

    def on_epoch_end(self, epoch, logs=None):
        logs = dict(logs or {})
        self.check_names(logs)
        if self.history_record is not None:
            self.history_record.add(epoch, logs)
        self.progress.end(logs)
        hooks = sum(vars(callback).get("batch_seconds", 0.0) for callback in self.others)
        taken = time.perf_counter() - self._epoch_began
        self.notices.batch_hooks(hooks, taken)
        if getattr(self.model, "run_eagerly", False) or keras.config.backend() == "torch":
            calls, seconds = where.cost()
            self.notices.eager_r(calls, seconds - hooks, taken)
        self.notices.after_epoch(epoch, logs, self.model)
        if not self._looked:
            self._looked = True
            for who, name in unreported(self.others, [*logs, *self._validated(logs)]):
                self.notices.tell(
                    f"{who} watches '{name}', which the first epoch did not report; it reported "
                    f"{', '.join(logs)}."
                )

    def _validated(self, logs: dict) -> list[str]:
        """Names that a later epoch with validation reports."""
        return [f"val_{name}" for name in logs] if self.validation else []

    def on_test_begin(self, logs=None):
        if not self._fitting:
            where.begin(None)
            self.progress.begin(self.title, (self.params or {}).get("steps"))

    def on_test_batch_begin(self, batch, logs=None):
        if self._fitting:
            self.check_stop()
        else:
            self._before_step(batch, self._noted)

    def on_test_end(self, logs=None):
        if not self._fitting:
            self.progress.end(logs)

    def on_predict_begin(self, logs=None):
        where.begin(None)
        self.progress.begin(self.title, (self.params or {}).get("steps"))

    def on_predict_batch_begin(self, batch, logs=None):
        self._before_step(batch, (batch - 1, None))

    def on_predict_end(self, logs=None):
        self.progress.end()


class Foremost(keras.callbacks.Callback):
    """First in the list of callbacks: what others look for at the end of an epoch is looked at before them."""

    def __init__(self, watch: Watch):
        super().__init__()
        self._watch = watch

    def on_test_begin(self, logs=None):
        self._watch.check_names()

    def on_epoch_end(self, epoch, logs=None):
        self._watch.check_names(logs)


class Notices:
    """Says once what went wrong with the numbers: a loss or a weight that isn't finite.

    Args:
        progress: gets the sentence, unless it is the silent standard output.
        history: keeps the sentence in `notes`.
        findings: called when a loss isn't finite; returns what is known about the data, sentences.
    """

    def __init__(
        self,
        progress: Progress,
        history: Optional[History],
        findings: Optional[Callable[[], list[str]]] = None,
    ):
        self.progress = progress
        self.history = history
        self.findings = findings
        self._loss_told = False
        self._weights_told = False
        self._short_told = False
        self._hooks_told = False
        self._eager_told = False

    def tell(self, text: str) -> None:
        """Through the output where a caller gave one, as a Python warning otherwise."""
        if self.history is not None:
            self.history.notes.append(text)
            self.history.warnings.append(text)
        if self.progress.own_output:
            if self.progress.verbose:
                self.progress.note("Warning: " + text)
        else:
            warnings.warn(text, TrainingWarning, stacklevel=2)

    def ran_short(self, done: int, wanted: int) -> None:
        """There were fewer rows than `steps_per_epoch` or `steps` asked for; told once."""
        if not self._short_told:
            self._short_told = True
            self.tell(
                f"There were rows for {done} steps only, not for the {wanted} asked for; "
                "the epoch ended there."
            )

    def batch_hooks(self, seconds: float, epoch_seconds: float) -> None:
        """What functions that are called at every batch cost, told once where it is over a tenth."""
        if not self._hooks_told and epoch_seconds > 0.5 and seconds > 0.1 * epoch_seconds:
            self._hooks_told = True
            self.progress.note(
                f"Callbacks called at every batch took {100 * seconds / epoch_seconds:.0f}% of this "
                "epoch; hooks of epochs cost next to nothing."
            )

    def eager_r(self, calls: int, seconds: float, epoch_seconds: float) -> None:
        """What R code inside of eager steps cost, told once where it is over a tenth."""
        if not self._eager_told and seconds > 0.1 * epoch_seconds:
            self._eager_told = True
            way = "Code of op_*() functions needs no run_eagerly: it is traced once and then runs without R."
            if keras.config.backend() == "torch":
                way = "PyTorch runs them in each step; TensorFlow and JAX trace them once and go on without R."
            self.progress.note(
                f"The model runs eagerly: R functions ran {calls:,} times and took "
                f"{100 * seconds / epoch_seconds:.0f}% of this epoch. {way}"
            )

    def after_epoch(self, epoch: int, logs: dict, model: Any) -> None:
        loss = logs.get("loss")
        try:
            finite = loss is None or bool(np.isfinite(np.asarray(loss, dtype="float64")).all())
        except (TypeError, ValueError):
            finite = True
        if not finite and not self._loss_told:
            self._loss_told = True
            found = self.findings() if self.findings is not None else []
            causes = found or [
                "usual causes: a learning rate that is too high, missing or infinite values in the "
                "data, inputs that are not scaled, a loss that does not fit the last activation "
                "(logarithm of zero)"
            ]
            self.tell(f"The loss is {loss} from epoch {epoch + 1} on; {'; '.join(causes)}.")
        if not self._weights_told:
            bad = nonfinite_weights(model)
            if bad:
                self._weights_told = True
                self.tell(
                    f"After epoch {epoch + 1} the weights '{bad}' hold values that are not finite; "
                    "later predictions will not be either. Train again from weights saved before, "
                    "with a smaller learning rate or clipnorm."
                )


def nonfinite_weights(model: Any) -> Optional[str]:
    """Path of the first weight with a NaN or an infinity, None if all are finite."""
    for variable in model.weights:
        try:
            values = keras.ops.convert_to_numpy(variable)
        except Exception:  # a weight that has no plain value (a string table) can't be infinite
            continue
        if values.dtype.kind not in "fcV":
            continue
        if values.dtype.kind == "V" or values.dtype.itemsize < 4:
            values = values.astype("float32")
        # a sum is finite only if every term is, and costs no temporary; check again if it isn't
        with np.errstate(all="ignore"):
            if not np.isfinite(values.sum(dtype="float64")) and not np.isfinite(values).all():
                return getattr(variable, "path", variable.name)
    return None
