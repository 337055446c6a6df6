"""What a ranking promises, checked where one is made."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.search import Ranking

INFINITE = -np.inf


@pytest.mark.parametrize(
    ("ids", "scores", "words"),
    [
        ([1, 2], [0.5, 0.4], r"needs ids and scores \(queries, k\), got \(2,\)"),
        ([[1, 2]], [[0.5]], r"got \(1, 2\) and \(1, 1\)"),
        ([[-2]], [[0.5]], "must be non-negative"),
        ([[-1, 2]], [[INFINITE, INFINITE]], "padding only at the end"),
        ([[1, 2]], [[0.5, np.nan]], "must be numbers"),
        ([[1]], [[np.nan]], "must be numbers"),
        ([[1, 2], [3, -1]], [[0.5, 0.4], [np.nan, INFINITE]], "must be numbers"),
        ([[1, 2]], [[np.inf, INFINITE]], "-inf exactly at padding"),
        ([[1, 2]], [[0.5, INFINITE]], "-inf exactly at padding"),
        ([[1, -1]], [[0.5, 0.4]], "-inf exactly at padding"),
        ([[1, 2]], [[0.4, 0.5]], "must not increase"),
        ([[1, 2, 3]], [[0.5, 0.3, 0.4]], "must not increase"),
        ([[1, 2, 1]], [[0.5, 0.4, 0.3]], "repeats an id"),
        ([[1, 2], [3, 3]], [[0.5, 0.4], [0.3, 0.3]], "repeats an id"),
        ([[3, 3, -1, -1]], [[0.3, 0.3, INFINITE, INFINITE]], "repeats an id"),
    ],
)
def test_what_is_no_ranking_is_refused(ids, scores, words):
    with pytest.raises(InvalidInput, match=words):
        Ranking(np.array(ids, dtype=np.int64), np.array(scores, dtype=np.float32))


def test_other_types_are_refused():
    with pytest.raises(InvalidInput, match="int64 ids and float32 scores, not int64 and float64"):
        Ranking(np.array([[1]]), np.array([[0.5]]))


def test_rows_come_without_their_padding_and_cannot_be_changed():
    ranking = Ranking(np.array([[4, 2, -1, -1]]), np.float32([[0.5, 0.5, INFINITE, INFINITE]]))
    ids, scores = ranking.row(0)
    assert (ids.tolist(), scores.tolist()) == ([4, 2], [0.5, 0.5])
    assert (len(ranking), ranking.k) == (1, 4)
    with pytest.raises(ValueError, match="read-only"):
        ranking.ids[0, 0] = 1


def test_a_proved_ranking_cannot_be_changed_either():
    ranking = Ranking.proved(np.array([[4, 2]]), np.float32([[0.5, 0.5]]))
    assert ranking.row(0)[0].tolist() == [4, 2]
    for array in (ranking.ids, ranking.scores):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
