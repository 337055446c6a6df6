import dataclasses

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.features import LocalFeatures
from resight.search import VerificationConfig, match_distance, match_many
from resight.search.geometry.config import NEAR
from resight.search.geometry.matching import of_bits


def features(descriptors, metric="cosine"):
    n = len(descriptors)
    rng = np.random.default_rng(0)
    return LocalFeatures(
        rng.random((n, 2), dtype=np.float32), *np.ones((3, n), np.float32), descriptors, metric
    )


def test_distance_matches_equal_a_literal_loop_one_way_only():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
    left, right = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (left, right))
    expected = []
    for i, row in enumerate(left):
        distances = [float(np.linalg.norm(row - other)) for other in right]
        if min(distances) < 0.5:
            expected.append((i, distances.index(min(distances))))
    found = match_distance((left @ right.T).astype(np.float32), 0.5)
    assert list(zip(found.query.tolist(), found.answer.tolist(), strict=True)) == expected
    # A feature of the answer is the nearest of several.
    assert len(set(found.answer.tolist())) < len(found) < 30


@pytest.mark.parametrize("bits", [128, 24])
def test_binary_codes_are_compared_by_their_differing_bits(bits):
    rng = np.random.default_rng(0)
    left, right = (rng.integers(0, 256, (n, bits // 8)).astype(np.uint8) for n in (9, 12))
    right[3], right[7] = left[2], left[5]
    right[7, 0] ^= 0b11
    found = next(
        match_many(
            features(left, "hamming"),
            [features(right, "hamming")],
            rule="distance",
            ratio=1.0,
            max_distance=2.0,
        )
    )
    differing = np.array([[np.bitwise_count(a ^ b).sum() for b in right] for a in left])
    np.testing.assert_array_equal(found.answer, differing.argmin(axis=1))
    np.testing.assert_allclose(found.similarities, 1 - 2 * differing.min(axis=1) / bits, atol=1e-6)
    assert found.similarities[2] == 1
    assert found.similarities[5] == pytest.approx(1 - 4 / bits)


def test_codes_match_within_the_angle_of_the_vectors_they_stand_for():
    rng = np.random.default_rng(0)
    query = rng.normal(size=64)
    angles = np.radians(np.arange(10, 180, 10))
    across = rng.normal(size=(len(angles), 64))
    across -= np.outer(across @ query, query) / (query @ query)
    across *= np.linalg.norm(query) / np.linalg.norm(across, axis=1, keepdims=True)
    turned = np.cos(angles)[:, None] * query + np.sin(angles)[:, None] * across
    projections = rng.normal(size=(64, 80_000))
    codes = [np.packbits(rows @ projections > 0, axis=1) for rows in (query[None], turned)]
    for answer, angle in zip(codes[1], np.degrees(angles), strict=True):
        found = next(
            match_many(
                features(codes[0], "hamming"),
                [features(answer[None], "hamming")],
                rule="distance",
                ratio=1.0,
                # A chord of the unit circle: 65 degrees.
                max_distance=2 * np.sin(np.radians(65) / 2),
            )
        )
        assert len(found) == (angle < 65)


@pytest.mark.parametrize("rule", ["mutual", "ratio", "distance"])
@pytest.mark.parametrize("kind", ["codes", "halves", "bits"])
def test_matching_many_equals_matching_each(rule, kind, monkeypatch):
    monkeypatch.setattr("resight.search.geometry.matching.BLOCK", 4000)
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 64))

    def photo(n):
        values = truth[rng.permutation(200)[:n]] + rng.normal(0, 0.3, (n, 64))
        if kind == "codes":
            return features(np.clip(values * 40 + 128, 0, 255).astype(np.uint8))
        if kind == "halves":
            return features((values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16))
        return features(np.packbits(values > 0, axis=1), "hamming")

    query, answers = photo(60), [photo(n) for n in (40, 1, 90, 25, 31)]
    empty = dataclasses.replace(answers[0]).best(0)
    answers.insert(2, empty)
    together = list(match_many(query, answers, rule=rule, ratio=0.9, max_distance=1.0))
    assert sum(map(len, together)) > 30
    for answer, found in zip(answers, together, strict=True):
        alone = next(match_many(query, [answer], rule=rule, ratio=0.9, max_distance=1.0))
        for name in ("query", "answer", "similarities"):
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))


