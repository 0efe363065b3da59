"""Keys under which R keeps the private environments of objects of its classes."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

_forgotten: list = []
_keys = itertools.count(1)


def private_key(instance: Any, owner: str) -> str:
    """The key of R's private environment of an instance for the class `owner`."""
    held = instance.__dict__.get("_r_private")
    if held is None:
        held = {}
        object.__setattr__(instance, "_r_private", held)
    if owner not in held:
        held[owner] = f"{owner}-{next(_keys)}"
        weakref.finalize(instance, _forgotten.append, held[owner])
    return held[owner]


def forgotten_keys() -> list:
    """Keys of instances that are gone, each told once."""
    out = list(_forgotten)
    del _forgotten[: len(out)]
    return out
