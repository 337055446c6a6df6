"""A collapsed model does not pass for a perfect one: many equal scores are said."""

from __future__ import annotations

import numpy as np
import pytest

from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.evaluation.card import Source
from resight.evaluation.landmark_description import LandmarkDescriptors
from resight.evaluation.landmarks import measure_descriptors, measure_similarities
from resight.evaluation.ties import tie_warning

DATABASE, QUERIES = 40, 20
TRUTH = LandmarkTruth(
    "made",
    tuple(f"d{number}" for number in range(DATABASE)),
    tuple(f"q{number}" for number in range(QUERIES)),
    (None,) * QUERIES,
    (Task("medium", (frozenset({0, 1}),) * QUERIES, (frozenset(),) * QUERIES),),
    "trapezoidal",
    "The queries are not in the database.",
)
SOURCE = Source("made", "0" * 64, 8, 64, (1.0,), "whole", "none", "made")


def ties(result):
    (text,) = (fact.text for fact in result.card.facts if fact.name == "ties")
    return text


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_landmarks_with_equal_scores_carry_a_warning(share):
    """All positives come first in the database, so that a collapsed model is perfect by the list's order."""
    generator = np.random.default_rng(0)
    database, queries = (generator.standard_normal((count, 8)) for count in (DATABASE, QUERIES))
    database[: round(share * DATABASE)] = 1.0
    described = LandmarkDescriptors(database.astype(np.float32), queries.astype(np.float32), (), (), ())
    result = measure_descriptors(TRUTH, described, SOURCE)
    warned = "have equal scores among their first 10 answers" in ties(result)
    assert warned is (share > 0)
    assert ties(result).startswith("equal scores are ordered by the smaller database index")
    if share == 1:
        assert "; warning: 100% of the queries" in ties(result)
        assert {each.value for each in result.measures if each.quantity.kind == "mAP"} == {1.0}


def test_a_matrix_of_equal_scores_carries_a_warning():
    assert "warning: 100% of the queries" in ties(
        measure_similarities(TRUTH, np.ones((QUERIES, DATABASE)), SOURCE)
    )
    distinct = np.random.default_rng(0).random((QUERIES, DATABASE))
    assert "warning" not in ties(measure_similarities(TRUTH, distinct, SOURCE))


def test_few_ties_and_missing_answers_are_no_warning():
    distinct = np.arange(12, 0, -1.0)
    scores = np.tile(distinct, (20, 1))
    assert tie_warning(scores) == ""
    scores[0, 3] = scores[0, 4]
    scores[1, 9] = scores[1, 10]
    assert tie_warning(scores) == ""
    scores[:3, 3] = scores[:3, 4]
    assert tie_warning(scores).startswith("warning: 15% of the queries")
    assert tie_warning(np.full((4, 5), -np.inf)) == ""
