"""Room on the disk that a collection keeps for removals: they write a little before they free a lot."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["RESERVE_NAME", "keep_reserve", "release_reserve"]

RESERVE_NAME = "reserve"
_BYTES = 1 << 18
"""Some commits of a table of a thousand fragments."""


def release_reserve(directory: Path) -> None:
    """Frees the room.

    Raises:
        OSError: The disk refuses it.
    """
    (directory / RESERVE_NAME).unlink(missing_ok=True)


def keep_reserve(directory: Path) -> None:
    """Takes the room again where it is not kept; a disk that is too full for it goes without."""
    place = directory / RESERVE_NAME
    if place.exists():
        return
    try:
        # Random, as some disks take no room for zeros.
        place.write_bytes(os.urandom(_BYTES))
    except OSError:
        place.unlink(missing_ok=True)