def test_rounded_products_are_near_the_cosine_and_equal_descriptors_pass_no_ratio_test():
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(40, 128)).astype(np.float16), rng.normal(size=(50, 128)).astype(np.float16)
    found = next(match_many(features(left), [features(right)], rule="distance", ratio=1.0, max_distance=2.0))
    exact = [row.astype(np.float64) / np.linalg.norm(row.astype(np.float64)) for row in left]
    other = [row.astype(np.float64) / np.linalg.norm(row.astype(np.float64)) for row in right]
    cosine = np.array(exact) @ np.array(other).T
    np.testing.assert_allclose(found.similarities, cosine.max(axis=1), atol=1e-3)
    twice = features(np.concatenate([left, left]))
    assert len(next(match_many(features(left), [twice], rule="ratio", ratio=0.99))) == 0


def test_other_metrics_are_not_matched():
    codes = np.zeros((3, 16), np.uint8)
    with pytest.raises(InvalidInput, match="16 uint8 numbers \\(hamming\\)"):
        next(match_many(features(codes, "hamming"), [features(codes, "cosine")], rule="mutual", ratio=1.0))


def test_near_neighbours_are_mutual_ones_within_a_distance():
    rng = np.random.default_rng(21)
    values = rng.standard_normal((40, 16)).astype(np.float16)
    noise = np.where(np.arange(40) < 20, 0.1, 2.0)[:, None] * rng.standard_normal((40, 16))
    zeros = np.zeros(40, dtype=np.float32)
    places = rng.uniform(0, 100, (40, 2)).astype(np.float32)
    query, answer = (
        LocalFeatures(places, zeros + 8, zeros, zeros, each.astype(np.float16))
        for each in (values, values + noise)
    )
    (every,) = match_many(query, [answer], rule="mutual", ratio=0.9)
    (near,) = match_many(query, [answer], rule="near", ratio=0.9, max_distance=0.6)
    wanted = [number for number, score in enumerate(every.similarities) if 2 - 2 * float(score) < 0.36]
    assert near.query.tolist() == every.query[wanted].tolist()
    assert near.answer.tolist() == every.answer[wanted].tolist()
    assert 20 <= len(near) < len(every)


def test_points_of_one_size_are_matched_near_by_default():
    zeros, ones = np.zeros(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    places, codes = np.zeros((3, 2), dtype=np.float32), np.ones((3, 4), dtype=np.float16)
    sizes = np.array([1, 2, 3], dtype=np.float32)
    config = VerificationConfig()
    points = LocalFeatures(places, 8 * ones, zeros, zeros, codes)
    assert (config.rule_for(points), config.distance_for(points)) == ("near", NEAR)
    cells = LocalFeatures(places, sizes, zeros, zeros, codes)
    assert (config.rule_for(cells), config.distance_for(cells)) == ("distance", 1.0)
    assert config.rule_for(LocalFeatures(places, sizes, ones, zeros, codes)) == "ratio"
    assert VerificationConfig(matching="mutual").rule_for(points) == "mutual"


def test_bits_of_vectors_at_an_angle_are_as_similar_as_said():
    rng = np.random.default_rng(22)
    planes = rng.standard_normal((20_000, 3))
    for cosine in (-0.5, 0.0, 0.5, 0.75, 1.0):
        one, other = np.array([1.0, 0, 0]), np.array([cosine, np.sqrt(1 - cosine**2), 0])
        differing = np.mean((planes @ one > 0) != (planes @ other > 0))
        assert of_bits(cosine) == pytest.approx(1 - 2 * differing, abs=0.02)
