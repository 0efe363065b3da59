"""One seed for everything that draws random numbers."""

from __future__ import annotations

from typing import Optional

from kerasbridge.errors import ArgumentError
from kerasbridge.runtime.starting import start


def set_random_seed(seed: int) -> int:
    """Seed Python, NumPy, Keras and the backend.

    Args:
        seed: whole number from 0 to 2**32 - 1 (NumPy's range).

    Returns:
        The seed.

    Raises:
        ArgumentError: the number is out of range.
    """
    if isinstance(seed, bool) or int(seed) != seed or not 0 <= int(seed) < 2**32:
        raise ArgumentError(
            f"`seed` must be a whole number from 0 to {2**32 - 1}, not {seed!r}.", argument="seed"
        )
    start().utils.set_random_seed(int(seed))
    _last[:] = [int(seed)]
    return int(seed)


_last: list[int] = []


def last() -> Optional[int]:
    """The seed that was set last; None before the first."""
    return _last[0] if _last else None
