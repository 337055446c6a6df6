"""What a conversion says of itself: which tensor went where, and which were left behind and why."""

from __future__ import annotations

from dataclasses import dataclass

from resight.models.bundle import Bundle

__all__ = ["Conversion", "LeftOut", "Match"]


@dataclass(frozen=True, slots=True)
class Match:
    """A tensor of the authors' file and what it became.

    Attributes:
        source: Its name in the authors' file.
        target: Its name in our network.
        shape: Its shape, the same in both.
    """

    source: str
    target: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A tensor of the authors' file that our network has no place for.

    Attributes:
        source: Its name in the authors' file.
        shape: Its shape.
        reason: Why it is not needed for descriptors, or cannot be expressed.
    """

    source: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """The authors' file as a bundle, and how it came about.

    Attributes:
        family: Whose files these are, one of `resight.models.published.FAMILIES`.
        bundle: The model.
        matches: Every tensor that was taken over, in the order of the authors' file.
        left_out: Every tensor that was not.
        remarks: What else one must know, sentences.
    """

    family: str
    bundle: Bundle
    matches: tuple[Match, ...]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]
