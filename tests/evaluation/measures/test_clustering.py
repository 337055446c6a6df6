"""k-means and the two informations, against scikit-learn and literal loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from resight.errors import InvalidInput
from resight.evaluation import adjusted_mutual_information, cluster
from resight.evaluation import normalised_mutual_information as normalised
from resight.evaluation.measures import clustering, k_means


def blobs(classes, count, noise, seed=0, dim=16):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    rows = generator.standard_normal((classes, dim))[labels] + noise * generator.standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("seed", range(20))
def test_informations_are_those_of_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    count = generator.integers(1, 200)
    first = generator.integers(0, generator.integers(1, 30), count)
    other = generator.integers(0, generator.integers(1, 60), count)
    second = np.where(generator.random(count) < 0.5, first, other)
    assert normalised(first, second) == pytest.approx(normalized_mutual_info_score(first, second), abs=1e-10)
    expected = adjusted_mutual_info_score(first, second)
    assert adjusted_mutual_information(first, second) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_informations_of_a_few_images_are_those_of_scikit_learn(count):
    """Every pair of labellings: margins that a table can only just hold."""
    labellings = [np.array(labels) for labels in itertools.product(range(count), repeat=count)]
    for first in labellings[:: max(1, len(labellings) // 40)]:
        for second in labellings[:: max(1, len(labellings) // 40)]:
            nmi, ami = normalised(first, second), adjusted_mutual_information(first, second)
            assert nmi == pytest.approx(normalized_mutual_info_score(first, second), abs=1e-12)
            assert ami == pytest.approx(adjusted_mutual_info_score(first, second), abs=1e-12)


@pytest.mark.parametrize("labels", [np.zeros(9, np.int64), np.arange(9)])
def test_trivial_labellings_agree_with_themselves(labels):
    assert normalised(labels, labels) == 1.0
    assert adjusted_mutual_information(labels, labels) == 1.0


def test_well_separated_classes_are_found_again():
    descriptors, labels = blobs(12, 600, 0.05)
    found = cluster(descriptors, labels)
    assert (found.nmi, found.ami) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (found.clusters, found.restarts, found.seed) == (12, 10, 0)


def test_as_good_as_scikit_learn_on_overlapping_classes():
    descriptors, labels = blobs(40, 2000, 1.0)
    found = cluster(descriptors, labels, restarts=5)
    theirs = KMeans(40, n_init=5, random_state=0).fit(descriptors)
    assert found.inertia < 1.01 * theirs.inertia_
    assert found.nmi == pytest.approx(normalized_mutual_info_score(labels, theirs.labels_), abs=0.05)


def test_the_same_seed_gives_the_same_clusters():
    descriptors, labels = blobs(30, 500, 1.2)
    once, twice = (cluster(descriptors, labels, restarts=1, seed=4) for _ in range(2))
    assert once == twice
    assert cluster(descriptors, labels, restarts=1, seed=5) != once


def test_more_starts_never_give_a_larger_inertia():
    descriptors, labels = blobs(30, 500, 1.2)
    assert (
        cluster(descriptors, labels, restarts=6).inertia <= cluster(descriptors, labels, restarts=1).inertia
    )


def literal_k_means(rows, centres):
    while True:
        nearest = ((rows[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        fresh = np.stack([rows[nearest == one].mean(axis=0) for one in range(len(centres))])
        if np.allclose(fresh, centres, atol=1e-7):
            return nearest
        centres = fresh


def test_comparing_with_moved_centres_alone_changes_nothing(monkeypatch):
    descriptors, _ = blobs(20, 900, 0.7, seed=3)
    starts = []
    draw = k_means._draw
    monkeypatch.setattr(k_means, "_draw", lambda *inputs: starts.append(draw(*inputs)) or starts[-1])
    monkeypatch.setattr(k_means, "_CELLS", 64)
    found = k_means.k_means(descriptors, 20, np.random.default_rng(0))
    assert 3 < found.iterations < 100
    assert found.assignment.tolist() == literal_k_means(descriptors, starts[0]).tolist()


def test_clusters_never_run_empty():
    duplicates = np.ones((9, 3), dtype=np.float32)
    found = k_means.k_means(duplicates, 4, np.random.default_rng(0))
    assert np.bincount(found.assignment, minlength=4).min() >= 1
    two = np.repeat(np.eye(2, dtype=np.float32), 5, axis=0)
    assert len(np.unique(k_means.k_means(two, 3, np.random.default_rng(1)).assignment)) == 3
    few = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    assert len(np.unique(k_means.k_means(few, 6, np.random.default_rng(1)).assignment)) == 6


def test_first_centres_differ_and_prefer_what_is_far():
    """Three far groups of very different size: k-means++ starts in each almost always, chance rarely does."""
    generator = np.random.default_rng(0)
    rows = np.repeat(np.eye(3), [990, 5, 5], axis=0) + 0.001 * generator.standard_normal((1000, 3))
    rows = rows.astype(np.float32)
    squares = (rows.astype(np.float64) ** 2).sum(axis=1)
    starts = [k_means._draw(rows, squares, 3, np.random.default_rng(seed)) for seed in range(20)]
    assert sum(len(set(start.argmax(axis=1).tolist())) == 3 for start in starts) >= 19


def test_no_descriptor_is_drawn_twice_while_there_are_others():
    rows, _ = blobs(1, 120, 1.0)
    squares = np.square(rows.astype(np.float64)).sum(axis=1)
    drawn = k_means._draw(rows, squares, 120, np.random.default_rng(0))
    assert len(np.unique(drawn, axis=0)) == 120


def test_a_single_cluster_holds_everything():
    descriptors, labels = blobs(12, 100, 0.3)
    found = cluster(descriptors, labels, clusters=1)
    assert (found.clusters, found.nmi) == (1, 0.0)
    apart = np.square(descriptors - descriptors.mean(axis=0)).sum()
    assert found.inertia == pytest.approx(float(apart), rel=1e-5)


def test_many_clusters_start_once(monkeypatch):
    monkeypatch.setattr(clustering, "MANY_CLUSTERS", 10)
    descriptors, labels = blobs(12, 100, 0.3)
    assert cluster(descriptors, labels).restarts == 1
    assert cluster(descriptors, labels, clusters=10).restarts == 10


@pytest.mark.parametrize(("clusters", "restarts"), [(0, 1), (101, 1), (5, 0)])
def test_impossible_settings_are_refused(clusters, restarts):
    descriptors, labels = blobs(12, 100, 0.3)
    with pytest.raises(InvalidInput, match="from 1 to 100 clusters"):
        cluster(descriptors, labels, clusters=clusters, restarts=restarts)
    with pytest.raises(InvalidInput, match="99 labels"):
        cluster(descriptors, labels[:99])
