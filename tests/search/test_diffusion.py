"""Diffusion against a dense solution of its equation."""

from __future__ import annotations

import numpy as np
import pytest
from made_descriptors import clusters, unit

from resight.errors import InvalidInput
from resight.search import Diffusion, ExactIndex, OfflineDiffusion
from resight.search.diffusion import default_neighbours, default_query_neighbours, neighbour_graph

DIM = 16
EXACT = {"iterations": 500, "tolerance": 1e-12}


def dense_graph(database, k, gamma):
    """The normalised affinities, by the definition."""
    n = len(database)
    scores = (database.astype(np.float64) @ database.astype(np.float64).T).astype(np.float32)
    near = []
    for i in range(n):
        others = sorted((j for j in range(n) if j != i), key=lambda j: (-scores[i, j], j))
        near.append(set(others[:k]))
    weights = np.zeros((n, n))
    for i in range(n):
        for j in near[i]:
            if i in near[j]:
                weights[i, j] = max(float(scores[i, j]), 0.0) ** gamma
    degrees = weights.sum(axis=1)
    for i in range(n):
        for j in range(n):
            if weights[i, j] > 0:
                weights[i, j] /= np.sqrt(degrees[i] * degrees[j])
    return weights


def dense_scores(database, query, *, k=50, gamma=3.0, alpha=0.99, kq=10):
    scores = (database.astype(np.float64) @ query.astype(np.float64)).astype(np.float32).astype(np.float64)
    seeds = np.zeros(len(database))
    nearest = sorted(range(len(database)), key=lambda i: (-scores[i], i))[:kq]
    seeds[nearest] = np.maximum(scores[nearest], 0) ** gamma
    system = np.eye(len(database)) - alpha * dense_graph(database, k, gamma)
    return np.linalg.solve(system, seeds), seeds


@pytest.fixture(scope="module")
def database():
    return clusters(8, 20, DIM)


@pytest.fixture(scope="module")
def queries():
    return clusters(8, 1, DIM, spread=0.8)


def test_the_graph_is_that_of_the_definition(database):
    diffusion = Diffusion.build(database, neighbours=7)
    dense = diffusion.graph.toarray()
    np.testing.assert_allclose(dense, dense_graph(database, 7, 3.0), atol=1e-6)
    np.testing.assert_array_equal(dense, dense.T)
    assert np.diff(diffusion.graph.indptr).max() <= 7
    assert np.linalg.eigvalsh(dense).max() <= 1 + 1e-12


@pytest.mark.parametrize("neighbours", [3, 7, 50])
def test_diffuse_solves_the_equation(database, queries, neighbours):
    diffusion = Diffusion.build(database, neighbours=neighbours)
    solved = [dense_scores(database, query, k=neighbours) for query in queries]
    seeds = np.stack([seeds for _, seeds in solved])
    found = diffusion.diffuse(seeds, **EXACT)
    np.testing.assert_allclose(found, np.stack([scores for scores, _ in solved]), atol=1e-5)


def test_rank_orders_by_the_solution(database, queries):
    n = len(database)
    found = Diffusion.build(database, neighbours=7).rank(queries, n, query_neighbours=10, **EXACT)
    for row, query in enumerate(queries):
        expected, seeds = dense_scores(database, query, k=7)
        reached = expected > 1e-9
        assert 0 < reached.sum() < n
        ids, scores = found.ids[row], found.scores[row]
        assert set(ids[: reached.sum()]) == set(np.flatnonzero(reached))
        values = 0.01 * expected / np.linalg.norm(seeds)
        np.testing.assert_allclose(scores[: reached.sum()], values[ids[: reached.sum()]], atol=1e-6)
        assert (scores[: reached.sum()] <= 1).all()
        # What diffusion does not reach follows in the order of plain search.
        plain = database.astype(np.float64) @ query
        rest = ids[reached.sum() :]
        assert (np.diff(plain[rest]) <= 1e-6).all()
        np.testing.assert_allclose(scores[reached.sum() :], (plain[rest] - 1) / 2, atol=1e-6)


