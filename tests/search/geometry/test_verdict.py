"""Verdicts by the number of inliers."""

import numpy as np
import pytest

from resight.search import Verification, verdict


def match(inliers: int, expected: float) -> Verification:
    points = np.zeros((inliers, 2), np.float32)
    return Verification(inliers, points, points, None, None, expected)


@pytest.mark.parametrize(
    ("inliers", "kind"),
    [
        (0, "unlikely"),
        (11, "unlikely"),
        (12, "likely"),
        (19, "likely"),
        (20, "confirmed"),
        (400, "confirmed"),
    ],
)
def test_inliers_decide(inliers, kind):
    assert verdict(match(inliers, 0.0)) == kind
    assert verdict(match(inliers, inliers - 0.1)) == kind


@pytest.mark.parametrize("inliers", [0, 12, 20, 400])
def test_no_more_than_chance_gives_is_nothing(inliers):
    assert verdict(match(inliers, float(inliers))) == "unlikely"


def test_without_verification_nothing_is_said():
    assert verdict(None) == "unchecked"
