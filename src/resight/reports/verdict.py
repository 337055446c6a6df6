"""What a number of inliers means, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CONFIRMED_INLIERS", "LIKELY_INLIERS", "Verdict", "verdict"]

CONFIRMED_INLIERS = 20
"""From here on an answer counts as confirmed. Measured with `sift` and the default settings of verification:
861 pairs of different rendered places, which share windows and doors as a real town's do, stay below 18."""

LIKELY_INLIERS = 12
"""Below this, matches are what chance gives: 2,200 pairs of photos of different real scenes stay below 12,
and so do 98 % of those of different rendered places."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far an answer can be trusted.

    Attributes:
        kind: One word for programs and style sheets.
        words: A few words for people.
        reason: One sentence that says why.
    """

    kind: Literal["confirmed", "likely", "similar", "unlikely"]
    words: str
    reason: str


def verdict(inliers: int | None, expected: float | None) -> Verdict:
    """Returns what the number of inliers says of an answer.

    Args:
        inliers: ``None`` for an answer that was not verified.
        expected: Inliers that chance would reach; no more than these prove nothing, however many. ``None``
            where nobody knows.
    """
    if inliers is None:
        return Verdict("similar", "looks similar", "The descriptors are alike; the geometry was not checked.")
    points = "1 point agrees" if inliers == 1 else f"{inliers} points agree"
    chance = "" if expected is None else f"chance would give {expected:.0f}"
    beyond = expected is None or inliers > expected
    if inliers >= CONFIRMED_INLIERS and beyond:
        lie = f"{inliers} points of the query lie in the same arrangement in this photo"
        return Verdict("confirmed", "confirmed by geometry", f"{lie}; {chance}." if chance else f"{lie}.")
    if inliers >= LIKELY_INLIERS and beyond:
        where = f" where {chance}: " if chance else ": more than chance gives, "
        return Verdict("likely", "possibly the same", f"{points}{where}too few to be certain.")
    few = "only " if inliers < LIKELY_INLIERS else ""
    end = f"; {chance}." if chance else ", as many as chance gives."
    return Verdict("unlikely", "unlikely", f"Looks similar, but {few}{points} in arrangement{end}")