def test_twenty_steps_order_the_best_as_the_solution_does(database, queries):
    diffusion = Diffusion.build(database, neighbours=7)
    ten = diffusion.rank(queries, 10)
    exact = diffusion.rank(queries, 10, **EXACT)
    same = [len(set(a) & set(b)) for a, b in zip(ten.ids, exact.ids, strict=True)]
    assert np.mean(same) >= 9


def test_k_and_blocks_of_queries_change_nothing(database, queries, monkeypatch):
    diffusion = Diffusion.build(database, neighbours=7)
    everything = diffusion.rank(queries, len(database))
    monkeypatch.setattr("resight.search.diffusion.CELLS", 1)
    monkeypatch.setattr("resight.search.diffusion.BLOCK", 9)
    few = Diffusion.build(database, neighbours=7).rank(queries, 5)
    np.testing.assert_array_equal(few.ids, everything.ids[:, :5])
    np.testing.assert_array_equal(few.scores, everything.scores[:, :5])


def test_more_answers_than_photos_are_padded(database, queries):
    found = Diffusion.build(database).rank(queries, len(database) + 3)
    assert (found.ids[:, -3:] == -1).all()
    assert np.isneginf(found.scores[:, -3:]).all()


def test_the_ids_are_those_of_the_index(database, queries):
    ids = np.random.default_rng(1).permutation(len(database)) * 3 + 5
    index = ExactIndex(DIM, fingerprint="a")
    index.add(ids, database)
    own = Diffusion.of_index(index, neighbours=7).rank(queries, 12)
    rows = Diffusion.build(database, neighbours=7).rank(queries, 12)
    np.testing.assert_array_equal(own.ids, ids[rows.ids])
    np.testing.assert_array_equal(own.scores, rows.scores)


def test_few_points_and_none(queries):
    three = unit(np.eye(3, DIM) + 0.3)
    found = Diffusion.build(three, neighbours=50).rank(queries, 4)
    assert sorted(found.ids[0].tolist()) == [-1, 0, 1, 2]
    for count in (0, 1):
        few = Diffusion.build(three[:count]).rank(queries, 2)
        assert (few.ids[:, count:] == -1).all()
        assert (few.ids[:, :count] == 0).all()


def test_a_point_alone_keeps_its_own_score(database):
    # Opposite to all others in a dimension of its own: no neighbour of positive similarity.
    alone = np.zeros((1, DIM + 1), np.float32)
    alone[0, DIM] = 1
    rows = np.vstack([np.pad(database, ((0, 0), (0, 1))), alone])
    diffusion = Diffusion.build(rows, neighbours=7)
    n = len(rows)
    assert diffusion.graph.indptr[n] == diffusion.graph.indptr[n - 1]
    seeds = np.zeros((1, n))
    seeds[0, n - 1] = 0.5
    np.testing.assert_array_equal(diffusion.diffuse(seeds), seeds)
    assert diffusion.rank(alone, 1).ids.tolist() == [[n - 1]]


def test_copies_are_found_together(database, queries):
    copied = np.vstack([database, np.repeat(database[:1], 60, axis=0)])
    found = Diffusion.build(copied, neighbours=10).rank(database[:1], 61)
    assert set(found.ids[0, :10].tolist()) <= {0, *range(len(database), len(copied))}
    assert np.isfinite(found.scores).all()
    alike = Diffusion.build(np.repeat(database[:1], 30, axis=0), neighbours=5).rank(database[:1], 30)
    assert sorted(alike.ids[0].tolist()) == list(range(30))


def test_a_query_like_nothing_gets_the_plain_ranking(database):
    apart = np.zeros((1, DIM), np.float32)
    apart[0] = -unit(database.sum(axis=0))
    index = ExactIndex(DIM, fingerprint="a")
    near = database[(database @ apart[0]) < 0]
    index.add(np.arange(len(near)), near)
    found = Diffusion.of_index(index, neighbours=5).rank(apart, 9)
    np.testing.assert_array_equal(found.ids, index.search(apart, 9).ids)


def test_diffusion_finds_what_lies_along_a_path_before_what_is_nearer():
    # A quarter of a circle, photo by photo; and a photo of something else at 40 degrees to the query.
    angles = np.deg2rad(np.arange(0, 91, 5))
    path = np.stack([np.cos(angles), np.sin(angles), np.zeros(len(angles))], axis=1)
    other = [[np.cos(np.deg2rad(40)), 0, np.sin(np.deg2rad(40))]]
    rows = unit(np.vstack([path, other]))
    found = Diffusion.build(rows, neighbours=3).rank(rows[:1], len(rows), query_neighbours=2)
    place = found.ids[0].tolist().index
    assert rows[0] @ rows[-1] > rows[0] @ rows[12]
    assert place(12) < place(len(rows) - 1)


