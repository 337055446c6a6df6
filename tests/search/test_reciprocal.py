"""k-reciprocal re-ranking against its literal definition."""

from __future__ import annotations

import numpy as np
import pytest
from made_descriptors import clusters

from resight.errors import InvalidInput
from resight.search import ExactIndex, Ranking, rerank_reciprocal


def literal(query, candidates, k1, k2, weight):
    """Final distances of the candidates, loop by loop."""
    points = np.vstack([query, candidates]).astype(np.float64)
    n = len(points)
    first = np.array([[((a - b) ** 2).sum() for b in points] for a in points])
    first = first / first.max(axis=1, keepdims=True)
    order = [sorted(range(n), key=lambda j, i=i: (j != i, first[i, j], j)) for i in range(n)]

    def reciprocal(i, k):
        return [j for j in order[i][: k + 1] if i in order[j][: k + 1]]

    encoded = np.zeros((n, n))
    for i in range(n):
        own = reciprocal(i, k1)
        expanded = set(own)
        for j in own:
            other = reciprocal(j, int(np.around(k1 / 2)))
            if len(set(other) & set(own)) > 2 / 3 * len(other):
                expanded |= set(other)
        for j in expanded:
            encoded[i, j] = np.exp(-first[i, j])
        encoded[i] /= encoded[i].sum()
    if k2 > 1:
        encoded = np.array([sum(encoded[j] for j in order[i][:k2]) / len(order[i][:k2]) for i in range(n)])
    final = []
    for g in range(1, n):
        smaller = sum(min(encoded[0, j], encoded[g, j]) for j in range(n))
        larger = sum(max(encoded[0, j], encoded[g, j]) for j in range(n))
        final.append((1 - weight) * (1 - smaller / larger) + weight * first[0, g])
    return np.array(final)


@pytest.mark.parametrize(
    ("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 1.0), (1, 2, 0.5), (60, 60, 0.3)]
)
def test_it_equals_the_literal_loops(k1, k2, weight):
    database, queries = clusters(6, 10, 12, seed=3), clusters(6, 1, 12, seed=3, spread=0.6)
    index = ExactIndex(12, fingerprint="a")
    index.add(np.arange(len(database)), database)
    ranking = index.search(queries, 40)
    found = rerank_reciprocal(ranking, queries, index.descriptors, top=40, k1=k1, k2=k2, weight=weight)
    for row, query in enumerate(queries):
        expected = literal(query, database[ranking.ids[row]], k1, k2, weight)
        by_id = dict(zip(ranking.ids[row].tolist(), 1 - expected, strict=True))
        np.testing.assert_allclose(
            [by_id[one] for one in found.ids[row].tolist()], found.scores[row], atol=1e-6
        )
        assert (np.diff([by_id[one] for one in found.ids[row].tolist()]) <= 1e-9).all()
    # The first distance alone, or neighbourhoods that hold everything, leave the order as it was.
    assert (found.ids != ranking.ids).any() == (weight < 1 and k1 < 40)


def test_copies_of_the_query_come_first():
    database = clusters(3, 8, 12, seed=4)
    rows = np.vstack([database, np.repeat(database[:1], 4, axis=0)])
    index = ExactIndex(12, fingerprint="a")
    index.add(np.arange(len(rows)), rows)
    found = rerank_reciprocal(
        index.search(database[:1], 20), database[:1], index.descriptors, top=20, k1=6, k2=2
    )
    assert sorted(found.ids[0, :5].tolist()) == [0, 24, 25, 26, 27]


def test_alike_candidates_are_no_division_by_zero():
    same = np.repeat(clusters(1, 1, 12), 3, axis=0)
    ranking = Ranking(np.array([[0, 1, 2]]), np.ones((1, 3), np.float32))
    found = rerank_reciprocal(ranking, same[:1], lambda ids: same[ids])
    assert found.ids.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(found.scores, 1, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"k1": 0}, {"k2": 0}, {"weight": 1.1}, {"weight": float("nan")}])
def test_what_cannot_be_right_is_refused(wrong):
    query = clusters(1, 1, 12)
    ranking = Ranking(np.array([[0]]), np.ones((1, 1), np.float32))
    with pytest.raises(InvalidInput, match="k1 and k2 of at least 1"):
        rerank_reciprocal(ranking, query, lambda ids: query[ids], **wrong)
