"""Verdicts on answers, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from resight.search.geometry.verdict import LIKELY_INLIERS, Verdict, verdict

if TYPE_CHECKING:
    from resight.collection import Answer
    from resight.search import Verification

__all__ = ["VERDICT_WORDS", "nothing_words", "probability_words", "verdict_reason"]

VERDICT_WORDS: Mapping[Verdict, str] = {
    "confirmed": "confirmed by geometry",
    "partial": "only a part agrees",
    "likely": "possibly the same",
    "unlikely": "unlikely",
    "unchecked": "not checked",
}
"""A few words for each verdict."""


def probability_words(probability: float) -> str:
    """Returns a probability as a percentage; never 0 or 100, which nobody can know."""
    return f"{min(max(round(100 * probability), 1), 99)} %"


def nothing_words(answer: Answer) -> str | None:
    """Returns the sentence of an answer that does not hold what was looked for; None where it may.

    It says so where `resight.Answer.is_found` is false.
    """
    if answer.is_found is not False:
        return None
    likely = [hit.probability for hit in answer if hit.probability is not None]
    if likely:
        best = probability_words(max(likely))
        return f"Probably nothing here shows this: the likeliest answer is {best} likely to."
    if any(hit.verdict == "partial" for hit in answer):
        return "Probably nothing here shows this: of the best answers only a part agrees."
    return "Nothing here shows this, as far as geometry can tell."


def verdict_reason(match: Verification | None) -> str:
    """Returns one sentence that says why an answer has its verdict; None stands for one not verified."""
    if match is None:
        return "The descriptors were compared; the geometry was not checked."
    kind, inliers = verdict(match), match.inliers
    chance = f"chance would give {match.expected:.0f}"
    points = "1 point agrees" if inliers == 1 else f"{inliers} points agree"
    if kind == "confirmed":
        return f"{inliers} points of the query lie in the same arrangement in this photo; {chance}."
    if kind == "partial":
        return (
            f"{points}, all in one part of the photos; what lies around does not agree: perhaps both have "
            "the same sign, logo or frame."
        )
    if kind == "likely":
        return f"{points} where {chance}: too few to be certain."
    few = "only " if inliers < LIKELY_INLIERS else ""
    return f"Checked, but {few}{points} in arrangement; {chance}."