@pytest.mark.parametrize("count", [160, 5])
def test_offline_without_truncation_equals_online(database, queries, count):
    online = Diffusion.build(database[:count], neighbours=7).rank(queries, count, **EXACT)
    offline = OfflineDiffusion.build(database[:count], neighbours=7, truncation=1000, **EXACT)
    found = offline.rank(queries, count)
    # Where scores are equal to rounding, the order is that of the rounding.
    for row in range(len(queries)):
        by_id = dict(zip(online.ids[row].tolist(), online.scores[row].tolist(), strict=True))
        np.testing.assert_allclose(
            [by_id[one] for one in found.ids[row].tolist()], found.scores[row], atol=1e-5
        )


def test_offline_truncated_solves_each_neighbourhood(database):
    size = 15
    offline = OfflineDiffusion.build(database, neighbours=7, truncation=size, **EXACT)
    graph = dense_graph(database, 7, 3.0)
    scores = database.astype(np.float64) @ database.astype(np.float64).T
    for point in (0, 17, 159):
        near = sorted(range(len(database)), key=lambda i: (-scores[point, i], i))[:size]
        system = np.eye(size) - 0.99 * graph[np.ix_(near, near)]
        expected = np.zeros(len(database))
        expected[near] = np.linalg.solve(system, np.eye(size)[near.index(point)])
        np.testing.assert_allclose(offline.solved[[point]].toarray()[0], expected, atol=1e-4)
    assert np.diff(offline.solved.indptr).max() <= size


def test_a_crowded_point_stays_in_its_own_neighbourhood(database):
    copies = np.repeat(database[:1], 12, axis=0)
    offline = OfflineDiffusion.build(copies, truncation=3, neighbours=4)
    for point in range(12):
        assert offline.solved[point, point] > 0


def test_what_cannot_be_right_is_refused(database, queries):
    with pytest.raises(InvalidInput, match="alpha of diffusion"):
        Diffusion.build(database, alpha=1.0)
    with pytest.raises(InvalidInput, match="1 or more neighbours and a positive gamma"):
        Diffusion.build(database, neighbours=0)
    with pytest.raises(InvalidInput, match=r"shape \(n, dim\)"):
        Diffusion.build(database[0])
    with pytest.raises(InvalidInput, match="NaN"):
        Diffusion.build(np.full_like(database, np.nan))
    diffusion = Diffusion.build(database)
    with pytest.raises(InvalidInput, match="neighbours of the query"):
        diffusion.rank(queries, 1, query_neighbours=0)
    with pytest.raises(InvalidInput, match="k must be"):
        diffusion.rank(queries, 0)
    with pytest.raises(InvalidInput, match="queries must be"):
        diffusion.rank(queries[:, :3], 1)
    with pytest.raises(InvalidInput, match="iterations and tolerance"):
        diffusion.rank(queries, 1, iterations=0)
    with pytest.raises(InvalidInput, match="truncation"):
        OfflineDiffusion.build(database, truncation=0)
    with pytest.raises(InvalidInput, match="gamma"):
        neighbour_graph(diffusion.index, neighbours=1, gamma=0)


def test_a_small_database_takes_fewer_neighbours_by_default():
    assert [default_neighbours(size) for size in (1, 90, 200, 995, 4993)] == [5, 5, 10, 49, 50]
    assert [default_query_neighbours(size) for size in (1, 90, 200, 4993)] == [5, 5, 10, 10]
    points = unit(np.random.default_rng(4).normal(size=(90, 8)))
    default, five = Diffusion.build(points), Diffusion.build(points, neighbours=5)
    np.testing.assert_array_equal(default.graph.toarray(), five.graph.toarray())
    ranking = default.rank(points[:3] + 0.1, 90)
    np.testing.assert_array_equal(ranking.ids, five.rank(points[:3] + 0.1, 90, query_neighbours=5).ids)
