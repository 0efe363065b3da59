"""Plain values that belong to a model object: data schema, history ...

They are kept beside the model, not in it: Keras would track, copy or refuse an attribute of its own.
"""

from __future__ import annotations

import weakref
from typing import Any

# versions of what this engine runs in, such as {"r": "4.2.2"}; they go into saved files
session: dict = {}

_held: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def attach(model: Any, key: str, value: Any) -> None:
    """Keep `value` with a model under `key`; None removes it.

    Args:
        model: a Keras model.
        key: "schema", "history" ...: what the value is.
        value: plain: truth values, numbers, texts, lists and dicts with text keys.
    """
    held = _held.setdefault(model, {})
    if value is None:
        held.pop(key, None)
    else:
        held[key] = value


def details(model: Any) -> dict:
    """All values kept with a model, by key; a copy of the outer dict."""
    return dict(_held.get(model, {}))


def forget(model: Any) -> None:
    """Drop all values kept with a model."""
    _held.pop(model, None)
