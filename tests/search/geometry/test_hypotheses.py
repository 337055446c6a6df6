import itertools

import numpy as np

from resight.search.geometry.hypotheses import (
    draw_distinct,
    from_features,
    from_pairs,
    from_triples,
    near,
    pairs_of,
    support,
)


def moved(transform, points):
    return points @ transform[:, :2].T + transform[:, 2]


def points(seed, n):
    rng = np.random.default_rng(seed)
    return (rng.random((n, 2)) * 600).astype(np.float32)


def test_each_kind_of_sample_gives_back_the_transform():
    angle, scale = 0.7, 1.6
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    similarity = np.c_[turn, [30, -20]]
    source = points(0, 12)
    target = moved(similarity, source).astype(np.float32)
    sizes, turns = np.full(12, scale, np.float32), np.full(12, angle, np.float32)
    found = from_features(source, target, sizes, turns)
    assert found.shape == (12, 2, 3)
    np.testing.assert_allclose(found, np.repeat(similarity[None], 12, 0), atol=1e-3)
    pairs = pairs_of(12)
    assert len(pairs) == 66
    np.testing.assert_allclose(
        from_pairs(source, target, pairs, 1 / 8, 8.0), np.repeat(similarity[None], 66, 0), atol=0.05
    )
    assert len(from_pairs(source, target, pairs, 2 / 3, 1.5)) == 0
    affine = np.array([[1.2, 0.3, 20], [-0.2, 0.8, 90]])
    target = moved(affine, source).astype(np.float32)
    triples = draw_distinct(np.random.default_rng(0), 50, 3, 12)
    found = from_triples(source, target, triples)
    assert len(found) == 50
    assert np.median(np.abs(found - affine).max(axis=(1, 2))) < 1e-3


def test_support_equals_a_literal_count():
    source, target = points(1, 40), points(2, 40)
    target[:15] = source[:15] + 5
    pairs = np.array(list(itertools.combinations(range(20), 2)))
    transforms = from_pairs(source, target, pairs, 1 / 8, 8.0)
    counts = support(transforms, source, target, 20.0)
    for transform, count in zip(transforms[::7], counts[::7], strict=True):
        away = np.linalg.norm(moved(transform.astype(np.float64), source) - target, axis=1)
        assert count == (away <= 20).sum()
        np.testing.assert_array_equal(near(transform, source, target, 20.0), away <= 20)
    assert counts.max() >= 15


def test_points_on_a_line_and_equal_points_suggest_nothing():
    line = np.array([[0, 0], [1, 1], [2, 2], [3, 3]], np.float32)
    assert len(from_triples(line, line, np.array([[0, 1, 2], [1, 2, 3]]))) == 0
    same = np.zeros((4, 2), np.float32)
    assert len(from_pairs(same, line, pairs_of(4), 1 / 8, 8.0)) == 0


def test_drawn_numbers_are_distinct_and_every_row_is_equally_likely():
    drawn = draw_distinct(np.random.default_rng(0), 24000, 3, 4)
    assert drawn.min() == 0
    assert drawn.max() == 3
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(rows) == 24
    assert all(len(set(row)) == 3 for row in rows.tolist())
    assert counts.min() > 850
    assert counts.max() < 1150
    assert (pairs_of(400)[:, 0] != pairs_of(400)[:, 1]).all()
    assert pairs_of(400).max() == 399
