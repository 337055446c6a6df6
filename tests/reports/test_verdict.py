"""Sentences about verdicts."""

import numpy as np

from resight.reports.verdict import VERDICT_WORDS, verdict_reason
from resight.search import Verification


def match(inliers: int, expected: float) -> Verification:
    points = np.zeros((inliers, 2), np.float32)
    return Verification(inliers, points, points, None, None, expected)


def test_the_reason_counts_in_good_english():
    assert "only 1 point agrees" in verdict_reason(match(1, 0))
    assert "only 0 points agree in arrangement; chance would give 0." in verdict_reason(match(0, 0.3))
    assert verdict_reason(match(40, 0)).startswith("40 points of the query")
    assert verdict_reason(match(57, 4.2)).endswith("in this photo; chance would give 4.")
    assert (
        verdict_reason(match(15, 6.0)) == "15 points agree where chance would give 6: too few to be certain."
    )
    assert "but 15 points agree in arrangement; chance would give 16." in verdict_reason(match(15, 16.0))


def test_an_answer_that_was_not_verified_is_said_to_be_unchecked_however_similar():
    assert VERDICT_WORDS["unchecked"] == "not checked"
    assert verdict_reason(None) == "The descriptors were compared; the geometry was not checked."
