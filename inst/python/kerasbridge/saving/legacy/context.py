"""What is known while one old file is read: its version, what the caller allows, and where we are."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Iterable, Optional

from kerasbridge.errors import UnsafeFileError, UnsupportedError

WAYS_ON = (
    "Give the class or function by `custom_objects`, or convert the file in an environment "
    "that has Keras 2: convert_model()."
)


def first_line(err: BaseException) -> str:
    """The line of an exception's text that says what is wrong, without Keras' frame around it."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(err).splitlines()]
    told = [line for line in lines if line and not line.startswith("Exception encountered")]
    return told[0] if told else type(err).__name__


class Context:
    """Reading of one file or configuration.

    Args:
        version: Keras' version as the file says it, or None.
        custom_objects: name -> class or function, for what isn't part of Keras.
        allow: kinds of content the caller permits; "lambda" is byte code.
        source: the file's name, for messages.
    """

    def __init__(
        self,
        version: Optional[str] = None,
        custom_objects: Optional[dict[str, Any]] = None,
        allow: Iterable[str] = (),
        source: Optional[str] = None,
    ):
        self.version = version
        self.custom_objects = dict(custom_objects or {})
        self.allow = frozenset([allow] if isinstance(allow, str) else allow or ())
        self.source = source
        self.tree: Any = None  # the whole configuration, for what else of it is missing
        self._place: list = []  # (layer's name, class) from the outside in
        self.parts: dict = {}  # id of a built model -> [(class in the file, layer or None)]

    @contextlib.contextmanager
    def at(self, name: str, class_name: str):
        """Names the layer that is being read in every error raised inside."""
        self._place.append((name, class_name))
        try:
            yield
        finally:
            self._place.pop()

    @property
    def layer(self) -> Optional[str]:
        """Path of the layer being read, such as "inner/dense_1"."""
        return "/".join(str(name) for name, _ in self._place) or None

    def describe(self) -> str:
        """Who wrote the file: "Keras 2.1.6" or "an older Keras"."""
        return f"Keras {self.version}" if self.version else "an older Keras"

    def refusal(self, why: str, hint: Optional[str] = None, unsafe: bool = False) -> Exception:
        """An error that says the file's version, the layer in the way, and what to do."""
        where = ""
        if self._place:
            where = f"layer '{self.layer}' ({self._place[-1][1]}): "
        subject = f"'{self.source}' ({self.describe()})" if self.source else self.describe()
        kind = UnsafeFileError if unsafe else UnsupportedError
        return kind(
            f"{subject}: {where}{why}",
            hint=hint or WAYS_ON,
            argument="custom_objects" if not unsafe else "allow",
            details={
                "version": self.version,
                "layer": self.layer,
                "class": self._place[-1][1] if self._place else None,
            },
        )

    def custom(self, *names: Optional[str]) -> Any:
        """What the caller or the session registered under one of the names, or None.

        A name may carry a package ("Custom>Scale"); the word behind the sign is tried as well.
        """
        import keras

        for name in names:
            if not isinstance(name, str):
                continue
            for candidate in (name, name.rpartition(">")[2]):
                if candidate in self.custom_objects:
                    return self.custom_objects[candidate]
        known = keras.saving.get_custom_objects()
        for name in names:
            if not isinstance(name, str):
                continue
            for candidate in (name, f"Custom>{name}"):
                if candidate in known:
                    return known[candidate]
        return None
