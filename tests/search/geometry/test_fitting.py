"""What a camera could see, and the fits to a group of matches, against literal formulas."""

from __future__ import annotations

import numpy as np
import pytest

from resight.features import LocalFeatures
from resight.search import VerificationConfig, verify
from resight.search.geometry.fitting import apply, grow, is_possible, least_squares


def perspective(a, b):
    """The identity at the origin, seen from ever nearer along (a, b)."""
    return np.array([[1, 0, 0], [0, 1, 0], [a, b, 1.0]])


def corners(half=300):
    return np.float32([[-half, -half], [half, -half], [half, half], [-half, half], [0, 0]])


@pytest.mark.parametrize("end", [-1, 1], ids=["upper left", "lower right"])
def test_a_homography_is_judged_at_the_ends_of_its_points_too(end):
    """At the centre it is the identity; at one end it enlarges by 1/w and by 1/w² along the way there."""
    transform, points = perspective(-end / 1000, -end / 1000), corners()
    w = 1 - 600 / 1000
    derivative = np.linalg.svd(np.eye(2) / w + np.outer([300, 300], [1, 1]) / 1000 / w**2, compute_uv=False)
    large, small = derivative
    assert is_possible(transform, points, 1.0, VerificationConfig(max_scale=1.01 * large, max_stretch=100))
    assert not is_possible(
        transform, points, 1.0, VerificationConfig(max_scale=0.99 * large, max_stretch=100)
    )
    assert is_possible(
        transform, points, 1.0, VerificationConfig(max_scale=100, max_stretch=1.01 * large / small)
    )
    assert not is_possible(
        transform, points, 1.0, VerificationConfig(max_scale=100, max_stretch=0.99 * large / small)
    )


def test_points_on_both_sides_of_the_horizon_are_refused_wherever_they_lie():
    # The horizon x - y = 500 cuts off one corner, at which no scale is looked at; another cuts off none.
    loose = VerificationConfig(max_scale=1000, max_stretch=1000)
    assert not is_possible(perspective(-1 / 500, 1 / 500), corners(), 1.0, loose)
    assert is_possible(perspective(-1 / 700, 1 / 700), corners(), 1.0, loose)
    # Numbers of the other sign are the same transform.
    assert is_possible(-perspective(-1 / 700, 1 / 700), corners(), 1.0, loose)
    # A point on the horizon itself.
    for sign in (1, -1):
        assert not is_possible(sign * perspective(-1 / 600, 1 / 600), corners(), 1.0, loose)


def test_a_point_that_goes_nowhere_is_nan_and_one_on_the_horizon_infinite():
    transform = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0.0]])
    np.testing.assert_array_equal(
        apply(transform, np.float32([[0, 0], [0, 3], [2, 3]])), [[np.nan, np.nan], [np.nan, np.inf], [1, 1.5]]
    )


def test_least_squares_are_those_of_each_coordinate():
    rng = np.random.default_rng(0)
    affine = np.array([[1.2, 0.3, 20], [-0.2, 0.8, 90], [0, 0, 1]])
    source = (rng.random((20, 2)) * 600).astype(np.float32)
    exact = apply(affine, source)
    np.testing.assert_allclose(least_squares(source, exact), affine, atol=1e-9)
    noisy = exact + rng.normal(0, 5, exact.shape)
    fitted = least_squares(source, noisy)
    away = apply(fitted, source) - noisy
    # Residuals of least squares are orthogonal to what was fitted.
    np.testing.assert_allclose(np.c_[source, np.ones(20)].T @ away, 0, atol=1e-6)
    np.testing.assert_array_equal(fitted[2], [0, 0, 1])


def similarity_by_loop(source, target, threshold):
    """Four weighted least squares: x' = a x - b y + c, y' = b x + a y + d, Cauchy weights."""
    weights = np.ones(len(source))
    for _ in range(4):
        rows, goals = [], []
        for (x, y), (u, v), weight in zip(source, target, weights, strict=True):
            root = np.sqrt(weight)
            rows += [[root * x, -root * y, root, 0], [root * y, root * x, 0, root]]
            goals += [root * u, root * v]
        a, b, c, d = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)[0]
        transform = np.array([[a, -b, c], [b, a, d], [0, 0, 1]])
        away = np.linalg.norm(apply(transform, source) - target, axis=1)
        weights = 1 / (1 + (away / threshold) ** 2)
    return transform


def test_far_matches_weigh_little_in_a_similarity():
    rng = np.random.default_rng(0)
    source = (rng.random((26, 2)) * 600).astype(np.float32)
    target = source.copy()
    target[20:] += np.float32([24, 12])
    group = np.ones(26, dtype=np.bool_)
    config = VerificationConfig(model="similarity", threshold=20.0)
    transform, close = grow(source, target, group, config)
    np.testing.assert_allclose(transform, similarity_by_loop(source, target, 20.0), atol=1e-6)
    assert close.tolist() == [True] * 20 + [False] * 6


def test_matches_within_two_thresholds_join_a_group_and_farther_ones_do_not():
    # A square for each shift along x. From those at rest, the next fit is to all within 40 pixels: it shifts
    # by 19 and explains 20 matches. The one after that takes in 46, shifts farther and explains fewer.
    shifts = np.repeat(np.float32([0, 9.5, 19, 28.5, 38, 46]), 4)
    source = np.tile(np.float32([[0, 0], [600, 0], [600, 600], [0, 600]]), (6, 1))
    target = source + np.stack([shifts, 0 * shifts], axis=1)
    transform, close = grow(
        source, target, shifts == 0, VerificationConfig(model="similarity", threshold=20.0)
    )
    np.testing.assert_allclose(transform, [[1, 0, 19], [0, 1, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_array_equal(close, shifts < 40)


def planted(offsets):
    """Features of which three groups move by their own shift, each match a little off it, left or right."""
    rng = np.random.default_rng(0)
    count = sum(len(each) for each in offsets.values())
    positions = rng.random((count, 2)) * 240 + 200
    moved, first = positions.copy(), 0
    for shift, each in offsets.items():
        moved[first : first + len(each)] += shift
        moved[first : first + len(each), 0] += each
        first += len(each)
    # Two features more in the corners of the answer: its features span 640 pixels.
    moved = np.concatenate([moved, [[0, 0], [640, 640]]])
    descriptors = rng.integers(0, 256, (count + 2, 32)).astype(np.uint8)
    ones = np.ones(count + 2, dtype=np.float32)
    answer = LocalFeatures(moved.astype(np.float32), ones, ones, ones, descriptors)
    ones = ones[:count]
    return LocalFeatures(positions.astype(np.float32), ones, ones, ones, descriptors[:count]), answer


def test_a_group_holds_what_lies_within_two_thresholds_of_one_matchs_transform():
    # Within one threshold the second group would be the largest, within four the third.
    query, answer = planted(
        {(0, 0): 15 * np.resize([-1, 1], 10), (190, 0): np.zeros(7), (0, 190): 30 * np.resize([-1, 1], 14)}
    )
    found = verify(query, answer, config=VerificationConfig(model="similarity", matching="mutual"))
    np.testing.assert_array_equal(np.sort(found.query_points, axis=0), np.sort(query.positions[:10], axis=0))
