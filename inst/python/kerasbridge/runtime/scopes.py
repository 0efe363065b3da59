"""Names of layers that TensorFlow's graphs don't take as they are.

A layer may be called "dense 1". TensorFlow calls the scope of its operations so, and allows only letters, digits
and `_ . \\ / > -` there: the model can be made and saved, and any use of it in a graph fails.
"""

from __future__ import annotations

import functools
import re
from typing import Any


def permitted(name: str) -> str:
    """The nearest name that a scope of TensorFlow may have."""
    fit = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return fit if re.match(r"[A-Za-z0-9.]", fit) else f"s{fit}"


def permit_any_name(keras: Any) -> None:
    """Give the scopes of layers names that TensorFlow takes; the layers keep theirs."""
    if keras.config.backend() != "tensorflow":
        return
    scope = next(kind for kind in keras.name_scope.__mro__ if "__init__" in vars(kind))
    plain = scope.__init__
    if hasattr(plain, "__wrapped__"):
        return

    @functools.wraps(plain)
    def permitting(self: Any, name: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(name, str) or permitted(name) == name:
            plain(self, name, *args, **kwargs)
            return
        plain(self, permitted(name), *args, **kwargs)
        self.name = name  # the paths of weights stay as Keras makes them

    scope.__init__ = permitting
