"""What every re-ranker by descriptors promises."""

from __future__ import annotations

import inspect
from functools import partial

import numpy as np
import pytest
from made_descriptors import clusters

from resight.errors import InvalidInput
from resight.search import (
    ExactIndex,
    Ranking,
    rerank_diffusion,
    rerank_expanded,
    rerank_reciprocal,
    rerank_super_global,
)
from resight.search.rescoring import rescore_heads

RERANKERS = {
    "alpha-qe": partial(rerank_expanded, n=5),
    "average-qe": partial(rerank_expanded, n=5, alpha=0.0),
    "reciprocal": rerank_reciprocal,
    "superglobal": rerank_super_global,
    "diffusion": partial(rerank_diffusion, neighbours=6, query_neighbours=3),
}
DEFAULTS = {
    rerank_diffusion: {"top": 1000, "gamma": 3.0, "alpha": 0.99},
    rerank_expanded: {"top": 1000, "n": 10, "alpha": 3.0},
    rerank_reciprocal: {"top": 100, "k1": 20, "k2": 6, "weight": 0.3},
    rerank_super_global: {"top": 400, "neighbours": 9, "weight": 0.15, "expansion": 10},
}


@pytest.mark.parametrize("function", DEFAULTS)
def test_defaults_are_those_of_the_papers(function):
    parameters = inspect.signature(function).parameters
    assert {name: parameters[name].default for name in DEFAULTS[function]} == DEFAULTS[function]


@pytest.fixture(params=RERANKERS)
def rerank(request):
    return RERANKERS[request.param]


@pytest.fixture(scope="module")
def queries():
    return clusters(5, 1, 12, seed=6, spread=0.8)


@pytest.fixture(scope="module")
def index():
    rows = clusters(5, 12, 12, seed=6)
    made = ExactIndex(12, fingerprint="a")
    made.add(np.random.default_rng(0).permutation(len(rows)) + 100, rows)
    return made


@pytest.mark.parametrize("top", [1, 2, 17, 60, 1000])
@pytest.mark.parametrize("k", [20, 70])
def test_the_head_is_permuted_and_the_rest_untouched(rerank, index, queries, top, k):
    ranking = index.search(queries, k)
    ids, scores, asked = ranking.ids.copy(), ranking.scores.copy(), queries.copy()
    found = rerank(ranking, queries, index.descriptors, top=top)
    np.testing.assert_array_equal(np.sort(found.ids[:, :top]), np.sort(ids[:, :top]))
    np.testing.assert_array_equal(found.ids[:, top:], ids[:, top:])
    np.testing.assert_array_equal(found.scores[:, top:], scores[:, top:])
    # The value object refuses what is unsorted; said here all the same, for the border as well.
    assert not (found.scores[:, 1:] > found.scores[:, :-1]).any()
    np.testing.assert_array_equal(ranking.ids, ids)
    np.testing.assert_array_equal(ranking.scores, scores)
    np.testing.assert_array_equal(queries, asked)


def test_each_changes_an_order(rerank, index, queries):
    ranking = index.search(queries, 40)
    found = rerank(ranking, queries, index.descriptors, top=40)
    assert (found.ids != ranking.ids).any()


def test_expansion_takes_the_first_n_of_the_list(index, queries):
    ranking = index.search(queries, 30)
    found = rerank_expanded(ranking, queries, index.descriptors, n=5, alpha=3.0)
    for row, query in enumerate(queries):
        rows = index.descriptors(ranking.ids[row]).astype(np.float64)
        total = query.astype(np.float64)
        for neighbour in rows[:5]:
            total = total + max(float(neighbour @ query), 0.0) ** 3 * neighbour
        scores = dict(zip(ranking.ids[row].tolist(), rows @ total / np.linalg.norm(total), strict=True))
        np.testing.assert_allclose(
            [scores[one] for one in found.ids[row].tolist()], found.scores[row], atol=1e-6
        )
    with pytest.raises(InvalidInput, match="0 or more neighbours"):
        rerank_expanded(ranking, queries, index.descriptors, n=-1)


def test_queries_do_not_influence_each_other(rerank, index, queries):
    ranking = index.search(queries, 30)
    together = rerank(ranking, queries, index.descriptors)
    for row in range(len(queries)):
        alone = rerank(
            Ranking(ranking.ids[row : row + 1].copy(), ranking.scores[row : row + 1].copy()),
            queries[row : row + 1],
            index.descriptors,
        )
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])


def test_no_top_no_answers_and_no_queries(rerank, index, queries):
    ranking = index.search(queries, 8)
    same = rerank(ranking, queries, index.descriptors, top=0)
    np.testing.assert_array_equal(same.ids, ranking.ids)
    nothing = Ranking(np.full((1, 3), -1), np.full((1, 3), -np.inf, np.float32))
    np.testing.assert_array_equal(rerank(nothing, queries[:1], index.descriptors).ids, nothing.ids)
    none = Ranking(np.empty((0, 3), np.int64), np.empty((0, 3), np.float32))
    assert len(rerank(none, queries[:0], index.descriptors)) == 0


def test_one_answer_stays(rerank, index, queries):
    ranking = index.search(queries, 1)
    np.testing.assert_array_equal(rerank(ranking, queries, index.descriptors).ids, ranking.ids)


def test_scores_of_another_scale_stay_above_the_rest(rerank, index, queries):
    plain = index.search(queries, 30)
    ranking = Ranking(plain.ids.copy(), plain.scores * np.float32(1000))
    found = rerank(ranking, queries, index.descriptors, top=10)
    np.testing.assert_array_equal(found.scores[:, 10:], ranking.scores[:, 10:])
    assert (found.scores[:, 9] >= found.scores[:, 10]).all()


def test_new_scores_that_reach_the_rest_are_not_lifted_and_others_by_one_constant():
    ranking = Ranking(np.arange(4)[None], np.float32([[0.9, 0.8, 0.5, 0.1]]))
    for new, expected in (
        ([0.6, 0.7], [0.7, 0.6, 0.5, 0.1]),
        ([0.5, 0.7], [0.7, 0.5, 0.5, 0.1]),
        ([0.2, 0.4], [0.7, 0.5, 0.5, 0.1]),
    ):
        found = rescore_heads(
            ranking,
            np.ones((1, 2), np.float32),
            lambda ids: np.ones((len(ids), 2), np.float32),
            lambda query, rows, new=new: np.array(new),
            top=2,
        )
        assert found.ids.tolist() == [[1, 0, 2, 3]]
        np.testing.assert_allclose(found.scores, [expected], rtol=1e-6)


def test_what_cannot_be_right_is_refused(rerank, index, queries):
    ranking = index.search(queries, 8)
    with pytest.raises(InvalidInput, match="as many descriptors"):
        rerank(ranking, queries[:2], index.descriptors)
    with pytest.raises(InvalidInput, match="top >= 0"):
        rerank(ranking, queries, index.descriptors, top=-1)
    with pytest.raises(InvalidInput, match=r"need descriptors of shape \(8, 12\)"):
        rerank(ranking, queries, lambda ids: index.descriptors(ids)[:, :5])
    with pytest.raises(InvalidInput, match="holds NaN"):
        rerank(ranking, queries, lambda ids: np.full((len(ids), 12), np.nan, np.float32))
    with pytest.raises(InvalidInput, match="must be finite"):
        rerank(ranking, np.full_like(queries, np.nan), index.descriptors)
