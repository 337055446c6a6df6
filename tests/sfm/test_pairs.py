"""Pairs, positives and negatives against literal loops, and the tables they are kept in."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_models import reconstruction, ring

from resight.errors import InvalidInput
from resight.sfm import (
    PositiveConfig,
    TupleSet,
    candidate_pairs,
    covisibility,
    hard_negatives,
    linked_pairs,
    read_retrieval_sfm,
    read_tuples,
    select_positives,
    write_retrieval_sfm,
    write_tables,
)


def test_covisibility_is_that_of_a_literal_loop():
    made = reconstruction(ring(5, seed=1), ring(4, seed=2, first=5), alone=1)
    pairs = covisibility(made)
    rows = iter(range(len(pairs)))
    for number, cluster in enumerate(made.clusters):
        sees = [
            set(cluster.observations[cluster.observations[:, 0] == photo, 1]) for photo in range(len(cluster))
        ]
        for a in range(len(cluster)):
            for b in range(len(cluster)):
                common = sorted(sees[a] & sees[b])
                if a == b or not common:
                    continue
                row = next(rows)
                scales, angles = [], []
                for point in cluster.points[common]:
                    rays = [point - cluster.centres[photo] for photo in (a, b)]
                    sizes = [
                        cluster.focal_lengths[photo] / (cluster.rotations[photo] @ ray)[2]
                        for photo, ray in zip((a, b), rays, strict=True)
                    ]
                    scales.append(sizes[1] / sizes[0])
                    cosine = rays[0] @ rays[1] / np.linalg.norm(rays[0]) / np.linalg.norm(rays[1])
                    angles.append(np.degrees(np.arccos(cosine)))
                assert (pairs.query[row], pairs.other[row]) == (cluster.photos[a], cluster.photos[b])
                assert (pairs.cluster[row], pairs.points[row]) == (number, len(common))
                assert pairs.overlap[row] == pytest.approx(len(common) / len(sees[a]))
                assert pairs.angle[row] == pytest.approx(np.median(angles))
                if a < b:
                    assert pairs.scale[row] == pytest.approx(np.median(scales))
    assert next(rows, None) is None


def test_random_positives_are_all_pairs_within_the_limits():
    made = reconstruction(ring(6, points=60, seed=3))
    pairs = covisibility(made)
    config = PositiveConfig(least_points=12, least_overlap=0.45, largest_scale=1.4, largest_angle=50)
    chosen = select_positives(pairs, made, config, copies=np.arange(6))
    expected = [
        row
        for row in range(len(pairs))
        if pairs.points[row] >= 12
        and pairs.overlap[row] >= 0.45
        and max(pairs.scale[row], 1 / pairs.scale[row]) <= 1.4
        and pairs.angle[row] <= 50
    ]
    assert chosen.tolist() == expected
    assert 0 < len(chosen) < len(pairs)


def test_one_positive_a_query_by_points_and_by_descriptor_among_the_nearest_cameras():
    made = reconstruction(ring(6, points=60, seed=4))
    pairs = covisibility(made)
    descriptors = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    for way, quality in (
        ("most_points", lambda row: pairs.points[row]),
        ("nearest", lambda row: descriptors[pairs.query[row]] @ descriptors[pairs.other[row]]),
    ):
        config = PositiveConfig(way=way, cameras=2, least_points=1)
        chosen = select_positives(pairs, made, config, copies=np.arange(6), descriptors=descriptors)
        centres = made.clusters[0].centres
        for query in range(6):
            order = sorted(range(6), key=lambda other: np.linalg.norm(centres[other] - centres[query]))
            near = {order[1], order[2]}
            # On a circle two cameras can stand equally near: both count.
            limit = np.linalg.norm(centres[order[2]] - centres[query]) + 1e-9
            near |= {
                o for o in range(6) if o != query and np.linalg.norm(centres[o] - centres[query]) <= limit
            }
            rows = [r for r in range(len(pairs)) if pairs.query[r] == query and pairs.other[r] in near]
            best = max(rows, key=lambda row: (quality(row), -pairs.other[row]))
            assert best in chosen.tolist()
        assert len(chosen) == 6


def test_copies_are_no_pair_and_descriptors_are_needed():
    made = reconstruction(ring(3, seed=5))
    pairs = covisibility(made)
    config = PositiveConfig(way="most_points", least_points=1)
    chosen = select_positives(pairs, made, config, copies=np.array([7, 7, 8]))
    assert {(int(pairs.query[r]), int(pairs.other[r])) for r in chosen}.isdisjoint({(0, 1), (1, 0)})
    with pytest.raises(InvalidInput, match="need the photos' descriptors"):
        select_positives(pairs, made, replace(config, way="nearest"), copies=np.arange(3))


def test_negatives_are_those_of_the_authors_walk_down_the_ranking():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
    images, clusters = unit(rng.normal(size=(300, 16))).astype(np.float32), rng.integers(0, 40, 300)
    queries = rng.choice(300, 50, replace=False)
    pool = torch.randperm(300, generator=torch.Generator().manual_seed(0)).numpy()[:200]
    got = hard_negatives(images[queries], clusters[queries], images[pool], clusters[pool], 5)
    scores = torch.mm(torch.from_numpy(images[pool]), torch.from_numpy(images[queries]).T)
    _, ranks = torch.sort(scores, dim=0, descending=True)
    for column, query in enumerate(queries):
        taken, rows, rank = [clusters[query]], [], 0
        while len(rows) < 5:
            candidate = int(ranks[rank, column])
            if clusters[pool[candidate]] not in taken:
                rows.append(candidate)
                taken.append(clusters[pool[candidate]])
            rank += 1
        assert got[column].tolist() == rows


def test_a_pool_of_too_few_clusters_is_refused():
    one = np.ones((3, 2), np.float32)
    with pytest.raises(
        InvalidInput,
        match="2 negatives of different clusters are wanted, and the pool of 3 photos shows 1 besides",
    ):
        hard_negatives(one[:1], np.array([0]), one, np.array([0, 1, 1]), 2)


def test_candidates_are_the_nearest_each_pair_once():
    rng = np.random.default_rng(7)
    descriptors = rng.normal(size=(30, 8)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    expected = set()
    for row, scores in enumerate(descriptors.astype(np.float16).astype(np.float64) @ descriptors.T):
        order = [other for other in np.argsort(-scores) if other != row][:4]
        expected |= {(min(row, int(other)), max(row, int(other))) for other in order}
    assert {tuple(pair) for pair in candidate_pairs(descriptors, 4).tolist()} == expected
    assert len(candidate_pairs(descriptors[:2], 40)) == 1


def test_photos_that_match_a_third_are_compared_best_first():
    rng = np.random.default_rng(5)
    pairs = np.unique(np.sort(rng.integers(0, 40, (120, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    verified = np.column_stack([pairs, rng.integers(15, 200, len(pairs))])[rng.random(len(pairs)) < 0.5]
    stranger = np.array([[0, 39, 500]])
    matches = np.zeros((40, 40), int)
    for a, b, count in verified.tolist():
        matches[a, b] = matches[b, a] = count
    known = set(map(tuple, pairs.tolist()))
    assert (0, 39) not in known
    expected = set()
    for a in range(40):
        ways = {b: sum(matches[a, c] * matches[c, b] for c in range(40)) for b in range(40) if b != a}
        new = [b for b in ways if ways[b] and (min(a, b), max(a, b)) not in known]
        expected |= {(min(a, b), max(a, b)) for b in sorted(new, key=lambda b: (-ways[b], b))[:2]}
    assert len(expected) > 20
    got = linked_pairs(np.concatenate([verified, stranger]), pairs, 2)
    assert list(map(tuple, got.tolist())) == sorted(expected)
    assert linked_pairs(verified[:0], pairs, 2).shape == (0, 2)
    assert linked_pairs(verified[:0], pairs[:0], 2).shape == (0, 2)


def test_tables_come_back_and_name_what_is_wrong(tmp_path):
    made = reconstruction(ring(5, seed=1), ring(4, seed=2, first=5), alone=1)
    pairs = covisibility(made)
    chosen = select_positives(pairs, made, PositiveConfig(least_points=1), copies=np.arange(10))
    write_tables(tmp_path, made, pairs, chosen, {"way": "random"})
    back = read_tuples(tmp_path)
    assert back.photos == made.photos
    assert back.clusters.tolist() == made.labels.tolist()
    assert back.queries.tolist() == pairs.query[chosen].tolist()
    assert back.positives.tolist() == pairs.other[chosen].tolist()
    table = pq.read_table(tmp_path / "tuples.parquet")
    assert table.column_names == [
        "query", "positive", "co_observed_points", "overlap", "scale_change", "angle",
        "query_cluster", "positive_cluster",
    ]  # fmt: skip
    photos = pq.read_table(tmp_path / "photos.parquet").to_pylist()
    assert photos[9]["cluster"] is None
    assert photos[6]["x"] == pytest.approx(made.clusters[1].centres[1, 0])
    assert len(pq.read_table(tmp_path / "pairs.parquet")) == len(pairs)
    (tmp_path / "tuples.parquet").write_bytes((tmp_path / "tuples.parquet").read_bytes()[:50])
    with pytest.raises(InvalidInput, match=r"tuples.parquet is no table of resight tuples: "):
        read_tuples(tmp_path)
    (tmp_path / "photos.parquet").unlink()
    with pytest.raises(InvalidInput, match=r"there are no tuples in .*: make them with resight tuples"):
        read_tuples(tmp_path)


def made_set() -> TupleSet:
    photos = tuple(Path(f"/photos/{name}.jpg") for name in "abcd")
    return TupleSet(photos, np.array([0, 0, 1, 1]), np.array([0, 1, 2]), np.array([1, 0, 3]))


def test_the_authors_pickle_goes_out_and_comes_in(tmp_path):
    path = tmp_path / "own.pkl"
    write_retrieval_sfm(path, {"train": made_set(), "val": made_set()})
    content = pickle.loads(path.read_bytes())
    assert content["train"]["pidxs"] == [1, 0, 3]
    assert content["val"]["cids"][0] == "/photos/a.jpg"
    back = read_retrieval_sfm(path, "val")
    assert (back.clusters.tolist(), back.queries.tolist()) == ([0, 0, 1, 1], [0, 1, 2])


def test_the_public_layout_is_read_and_queries_that_are_their_own_positive_are_left_out(tmp_path):
    part = {
        "cids": ["00abcdef12", "00abcdef34"],
        "cluster": [3, 3],
        "qidxs": [0, 1, 1],
        "pidxs": [1, 1, 0],
        "bbxs": None,
    }
    path = tmp_path / "retrieval-SfM-30k.pkl"
    path.write_bytes(pickle.dumps({"train": part, "val": part}, protocol=2))
    back = read_retrieval_sfm(path, root=tmp_path / "images")
    assert back.photos[0] == tmp_path / "images/ims/12/ef/cd/00abcdef12"
    assert (back.queries.tolist(), back.positives.tolist()) == ([0, 1], [1, 0])
    whiten = tmp_path / "whiten.pkl"
    whiten.write_bytes(
        pickle.dumps({"cids": ["aaaaaa", "bbbbbb", "cccccc"], "qidxs": [0], "pidxs": [1]}, protocol=2)
    )
    pairs = read_retrieval_sfm(whiten, "whiten")
    assert pairs.clusters[0] == pairs.clusters[1] != pairs.clusters[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qidxs": [0]}, "has 1 queries and 2 positives"),
        ({"cids": None}, "lacks the list 'cids'"),
        ({"pidxs": [0.5, 1.0]}, "'pidxs' is no list of whole numbers"),
        ({"pidxs": [1, 9]}, "is none of its 2 images"),
    ],
)
def test_another_layout_is_refused_in_a_sentence(tmp_path, change, message):
    part = {"cids": ["aaaaaa", "bbbbbb"], "cluster": [0, 0], "qidxs": [0, 1], "pidxs": [1, 0]} | change
    path = tmp_path / "sfm.pkl"
    path.write_bytes(pickle.dumps({"train": part}, protocol=2))
    with pytest.raises(InvalidInput, match=message):
        read_retrieval_sfm(path)


def test_a_set_whose_numbers_do_not_fit_is_refused():
    good = made_set()
    with pytest.raises(InvalidInput, match="a query is its own positive"):
        replace(good, positives=np.array([0, 0, 3]))
    with pytest.raises(InvalidInput, match="none of the 4 photos"):
        replace(good, queries=np.array([0, 1, 4]))
