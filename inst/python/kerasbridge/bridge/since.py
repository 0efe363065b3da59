"""Which Keras version brought a name or an argument; facts written by the binding generator."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Optional


@functools.lru_cache(maxsize=1)
def _table() -> dict:
    path = Path(__file__).with_name("since.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def version_of(symbol: str, argument: str = "") -> Optional[str]:
    """The first Keras version with this name (or argument of it); None if it was always there."""
    return _table().get(f"{symbol}:{argument}" if argument else symbol)
