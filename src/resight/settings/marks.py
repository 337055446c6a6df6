"""Marks in the annotation of a setting: what it means, and where its value is written down."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

__all__ = ["ADDED_LATER", "MOST_SEED", "NOT_STORED", "Mark", "Meaning"]

MOST_SEED = 2**31 - 1
"""The largest seed: FAISS and COLMAP hold it in 32 bits, with a sign."""


class Mark(Enum):
    """Where the value of a setting is written down."""

    NOT_STORED = auto()
    ADDED_LATER = auto()


NOT_STORED: Final[Literal[Mark.NOT_STORED]] = Mark.NOT_STORED
"""In no bundle: the setting serves training alone, or the trunk says it."""

ADDED_LATER: Final[Literal[Mark.ADDED_LATER]] = Mark.ADDED_LATER
"""Only where it differs from its default: older bundles and recipes keep their fingerprints."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a number means, for help and reference.

    Attributes:
        text: One sentence.
        least: The least value.
    """

    text: str
    least: float
