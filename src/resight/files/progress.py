"""How far a long job is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Progress", "silent"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many pieces of a job are done and how many there are in all."""


def silent(done: int, total: int) -> None:
    """Is the `Progress` that says nothing."""
    del done, total
