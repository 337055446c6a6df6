"""How far an answer can be trusted, by what geometry says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from resight.search.geometry.evidence import LEAST_INLIERS

if TYPE_CHECKING:
    from resight.search.geometry.verification import Verification

__all__ = ["CONFIRMED_INLIERS", "LIKELY_INLIERS", "Verdict", "verdict"]

Verdict = Literal["confirmed", "partial", "likely", "unlikely", "unchecked"]
"""- ``confirmed``: `CONFIRMED_INLIERS` or more, beyond what chance reaches, and not from one shared part.
- ``partial``: as many, but only one part agrees (`Evidence.whole`): a sign, a logo or a frame.
- ``likely``: `LIKELY_INLIERS` or more, beyond what chance reaches.
- ``unlikely``: checked, and nothing beyond chance speaks for the answer.
- ``unchecked``: geometry has not checked the answer, however similar its descriptor is.
"""

CONFIRMED_INLIERS = 20
"""From here on an answer counts as confirmed. Measured with `sift` and the default settings of verification:
861 pairs of different rendered places, which share windows and doors as a real town's do, stay below 18."""

LIKELY_INLIERS = LEAST_INLIERS
"""Below this, matches are what chance gives: 2,200 pairs of photos of different real scenes stay below 12,
and so do 98 % of those of different rendered places."""


def verdict(match: Verification | None) -> Verdict:
    """Returns what the inliers say of an answer; None is an answer that was not verified."""
    if match is None:
        return "unchecked"
    if match.inliers < LIKELY_INLIERS or match.inliers <= match.expected:
        return "unlikely"
    if match.inliers < CONFIRMED_INLIERS:
        return "likely"
    return "confirmed" if match.evidence is None or match.evidence.whole else "partial"
