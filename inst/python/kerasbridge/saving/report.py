"""What a load of weights did, layer by layer."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Optional

from kerasbridge.errors import FileError


class ModelFileWarning(UserWarning):
    """Something about a loaded model that a person should know."""


class WeightsReport:
    """Layers of a model and what became of them when weights were loaded.

    Attributes:
        layer: names; of a layer in a nested model with the names of the models it is in, `a/b`.
        status: "loaded", "skipped" (in model and file, but not alike), "missing" (not in the file) or
            "unused" (in the file alone).
        reason: why, for all but the loaded ones; else "".
        weights: the number of arrays.
        notes: what else a person should know, in sentences.
    """

    def __init__(self) -> None:
        self.layer: list[str] = []
        self.status: list[str] = []
        self.reason: list[str] = []
        self.weights: list[int] = []
        self.notes: list[str] = []

    def add(self, layer: str, status: str, reason: str = "", weights: int = 0) -> None:
        self.layer.append(layer)
        self.status.append(status)
        self.reason.append(reason)
        self.weights.append(int(weights))

    def names(self, status: str) -> list[str]:
        """The layers of one status."""
        return [name for name, one in zip(self.layer, self.status) if one == status]

    def as_dict(self) -> dict:
        """Columns: layer, status, weights, reason; and the notes."""
        return {
            "layer": self.layer,
            "status": self.status,
            "weights": self.weights,
            "reason": self.reason,
            "notes": self.notes,
        }

    def refuse(self, path: str, skip_mismatch: bool, by_name: bool) -> None:
        """Raise where what was found is no success.

        Raises:
            FileError: layers differ and `skip_mismatch` is False; or there is nothing to load.
        """
        for wanted in ("skipped", "missing"):
            # by name, what the file lacks keeps its values: that is what it is for
            if skip_mismatch or wanted == "missing" and by_name:
                continue
            for name, status, reason in zip(self.layer, self.status, self.reason):
                if status == wanted:
                    raise FileError(
                        f"The weights in '{path}' don't fit: layer '{name}': {reason}.",
                        hint="`skip_mismatch = TRUE` leaves such layers as they are"
                        + (
                            "."
                            if by_name
                            else ", `by_name = TRUE` goes by the layers' names, not their order."
                        ),
                        argument="filepath",
                        details={"layer": name},
                    )
        if self.layer and not self.names("loaded"):
            file_has = ", ".join(f"'{name}'" for name in self.names("unused")[:8])
            raise FileError(
                f"The weights in '{path}' belong to no layer of this model; nothing was loaded.",
                hint=f"The file has the layers {file_has}." if file_has else None,
                argument="filepath",
            )

    def __repr__(self) -> str:
        wide = max([len(name) for name in self.layer], default=5)
        lines = [
            f"{name:<{wide}}  {status:<7}  {reason}".rstrip()
            for name, status, reason in zip(self.layer, self.status, self.reason)
        ]
        own = [status for status in self.status if status != "unused"]
        title = f"<{own.count('loaded')} of {len(own)} loaded>"
        return "\n".join([title, *lines, *self.notes])


def shapes_differ(model: Iterable, file: Iterable) -> Optional[str]:
    """In words how two lists of shapes differ; None if they don't."""
    model, file = [tuple(s) for s in model], [tuple(s) for s in file]
    if len(model) != len(file):
        return f"{len(file)} arrays in the file, {len(model)} in the model"
    for here, there in zip(model, file):
        if here != there:
            return f"shape {in_words(there)} in the file, {in_words(here)} in the model"
    return None


def in_words(shape: tuple) -> str:
    """A shape as it stands in messages."""
    return "(" + ", ".join(map(str, shape)) + ")"


def loaded_whole(model: Any, load: Callable[[], Any]) -> WeightsReport:
    """Run a load that takes everything or fails, and report it as such."""
    load()
    report = WeightsReport()
    for layer in model.layers:
        if layer.weights:
            report.add(layer.name, "loaded", weights=len(layer.weights))
    return report
