"""One seed for everything that draws random numbers."""

from __future__ import annotations

from typing import Any, Optional

from kerasbridge.errors import ArgumentError
from kerasbridge.runtime.keras_version import keras_before
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
    keras = start()
    keras.utils.set_random_seed(int(seed))
    _last[:] = [int(seed)]
    older = keras_before(3, 13)
    # (a generator of one's own can't be drawn from while JAX traces)
    own = older and keras.config.backend() != "jax"
    _draws[:] = [keras.random.SeedGenerator(int(seed))] if own else []
    return int(seed)


_last: list[int] = []
_draws: list[Any] = []


def of_draws() -> Any:
    """The seed of draws that name none, such as `keras.random.uniform((2,))`; None: Keras' own will do.

    Keras before 3.13 leaves its global generator where it is when a seed is set (bisected 2026-11-25).
    """
    return _draws[0] if _draws else None


def last() -> Optional[int]:
    """The seed that was set last; None before the first."""
    return _last[0] if _last else None
