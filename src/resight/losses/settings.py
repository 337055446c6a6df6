"""Checks of the numbers a loss is set up with."""

from __future__ import annotations

import math

from resight.errors import InvalidInput

__all__ = ["not_negative", "positive"]


def positive(value: float, name: str) -> float:
    """Returns the value of the setting.

    Raises:
        InvalidInput: It is not positive and finite.
    """
    if not 0 < value < math.inf:
        raise InvalidInput(f"{name} must be positive and finite, not {value}")
    return value


def not_negative(value: float, name: str) -> float:
    """Returns the value of the setting.

    Raises:
        InvalidInput: It is negative or not finite.
    """
    if not 0 <= value < math.inf:
        raise InvalidInput(f"{name} must be zero or positive, and finite, not {value}")
    return value
