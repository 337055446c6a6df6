"""Ranks counted block by block, beside a literal sort."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.search import Ranking
from resight.search.exact import (
    ExactIndex,
    rank_marked,
    rank_positives,
    rank_scores,
    ranks_of,
    top_k,
)
from resight.search.exact import ranks as module


def literal(queries, database):
    """Returns for each query the database by score and index, by Python's own sort."""
    rows = []
    for query in queries:
        scores = [round(float(query @ row) * 2**30) for row in database]
        rows.append(sorted(range(len(database)), key=lambda index: (-scores[index], index)))
    return rows


def unit(rows):
    wide = rows.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-30)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_ranks_are_those_of_a_sort(dtype, block, monkeypatch):
    generator = np.random.default_rng(1)
    dim = 6
    monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * dim * block)
    database = generator.normal(size=(60, dim)).astype(dtype)
    # Duplicates within a part and across parts: ties go to the smaller index.
    database[20:25], database[50:] = database[3], database[3]
    queries = np.concatenate([generator.normal(size=(3, dim)), database[3:4]]).astype(np.float32)
    marked = [np.sort(generator.choice(60, 30, replace=False)) for _ in queries]
    marked[3] = np.array([3, 20, 24, 50, 59])
    found = rank_marked(queries, [database[:41], database[41:]], marked, first=9)
    expected = literal(unit(queries), unit(database))
    for query, order in enumerate(expected):
        assert found.places[query].tolist() == [order.index(index) for index in marked[query]]
        assert found.first.row(query)[0].tolist() == order[:9]
    assert found.places[3].tolist() == [0, 1, 5, 6, 15]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_is_read_as_the_array_it_holds(order, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * 5 * 7)
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(50, 5)).astype(np.float16)
    np.save(tmp_path / "rows.npy", np.asarray(rows, order=order))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    queries = generator.normal(size=(4, 5)).astype(np.float32)
    marked = [np.arange(0, 60, 3)] * 4
    found = rank_marked(queries, [rows[:10], mapped], marked, first=60)
    expected = rank_marked(queries, [np.concatenate([rows[:10], rows])], marked, first=60)
    np.testing.assert_array_equal(found.first.ids, expected.first.ids)
    np.testing.assert_array_equal(found.places, expected.places)
    part = rank_marked(queries, [mapped[20:]], [np.arange(30)] * 4, first=1)
    np.testing.assert_array_equal(
        part.places, rank_marked(queries, [rows[20:]], [np.arange(30)] * 4, first=1).places
    )


def test_a_row_of_zeros_scores_zero():
    database = np.array([[0, 0], [-1, 0], [1, 0]], dtype=np.float32)
    found = rank_marked(np.array([[1, 0]], dtype=np.float32), [database], [np.arange(3)], first=3)
    assert found.places[0].tolist() == [1, 2, 0]
    assert found.first.scores[0].tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("database", "words"),
    [
        (np.ones((2, 3), np.float32), "queries have 2 dimensions"),
        (np.array([[1, 1], [np.nan, 0]], np.float16), r"database image number 1 \(from 0\) holds NaN"),
    ],
)
def test_what_cannot_be_compared_is_refused(database, words):
    with pytest.raises(InvalidInput, match=words):
        rank_marked(np.ones((1, 2), np.float32), [database], [np.array([], dtype=np.int64)], first=1)


def test_progress_reaches_its_end():
    seen = []
    rank_marked(
        np.ones((1, 2), np.float32),
        [np.ones((5, 2), np.float32), np.ones((4, 2), np.float16)],
        [np.array([8])],
        first=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (9, 9)


def test_ranks_are_whole_numbers():
    rows = np.eye(3)
    for found in (
        rank_marked(rows, [rows], [np.arange(2)] * 3, first=2),
        rank_scores(rows, [np.arange(2)] * 3, first=2),
    ):
        assert {places.dtype for places in found.places} == {np.dtype(np.int64)}


def test_scores_of_others_are_ranked_with_ties_by_index():
    scores = np.array([[0.5, 0.7, 0.7, 0.1]], dtype=np.float16)
    found = rank_scores(scores, [np.arange(4)], first=2)
    assert found.places[0].tolist() == [2, 0, 1, 3]
    assert found.first.ids.tolist() == [[1, 2]]
    with pytest.raises(InvalidInput, match="similarity is NaN"):
        rank_scores(np.array([[np.nan]]), [np.arange(1)], first=1)


def test_what_a_truncated_ranking_lacks_has_no_rank():
    ranking = Ranking(np.array([[4, 2, -1]]), np.array([[0.5, 0.25, -np.inf]], dtype=np.float32))
    assert ranks_of(ranking, [np.array([1, 2, 4, 9])]).places[0].tolist() == [-1, 1, 0, -1]
    nothing = Ranking(np.empty((1, 0), np.int64), np.empty((1, 0), np.float32))
    assert ranks_of(nothing, [np.array([1])]).places[0].tolist() == [-1]


@pytest.mark.parametrize("queries", [3, 40])
def test_the_index_and_the_measures_rank_alike(queries):
    """One rule: an index of unit rows that halves hold exactly gives the ranking that measures count with."""
    generator = np.random.default_rng(4)
    signs = generator.choice([-0.5, 0.5], size=(300, 4)).astype(np.float32)
    rows = np.concatenate([signs, np.eye(4, dtype=np.float32)])
    wanted = unit(generator.normal(size=(queries, 4))).astype(np.float32)
    index = ExactIndex(4, fingerprint="made")
    index.add(np.arange(len(rows)), rows)
    everything = [np.arange(len(rows))] * queries
    ranks = rank_marked(wanted, [rows], everything, first=50)
    ranking = index.search(wanted, 50)
    np.testing.assert_array_equal(ranks.first.ids, ranking.ids)
    np.testing.assert_allclose(ranks.first.scores, ranking.scores, atol=1e-7)
    whole = index.search(wanted, len(rows))
    np.testing.assert_array_equal(ranks_of(whole, everything).places, ranks.places)


def test_ranks_of_positives_are_those_of_every_rank():
    generator = np.random.default_rng(5)
    labels = np.repeat(np.arange(30), 4)
    rows = unit(generator.normal(size=(120, 6))).astype(np.float32)
    rows[50:60] = rows[3]
    positives = [np.flatnonzero(labels == label) for label in labels]
    ranks = rank_marked(rows, [rows], positives, first=1)
    for part in rank_positives(rows, labels, None, None, depth=1000):
        for place, query in enumerate(part.queries.tolist()):
            others = positives[query] != query
            own = ranks.places[query][~others][0]
            expected = ranks.places[query][others]
            # The query is no answer to itself: what stands behind it moves up.
            expected = np.sort(expected - (expected > own)) + 1
            exact = expected[:1].tolist() + [rank for rank in expected[1:].tolist() if rank <= len(expected)]
            measured = part.ranks[part.starts[place] : part.starts[place + 1]].tolist()
            assert measured[: len(exact)] == exact


def test_the_first_are_the_best_and_ties_go_to_the_smaller_id():
    scores = np.array([0.5, 0.7, 0.7, -0.1, 0.7])
    ids = np.array([9, 8, 3, 1, 5])
    assert top_k(scores, ids, 2).tolist() == [2, 4]
    assert top_k(scores, ids, 4).tolist() == [2, 4, 1, 0]
    assert top_k(scores, ids, 9).tolist() == [2, 4, 1, 0, 3]
    assert top_k(scores, ids, 0).tolist() == []
    assert top_k(scores[:0], ids[:0], 3).tolist() == []
