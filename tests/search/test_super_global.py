"""SuperGlobal's re-ranking against its literal definition."""

from __future__ import annotations

import numpy as np
import pytest
from made_descriptors import clusters, unit

from resight.errors import InvalidInput
from resight.search import ExactIndex, Ranking, rerank_super_global


def literal(query, candidates, neighbours, weight, expansion):
    points = candidates.astype(np.float64)
    m, dim = points.shape
    refined = np.zeros((m, dim))
    for i in range(m):
        similarity = [float(points[i] @ points[j]) for j in range(m)]
        others = sorted((j for j in range(m) if j != i), key=lambda j: (-similarity[j], j))[:neighbours]
        total, weights = points[i].copy(), 1.0
        for j in others:
            total += weight * similarity[j] * points[j]
            weights += weight * similarity[j]
        refined[i] = total / weights
    first = [float(query @ refined[i]) for i in range(m)]
    best = sorted(range(m), key=lambda i: (-first[i], i))[:expansion]
    expanded = [max(refined[i, d] for i in best) for d in range(dim)]
    return np.array([(first[i] + float(np.dot(expanded, refined[i]))) / 2 for i in range(m)])


@pytest.mark.parametrize(
    ("neighbours", "weight", "expansion", "top"),
    [(9, 0.15, 10, 40), (3, 0.3, 1, 25), (0, 0.15, 4, 12), (200, 0.15, 200, 12)],
)
def test_it_equals_the_literal_loops(neighbours, weight, expansion, top):
    database, queries = clusters(6, 10, 12, seed=5), clusters(6, 1, 12, seed=5, spread=0.6)
    index = ExactIndex(12, fingerprint="a")
    index.add(np.arange(len(database)), database)
    ranking = index.search(queries, top)
    found = rerank_super_global(
        ranking,
        queries,
        index.descriptors,
        top=top,
        neighbours=neighbours,
        weight=weight,
        expansion=expansion,
    )
    for row, query in enumerate(queries):
        expected = literal(
            query.astype(np.float64), database[ranking.ids[row]], neighbours, weight, expansion
        )
        by_id = dict(zip(ranking.ids[row].tolist(), expected, strict=True))
        np.testing.assert_allclose(
            [by_id[one] for one in found.ids[row].tolist()], found.scores[row], atol=1e-5
        )
    assert (found.ids != ranking.ids).any()


def test_refined_answers_are_not_of_unit_length_and_the_query_is_not_in_the_maximum():
    # Two answers at right angles, no neighbours of weight: the expanded query is their maximum (1, 1).
    answers = unit([[1, 0, 0], [0, 1, 0]])
    query = unit([[0.6, 0, 0.8]])
    ranking = Ranking(np.array([[0, 1]]), (query @ answers.T).astype(np.float32))
    found = rerank_super_global(ranking, query, lambda ids: answers[ids], neighbours=0)
    np.testing.assert_allclose(found.scores, [[(0.6 + 1) / 2, (0 + 1) / 2]], atol=1e-3)
    # Similarity 0.6: (a + 0.15 * 0.6 * b) / 1.09 for both.
    answers = unit([[1, 0, 0], [0.6, 0.8, 0]])
    query = unit([[1, 0, 0]])
    ranking = Ranking(np.array([[0, 1]]), (query @ answers.T).astype(np.float32))
    a, b = np.array([1.054, 0.072, 0]) / 1.09, np.array([0.69, 0.8, 0]) / 1.09
    largest = np.maximum(a, b)
    found = rerank_super_global(ranking, query, lambda ids: answers[ids])
    np.testing.assert_allclose(
        found.scores, [[(a[0] + largest @ a) / 2, (b[0] + largest @ b) / 2]], atol=1e-3
    )


def test_opposite_answers_whose_weights_cancel_stay_finite():
    answers = unit([[1, 0], [-1, 0]])
    ranking = Ranking(np.array([[0, 1]]), np.float32([[1, -1]]))
    found = rerank_super_global(ranking, answers[:1], lambda ids: answers[ids], neighbours=1, weight=1.0)
    # Each answer less the other, undivided: (2, 0) and (-2, 0), whose maximum is (2, 0).
    np.testing.assert_allclose(found.scores, [[(2 + 4) / 2, (-2 - 4) / 2]])


@pytest.mark.parametrize("wrong", [{"neighbours": -1}, {"expansion": 0}, {"weight": -0.1}])
def test_what_cannot_be_right_is_refused(wrong):
    query = clusters(1, 1, 12)
    ranking = Ranking(np.array([[0]]), np.ones((1, 1), np.float32))
    with pytest.raises(InvalidInput, match="SuperGlobal needs"):
        rerank_super_global(ranking, query, lambda ids: query[ids], **wrong)
