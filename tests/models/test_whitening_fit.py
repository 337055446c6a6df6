"""Whitenings computed from descriptors, against literal formulas, scikit-learn and the authors' steps."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import shrunk_covariance
from sklearn.decomposition import PCA

from resight.errors import InvalidInput
from resight.models.whitening_fit import (
    fit_learned,
    fit_pca,
    groups_of_pairs,
    matching_pairs,
    non_matching_pairs,
    variance_kept,
)

DIM = 12


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def descriptors(rng):
    """Correlated, of unequal variance, and not centred."""
    mixed = rng.normal(size=(400, DIM)) * np.geomspace(3, 0.1, DIM) @ rng.normal(size=(DIM, DIM)) + 2
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def pairs(rng):
    return np.stack([rng.permutation(200), 200 + rng.permutation(200)], axis=1)


def _projected(whitening, descriptors):
    return (descriptors.astype(np.float64) - whitening.mean) @ whitening.matrix.T


def _up_to_sign(found, expected):
    signs = np.sign(np.einsum("da,da->d", found, expected))
    np.testing.assert_allclose(
        found, signs[:, None] * expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max()
    )


def test_pca_whitened_data_have_identity_covariance(descriptors):
    whitening = fit_pca(descriptors)
    projected = _projected(whitening, descriptors)
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(projected.T @ projected / len(projected), np.eye(DIM), atol=1e-9)
    assert (whitening.kind, whitening.pairs_or_images, whitening.dim) == ("pca", 400, DIM)
    assert whitening.matrix.dtype == whitening.mean.dtype == np.float64


@pytest.mark.parametrize("dim", [5, DIM])
def test_pca_equals_scikit_learn(descriptors, dim):
    whitening = fit_pca(descriptors, dim)
    # It divides variances by n - 1.
    theirs = PCA(dim, whiten=True, svd_solver="full").fit(descriptors.astype(np.float64))
    expected = theirs.transform(descriptors.astype(np.float64)) * np.sqrt(400 / 399)
    _up_to_sign(_projected(whitening, descriptors).T, expected.T)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_power_is_that_of_the_variances(descriptors, power):
    projected = _projected(fit_pca(descriptors, power=power), descriptors)
    variances = np.linalg.eigvalsh(np.cov(descriptors.T.astype(np.float64), bias=True))[::-1]
    covariance = projected.T @ projected / len(projected)
    np.testing.assert_allclose(covariance, np.diag(variances ** (1 - 2 * power)), atol=1e-9)


def test_shrinkage_is_scikit_learns(descriptors):
    whitening = fit_pca(descriptors, shrinkage=0.3)
    covariance = np.cov(descriptors.T.astype(np.float64), bias=True)
    shrunk = shrunk_covariance(covariance, 0.3)
    np.testing.assert_allclose(whitening.matrix @ shrunk @ whitening.matrix.T, np.eye(DIM), atol=1e-9)
    # All of it leaves a rotation, the same for every dimension.
    whole = fit_pca(descriptors, shrinkage=1).matrix
    np.testing.assert_allclose(whole @ whole.T, np.eye(DIM) * DIM / np.trace(covariance), atol=1e-6)


def test_floor_raises_small_variances(descriptors):
    covariance = np.cov(descriptors.T.astype(np.float64), bias=True)
    values = np.linalg.eigvalsh(covariance)[::-1]
    floor = float(values[6] / values[0])
    projected = _projected(fit_pca(descriptors, floor=floor), descriptors)
    expected = values / np.maximum(values, values[6])
    np.testing.assert_allclose(projected.T @ projected / 400, np.diag(expected), atol=1e-9)


def test_learned_makes_differences_of_pairs_white(descriptors, pairs):
    for whitening in (
        fit_learned(descriptors, pairs),
        fit_learned(descriptors, pairs, rotation="non_matching", non_matching=pairs[:, ::-1] // 2),
    ):
        first, second = (
            _projected(whitening, descriptors[pairs[:, 0]]),
            _projected(whitening, descriptors[pairs[:, 1]]),
        )
        differences = first - second
        np.testing.assert_allclose(differences.T @ differences / len(pairs), np.eye(DIM), atol=1e-8)
        assert (whitening.kind, whitening.pairs_or_images) == ("learned", 200)


@pytest.mark.parametrize("dim", [None, 4])
def test_learned_equals_the_authors_steps(descriptors, pairs, dim):
    """Column vectors, an inverse Cholesky factor, and eigenvectors of everything projected."""
    columns = descriptors.astype(np.float64).T
    mean = columns[:, pairs[:, 0]].mean(axis=1, keepdims=True)
    differences = columns[:, pairs[:, 0]] - columns[:, pairs[:, 1]]
    factor = np.linalg.inv(np.linalg.cholesky(differences @ differences.T / differences.shape[1]))
    projected = factor @ (columns - mean)
    values, vectors = np.linalg.eigh(projected @ projected.T)
    matrix = vectors[:, values.argsort()[::-1]].T @ factor
    whitening = fit_learned(descriptors, pairs, dim)
    np.testing.assert_allclose(whitening.mean, mean[:, 0], atol=1e-12)
    _up_to_sign(whitening.matrix, matrix[:dim])


def test_repeated_queries_count_as_often_in_the_mean(descriptors):
    pairs = np.array([[0, k] for k in range(1, 60)] + [[60, 61]])
    expected = (59 * descriptors[0].astype(np.float64) + descriptors[60]) / 60
    np.testing.assert_allclose(fit_learned(descriptors, pairs).mean, expected, atol=1e-12)


def test_the_papers_rotation_comes_from_pairs_that_do_not_match(descriptors, pairs, rng):
    others = rng.permutation(400).reshape(200, 2)
    whitening = fit_learned(descriptors, pairs, rotation="non_matching", non_matching=others)
    rows = descriptors.astype(np.float64)
    matching, apart = (rows[each[:, 0]] - rows[each[:, 1]] for each in (pairs, others))
    values, vectors = np.linalg.eigh(matching.T @ matching / 200)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    _, axes = np.linalg.eigh(root @ apart.T @ apart @ root)
    np.testing.assert_allclose(whitening.mean, rows.mean(axis=0), atol=1e-12)
    _up_to_sign(whitening.matrix, axes[:, ::-1].T @ root)


def test_learned_shrinkage_and_floor_are_of_the_differences(descriptors, pairs):
    rows = descriptors.astype(np.float64)
    differences = rows[pairs[:, 0]] - rows[pairs[:, 1]]
    scatter = differences.T @ differences / len(pairs)
    matrix = fit_learned(descriptors, pairs, shrinkage=0.2).matrix
    np.testing.assert_allclose(matrix @ shrunk_covariance(scatter, 0.2) @ matrix.T, np.eye(DIM), atol=1e-8)
    values, vectors = np.linalg.eigh(scatter)
    raised = vectors @ np.diag(np.maximum(values, 0.1 * values[-1])) @ vectors.T
    matrix = fit_learned(descriptors, pairs, floor=0.1).matrix
    np.testing.assert_allclose(matrix @ raised @ matrix.T, np.eye(DIM), atol=1e-8)


def test_a_floor_is_a_share_of_the_largest_variance_after_shrinkage(descriptors, pairs):
    shrinkage, floor = 0.3, 0.2
    rows = descriptors.astype(np.float64)
    differences = rows[pairs[:, 0]] - rows[pairs[:, 1]]
    for matrix, covariance in (
        (fit_pca(descriptors, shrinkage=shrinkage, floor=floor).matrix, np.cov(rows.T, bias=True)),
        (
            fit_learned(descriptors, pairs, shrinkage=shrinkage, floor=floor).matrix,
            differences.T @ differences / len(pairs),
        ),
    ):
        values, vectors = np.linalg.eigh(shrunk_covariance(covariance, shrinkage))
        least = floor * values[-1]
        # The floor lies between variances, and would be higher without the shrinkage.
        assert values[0] < least < values[-2]
        raised = vectors @ np.diag(np.maximum(values, least)) @ vectors.T
        np.testing.assert_allclose(matrix @ raised @ matrix.T, np.eye(DIM), atol=1e-8)


def test_learned_beats_pca_where_matching_photos_differ_along_strong_axes(rng):
    """What varies within a thing is what learning suppresses; to PCA it looks like any other variance."""
    things = rng.normal(size=(60, 8)) * np.repeat([0.2, 1], 4)
    views = things.repeat(4, axis=0) + rng.normal(size=(240, 8)) * np.repeat([2, 0.3], 4)
    descriptors, groups = views.astype(np.float32), np.arange(60).repeat(4)
    train = groups < 40
    pairs = matching_pairs(groups[train], rng)

    def recall(whitening):
        scores = whitening.apply(descriptors[~train]) @ whitening.apply(descriptors[~train]).T
        np.fill_diagonal(scores, -2)
        return float((groups[~train][scores.argmax(axis=1)] == groups[~train]).mean())

    assert recall(fit_learned(descriptors[train], pairs)) > recall(fit_pca(descriptors[train])) + 0.1


def test_signs_do_not_depend_on_the_library(descriptors, pairs):
    for whitening in (fit_pca(descriptors), fit_learned(descriptors, pairs)):
        largest = np.abs(whitening.matrix).argmax(axis=1)
        assert (whitening.matrix[np.arange(DIM), largest] > 0).all()


def test_blocks_change_nothing(descriptors, pairs, monkeypatch):
    from resight.models import whitening_fit as module

    whole = (
        fit_pca(descriptors),
        fit_learned(descriptors, pairs),
        variance_kept(descriptors, fit_pca(descriptors, 3)),
    )
    monkeypatch.setattr(module, "_BLOCK", 37)
    parts = (
        fit_pca(descriptors),
        fit_learned(descriptors, pairs),
        variance_kept(descriptors, fit_pca(descriptors, 3)),
    )
    for one, other in zip(whole[:2], parts[:2], strict=True):
        np.testing.assert_allclose(one.matrix, other.matrix, rtol=1e-6, atol=1e-8 * np.abs(one.matrix).max())
    assert whole[2] == pytest.approx(parts[2])


def test_variance_kept(descriptors, pairs):
    values = np.linalg.eigvalsh(np.cov(descriptors.T.astype(np.float64), bias=True))[::-1]
    expected = values[:3].sum() / values.sum()
    assert variance_kept(descriptors, fit_pca(descriptors, 3)) == pytest.approx(expected)
    assert variance_kept(descriptors, fit_learned(descriptors, pairs)) == pytest.approx(1)
    assert variance_kept(descriptors, fit_learned(descriptors, pairs, 3)) <= expected + 1e-9


def test_fewer_photos_than_dimensions(descriptors):
    few = descriptors[:8]
    with pytest.raises(
        InvalidInput, match="the 8 descriptors span 7 of 12 dimensions and 12 are to be whitened"
    ):
        fit_pca(few)
    projected = _projected(fit_pca(few, 7), few)
    np.testing.assert_allclose(projected.T @ projected / 8, np.eye(7), atol=1e-6)
    for whitening in (fit_pca(few, shrinkage=0.1), fit_pca(few, floor=1e-3)):
        assert np.linalg.matrix_rank(whitening.matrix) == 12
        assert np.abs(whitening.matrix).max() < 1e4
    with pytest.raises(InvalidInput, match="keep at most 7, or all 12"):
        fit_pca(few, 9, shrinkage=0.1)


def test_differences_that_span_too_little(descriptors):
    pairs = np.array([[0, 1], [1, 2], [0, 2], [3, 4]])
    with pytest.raises(InvalidInput, match="differences of 4 matching pairs span 3 of 12 dimensions"):
        fit_learned(descriptors, pairs, 2)
    assert np.isfinite(fit_learned(descriptors, pairs, 2, shrinkage=0.1).matrix).all()
    with pytest.raises(InvalidInput, match="the 5 descriptors span 4 of 12 dimensions, and which 8 of them"):
        fit_learned(descriptors[:5], pairs, 8, shrinkage=0.1)


def test_dead_dimensions_are_said(descriptors):
    dead = descriptors.copy()
    dead[:, 3] = 0
    with pytest.raises(InvalidInput, match="span 11 of 12"):
        fit_pca(dead)
    assert fit_pca(dead, 11).dim == 11


@pytest.mark.parametrize("settings", [{}, {"shrinkage": 0.5}, {"floor": 0.1}])
def test_equal_photos_are_refused(descriptors, settings):
    same = np.repeat(descriptors[:1], 30, axis=0)
    with pytest.raises(InvalidInput, match="the 30 descriptors are all the same"):
        fit_pca(same, **settings)
    with pytest.raises(InvalidInput, match="differences of 2 matching pairs are all the same"):
        fit_learned(same, np.array([[0, 1], [2, 3]]), **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dim": 0}, "to 1 to 12, not 0"),
        ({"dim": 13}, "to 1 to 12, not 13"),
        ({"shrinkage": -0.1}, "shrinkage of a whitening must lie between 0 and 1, not -0.1"),
        ({"shrinkage": float("nan")}, "shrinkage of a whitening must lie"),
        ({"floor": 1.5}, "floor of a whitening must lie between 0 and 1"),
        ({"power": 2.0}, "power of a whitening must lie between 0 and 1, not 2.0"),
    ],
)
def test_settings_out_of_range_are_refused(descriptors, settings, words):
    with pytest.raises(InvalidInput, match=words):
        fit_pca(descriptors, **settings)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (np.zeros((0, 2), np.int64), r"at least one pair, not int64 \(0, 2\)"),
        (np.zeros((3, 3), np.int64), r"\(m, 2\)"),
        (np.zeros((3, 2)), "whole numbers"),
        (np.array([[0, 400]]), "name descriptors 0 to 399, and one of them names 400"),
        (np.array([[0, -1]]), "one of them names -1"),
        (np.array([[0, 1], [5, 5]]), "row 1 of the matching pairs joins 5 with itself"),
    ],
)
def test_pairs_that_cannot_be_are_refused(descriptors, pairs, words):
    with pytest.raises(InvalidInput, match=words):
        fit_learned(descriptors, pairs)


def test_rotation_and_its_pairs_go_together(descriptors, pairs):
    with pytest.raises(InvalidInput, match="which needs them"):
        fit_learned(descriptors, pairs, rotation="non_matching")
    with pytest.raises(InvalidInput, match="which needs them"):
        fit_learned(descriptors, pairs, non_matching=pairs)
    with pytest.raises(InvalidInput, match="not 'some'"):
        fit_learned(descriptors, pairs, rotation="some")
    with pytest.raises(InvalidInput, match="pairs that do not match name descriptors 0 to 399"):
        fit_learned(descriptors, pairs, rotation="non_matching", non_matching=np.array([[0, 400]]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_with_its_row(descriptors, pairs, value):
    descriptors[17, 3] = value
    for fit in (lambda: fit_pca(descriptors), lambda: fit_learned(descriptors, pairs)):
        with pytest.raises(InvalidInput, match="row 17 holds NaN or infinity"):
            fit()


def test_no_descriptors_are_refused():
    with pytest.raises(InvalidInput, match=r"not \(0, 4\)"):
        fit_pca(np.zeros((0, 4), np.float32))
    with pytest.raises(InvalidInput, match=r"not \(4,\)"):
        fit_pca(np.zeros(4, np.float32))


def test_provenance_tells_settings_and_source(descriptors, pairs):
    said = fit_pca(descriptors, 5, shrinkage=0.1, power=0.25, provenance="400 photos of towns").provenance
    assert said == (
        "PCA whitening to 5 of 12 dimensions, power 0.25, shrinkage 0.1, floor 0, from 400 descriptors: "
        "400 photos of towns"
    )
    said = fit_learned(descriptors, pairs, rotation="non_matching", non_matching=pairs).provenance
    assert "200 matching pairs of 400 descriptors, rotation from 200 non-matching pairs, to 12 of 12" in said


def test_matching_pairs_are_those_of_groups(rng):
    groups = np.array([4, 1, 4, 4, 2, 1])
    pairs = matching_pairs(groups, rng)
    assert sorted(map(tuple, np.sort(pairs, axis=1).tolist())) == [(0, 2), (0, 3), (1, 5), (2, 3)]
    assert len(matching_pairs(np.arange(5), rng)) == 0


def test_large_groups_are_sampled(rng):
    groups = np.repeat([0, 1], [101, 3])
    pairs = np.sort(matching_pairs(groups, rng, per_photo=7), axis=1)
    assert len(pairs) == 7 * 101 + 3
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
    assert (groups[pairs[:, 0]] == groups[pairs[:, 1]]).all()
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert pairs[:707].max() == 100


def test_queries_are_either_photo_of_a_pair():
    pairs = matching_pairs(np.zeros(60, np.int64), np.random.default_rng(0))
    assert 0.4 < (pairs[:, 0] < pairs[:, 1]).mean() < 0.6


def test_pairs_are_drawn_by_the_generator_alone():
    groups = np.repeat(np.arange(3), 40)
    drawn = [matching_pairs(groups, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_non_matching_pairs_are_of_different_groups(rng):
    groups = np.array([0] * 30 + [1])
    pairs = non_matching_pairs(groups, 500, rng)
    assert pairs.shape == (500, 2)
    assert (groups[pairs[:, 0]] != groups[pairs[:, 1]]).all()
    assert set(np.unique(pairs)) == set(range(31))
    with pytest.raises(InvalidInput, match="at least two groups"):
        non_matching_pairs(np.zeros(4, np.int64), 3, rng)


def test_groups_of_pairs_join_over_steps():
    groups = groups_of_pairs(np.array([[5, 1], [3, 4], [1, 0]]), 7)
    assert groups.tolist() == [0, 0, 1, 2, 2, 0, 3]
    assert groups_of_pairs(np.zeros((0, 2), np.int64), 3).tolist() == [0, 1, 2]
