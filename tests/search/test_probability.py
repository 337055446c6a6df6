"""The probability that two photos show the same thing: beside literal formulas and scikit-learn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.search.geometry.evidence import Evidence
from resight.search.geometry.verification import Verification
from resight.search.probability import (
    PairProbability,
    brier_score,
    fit_probability,
    measures,
    reliability,
)

EMPTY = np.empty((0, 2), dtype=np.float32)
WHOLE = Evidence(60, (0.6, 0.7), 0.6, 0.6, 0.8, 0.3, 1.0, 20.0)
PART = Evidence(30, (0.02, 0.03), 0.02, 0.05, 0.8, 0.02, 1.0, 0.0)


def matched(inliers: int, expected: float = 6.0, evidence: Evidence | None = None) -> Verification:
    return Verification(inliers, EMPTY, EMPTY, None, None, expected, evidence)


def test_measures_are_what_the_page_says():
    assert measures(0.5, None).tolist() == [0.5]
    assert measures(0.5, matched(5)).tolist() == [0.5, 0.0, 0.0]
    assert measures(0.5, matched(40, 8.0)).tolist() == [0.5, math.log1p(40 - 1.25 * 8), 0.0]
    odds = min(max(WHOLE.log_odds, -4.0), 4.0) + 4.0
    assert measures(0.5, matched(60, 8.0, WHOLE))[2] == odds
    assert measures(0.5, matched(60, 8.0, replace(WHOLE, shared=0.9)))[2] == 0.0


@pytest.mark.parametrize("weights", [(2.0, -1.0), (0.5, 0.0)])
def test_probabilities_are_logistic(weights):
    learned = PairProbability(weights, (1.0, 2.0, 0.5, -3.0), "pairs", 4, 2, 0.1)
    slope, bias = weights
    assert learned.of(0.3, None) == pytest.approx(1 / (1 + math.exp(-(slope * 0.3 + bias))))
    similarity, beyond, odds = measures(0.3, matched(60, 8.0, WHOLE))
    score = similarity + 2.0 * beyond + 0.5 * odds - 3.0
    assert learned.of(0.3, matched(60, 8.0, WHOLE)) == pytest.approx(1 / (1 + math.exp(-score)))
    # A model without local features has one regression alone.
    assert replace(learned, verified=None).of(0.3, matched(60)) == learned.of(0.3, None)
    assert learned.of(-1e6, None) == pytest.approx(0.0, abs=1)
    assert learned.of(1e6, None) <= 1.0


def test_more_never_speaks_against_the_same_thing():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 3))
    # The second measure speaks against it: it is left out instead.
    same = rng.random(300) < 1 / (1 + np.exp(-(2 * rows[:, 0] - 2 * rows[:, 1])))
    weights = fit_probability(rows, same)
    assert min(weights[:-1]) >= 0
    assert weights[1] == 0


def test_the_fit_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(500, 2)) * [3.0, 0.1] + [5.0, 1.0]
    same = rng.random(500) < 1 / (1 + np.exp(-(rows[:, 0] - 5.0 + 8 * (rows[:, 1] - 1.0))))
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    theirs = linear.LogisticRegression(C=1 / (0.01 * 500)).fit(standard, same)
    ours = fit_probability(rows, same)
    probabilities = 1 / (1 + np.exp(-(rows @ ours[:-1] + ours[-1])))
    assert probabilities == pytest.approx(theirs.predict_proba(standard)[:, 1], abs=1e-3)


def test_pairs_of_one_kind_teach_nothing():
    for same in ([True, True], [False, False]):
        with pytest.raises(InvalidInput, match="pairs of both kinds"):
            fit_probability(np.zeros((2, 1)), np.array(same))
    with pytest.raises(InvalidInput, match="both kinds"):
        fit_probability(np.array([[np.nan], [0.0]]), np.array([True, False]))


def test_brier_score_and_reliability_are_literal():
    probabilities, same = [0.0, 0.2, 0.25, 0.9, 1.0], [False, True, False, True, True]
    literal = sum((p - s) ** 2 for p, s in zip(probabilities, same, strict=True)) / 5
    assert brier_score(probabilities, same) == pytest.approx(literal)
    assert reliability(probabilities, same, bins=5) == [
        (0.0, 0.0, 1),
        (pytest.approx(0.225), 0.5, 2),
        (pytest.approx(0.95), 1.0, 2),
    ]


@pytest.mark.parametrize(
    ("plain", "verified"), [((1.0,), None), ((1.0, np.nan), None), ((1.0, 0.0), (1.0, 0.0))]
)
def test_a_regression_of_another_form_is_refused(plain, verified):
    with pytest.raises(InvalidInput, match="finite weights"):
        PairProbability(plain, verified, "pairs", 2, 1, 0.1)
