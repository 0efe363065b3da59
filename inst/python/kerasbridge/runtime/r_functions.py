"""Plain R functions given to Keras (activations, losses, ...): their names in files, and their source.

Keras writes such a function by its name. R functions have none, only that of the argument they were given
for, and a model whose two activations bear one name would come back with one of them twice. So of
different functions that are alive together, each gets a name of its own.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Callable

_known: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
_numbers = itertools.count()


def describe(function: Any, key: str, source: Callable[[], dict], named: bool = False) -> None:
    """Name a callable around an R function, and tell how to get its source.

    Args:
        function: its `__name__` is the name wished for; it may get a number.
        key: the same for callables around the same R function.
        source: gives `origin` (in words) and `source` (R code, or None); called when a model is saved.
        named: a person gave the name; it stays.
    """
    wish = function.__name__
    taken = {other.__name__: other._r_key for other in list(_known.values())}
    number = 0
    while not named and taken.get(function.__name__, key) != key:
        number += 1
        function.__name__ = f"{wish}_{number}"
    function._r_key, function._r_source = key, source
    _known[next(_numbers)] = function


def find(name: str) -> Any:
    """The newest callable that bears a name, or None."""
    found = [function for _, function in sorted(_known.items()) if function.__name__ == name]
    return found[-1] if found else None
