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


def verdict(inliers: int | None) -> Verdict:
    """Returns what the number of inliers says of an answer; ``None`` is an answer that was not verified."""
    if inliers is None:
        return Verdict("similar", "looks similar", "The descriptors are alike; the geometry was not checked.")
    if inliers >= CONFIRMED_INLIERS:
        return Verdict(
            "confirmed",
            "confirmed by geometry",
            f"{inliers} points of the query lie in the same arrangement in this photo.",
        )
    points = "1 point agrees" if inliers == 1 else f"{inliers} points agree"
    if inliers >= LIKELY_INLIERS:
        return Verdict(
            "likely", "possibly the same", f"{points}: more than chance gives, too few to be certain."
        )
    return Verdict(
        "unlikely", "unlikely", f"Looks similar, but only {points} in arrangement, as many as chance gives."
    )
