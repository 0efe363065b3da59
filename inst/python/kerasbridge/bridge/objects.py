"""What R prints of a Keras object that isn't a tensor, a layer or a model."""

from __future__ import annotations

import inspect
from typing import Any, Optional

_MOST = 8  # settings shown


def describe_object(object: Any) -> Optional[dict]:
    """Class and settings of an object, or None where its own text says more than its address.

    Keys: type (the class), settings (name -> number, string, True or False, or the class of an object
    in its place); from `get_config()` where there is one, else from the arguments that its class takes.
    """
    if " at 0x" not in repr(object):
        return None
    settings = {}
    for name, given in _config(object).items():
        shown = _plain(given)
        if shown is not None and name != "name" and len(settings) < _MOST:
            settings[name] = shown
    return {"type": type(object).__name__, "settings": settings}


def _config(value: Any) -> dict:
    try:
        return dict(value.get_config())
    except Exception:  # there is none, or one of a person's own that fails: printing must not
        parameters = inspect.signature(type(value).__init__).parameters
        return {name: vars(value)[name] for name in parameters if name in vars(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("class_name") if isinstance(value.get("class_name"), str) else None
    if isinstance(value, (bool, int, str)):
        return value
    return float(f"{value:.6g}") if isinstance(value, float) else None
