"""The classic data sets as R takes them."""

from __future__ import annotations

from typing import Any

from kerasbridge.bridge.text import flat
from kerasbridge.data import datasets


def load(name: str, arguments: dict) -> list:
    """train x, train y, test x, test y; lists of word numbers are flat with their lengths."""
    (x_train, y_train), (x_test, y_test) = getattr(datasets, name)(**arguments)
    return [_plain(part) for part in (x_train, y_train, x_test, y_test)]


def _plain(part: Any) -> Any:
    return flat(part) if isinstance(part, list) else part
