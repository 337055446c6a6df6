"""The aggregate of a photo against its definition, feature by feature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from resight.models.sift.aggregation import Codebook, assign, size_weights, vlad


def made_codebook(*, neighbours: int = 2, angular: float = 0.7, softness: float = 20.0) -> Codebook:
    rng = np.random.default_rng(3)
    basis, _ = np.linalg.qr(rng.normal(size=(128, 6)))
    return Codebook(
        rng.random(128, dtype=np.float32) * 0.1,
        basis.astype(np.float32),
        rng.normal(0, 0.3, size=(5, 6)).astype(np.float32),
        neighbours,
        softness,
        angular,
    )


def made_features(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    descriptors = rng.random((count, 128), dtype=np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    orientations = rng.uniform(0, 2 * math.pi, count).astype(np.float32)
    return descriptors, orientations, rng.uniform(0.1, 1, count).astype(np.float32)


def literal_vlad(
    descriptors: np.ndarray, orientations: np.ndarray, counts: np.ndarray, codebook: Codebook
) -> np.ndarray:
    """The definition in float64, one feature and one centre at a time."""
    centres = codebook.centres.astype(float)
    count, reduced = centres.shape
    sums = np.zeros((count, 3, reduced))
    for descriptor, angle, counted in zip(descriptors.astype(float), orientations, counts, strict=True):
        local = codebook.basis.astype(float).T @ (descriptor - codebook.mean)
        distances = [float(((local - centre) ** 2).sum()) for centre in centres]
        near = sorted(range(count), key=lambda k: distances[k])[: codebook.neighbours]
        total = sum(math.exp(-codebook.softness * distances[k]) for k in near)
        for k in near:
            weight = float(counted) * math.exp(-codebook.softness * distances[k]) / total
            for row, harmonic in enumerate(
                (1.0, codebook.angular * math.cos(angle), codebook.angular * math.sin(angle))
            ):
                sums[k, row] += weight * harmonic * (local - centres[k])
    for k in range(count):
        norm = math.sqrt((sums[k] ** 2).sum())
        if norm > 0:
            sums[k] /= norm
    values = [math.copysign(math.sqrt(abs(value)), value) for value in sums.ravel()]
    norm = math.sqrt(sum(value * value for value in values))
    return np.array([value / norm for value in values])


@pytest.mark.parametrize("count", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("neighbours", [1, 2, 5])
def test_equals_the_definition(count, neighbours):
    codebook = made_codebook(neighbours=neighbours)
    features = made_features(count)
    result = vlad(*features, codebook)
    assert result.shape == (codebook.dim,)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, literal_vlad(*features, codebook), atol=2e-4)


def test_assignment_weights_sum_to_one_over_the_nearest_centres():
    codebook = made_codebook(neighbours=2)
    rng = np.random.default_rng(0)
    local = rng.normal(0, 0.3, size=(40, 6)).astype(np.float32)
    weights = assign(local, codebook)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    distances = ((local[:, None] - codebook.centres) ** 2).sum(axis=2)
    for row, weight in zip(distances, weights, strict=True):
        assert set(np.flatnonzero(weight)) <= set(np.argsort(row)[:2].tolist())
        first, second = np.sort(row)[:2]
        assert weight.max() == pytest.approx(1 / (1 + math.exp(-20 * (second - first))), abs=1e-4)


def test_far_from_every_centre_the_weights_stay_finite():
    codebook = made_codebook(softness=1000.0)
    weights = assign(np.full((1, 6), 100, dtype=np.float32), codebook)
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(1)


def test_nothing_aggregates_to_zero_and_something_to_unit_norm():
    codebook = made_codebook()
    assert not vlad(*made_features(0), codebook).any()
    assert np.linalg.norm(vlad(*made_features(7), codebook)) == pytest.approx(1, abs=1e-6)


def test_order_of_features_does_not_matter():
    codebook = made_codebook()
    features = made_features(90)
    order = np.random.default_rng(1).permutation(90)
    shuffled = [values[order] for values in features]
    np.testing.assert_allclose(vlad(*features, codebook), vlad(*shuffled, codebook), atol=2e-5)


def test_a_turned_photo_counts_less_and_without_harmonics_the_same():
    descriptors, orientations, weights = made_features(90)
    turned = (orientations + 1.0) % np.float32(2 * math.pi)
    covariant, invariant = made_codebook(), made_codebook(angular=0.0)
    one, two = (vlad(descriptors, angles, weights, covariant) for angles in (orientations, turned))
    assert 0.5 < float(one @ two) < 0.99
    one, two = (vlad(descriptors, angles, weights, invariant) for angles in (orientations, turned))
    np.testing.assert_array_equal(one, two)


def test_weights_matter_only_in_proportion():
    codebook = made_codebook()
    descriptors, orientations, weights = made_features(40)
    half = vlad(descriptors, orientations, weights / 2, codebook)
    np.testing.assert_allclose(half, vlad(descriptors, orientations, weights, codebook), atol=2e-5)
    weights[20:] = 0
    first = vlad(descriptors[:20], orientations[:20], weights[:20], codebook)
    np.testing.assert_allclose(vlad(descriptors, orientations, weights, codebook), first, atol=2e-5)


def test_size_weights_grow_to_one():
    scales = np.array([1, 4, 8, 80], dtype=np.float32)
    np.testing.assert_allclose(size_weights(scales, 640, 1 / 80), [0.125, 0.5, 1, 1])
    np.testing.assert_allclose(size_weights(scales / 2, 320, 1 / 80), [0.125, 0.5, 1, 1])
