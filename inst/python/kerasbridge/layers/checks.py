"""Checks of arguments that several layers share."""

from __future__ import annotations

from typing import Any

from kerasbridge.errors import ArgumentError


def check_positive(value: Any, argument: str, whole: bool = True) -> Any:
    """A number above 0; with `whole` an int.

    Raises:
        ArgumentError: it is something else.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or value <= 0 or (whole and value != int(value)):
        kind = "whole number of at least 1" if whole else "number above 0"
        raise ArgumentError(f"`{argument}` must be a {kind}, not {value!r}.", argument=argument)
    return int(value) if whole else value


def check_rate(value: Any, argument: str = "rate") -> float:
    """A share from 0 up to, not including, 1.

    Raises:
        ArgumentError: it is something else.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value < 1:
        raise ArgumentError(
            f"`{argument}` must be a number from 0 up to, not including, 1, not {value!r}.",
            argument=argument,
        )
    return float(value)
