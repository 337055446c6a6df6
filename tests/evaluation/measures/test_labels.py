"""Recall at k, MAP@R and R-precision against literal loops and pytorch-metric-learning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import InvalidInput
from resight.evaluation import evaluate_labels, map_at_r, r_precision
from resight.search.exact import positives

KS = (1, 2, 4, 1000)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def literal(descriptors, labels, queries, gallery):
    """Sorts every query's whole ranking by exact score and index, and follows the definitions."""
    exact = descriptors.astype(np.float64)
    scores = np.rint(exact @ exact.T * 2**30)
    found = []
    for query in np.flatnonzero(queries):
        ranking = sorted(
            (image for image in np.flatnonzero(gallery) if image != query),
            key=lambda image: (-scores[query, image], image),
        )
        right = [labels[image] == labels[query] for image in ranking]
        r = sum(right)
        recall = [any(right[:k]) for k in KS]
        precisions = [sum(right[: i + 1]) / (i + 1) for i in range(r) if right[i]]
        found.append(
            (recall, sum(precisions) / r if r else math.nan, sum(right[:r]) / r if r else math.nan, r)
        )
    return found


def drawn(seed, kind):
    generator = np.random.default_rng(seed)
    count, dim = generator.integers(2, 130), generator.integers(2, 9)
    rows = generator.standard_normal((count, dim))
    if kind == "ties":
        rows = np.round(rows)
        rows[~rows.any(axis=1)] = 1
    if kind == "duplicates":
        rows = rows[generator.integers(0, max(1, count // 3), count)]
    if kind == "collapsed":
        rows[:] = 1
    if kind == "nearly collapsed":
        rows = 1 + 1e-7 * rows
    labels = generator.integers(0, max(1, count // generator.integers(2, 12)), count) * 7 - 3
    return unit(rows), labels


@pytest.mark.parametrize("seed", range(20))
def test_a_ranking_alone_has_the_value_that_descriptors_give(seed):
    descriptors, labels = drawn(seed, "ties")
    everyone = np.ones(len(labels), dtype=np.bool_)
    scores = np.rint(descriptors.astype(np.float64) @ descriptors.astype(np.float64).T * 2**30)
    expected = literal(descriptors, labels, everyone, everyone)
    for query, (_, mean, precision, r) in enumerate(expected):
        order = np.argsort(-scores[query], kind="stable")
        relevant = labels[order[order != query]] == labels[query]
        assert map_at_r(relevant, int(r)) == pytest.approx(mean, nan_ok=True)
        assert r_precision(relevant, int(r)) == pytest.approx(precision, nan_ok=True)


@pytest.mark.parametrize("kind", ["plain", "ties", "duplicates", "collapsed", "nearly collapsed"])
@pytest.mark.parametrize("parts", ["all", "apart", "overlapping"])
@pytest.mark.parametrize("blocks", ["one", "many", "many runs"])
def test_equal_to_literal_loops(kind, parts, blocks, monkeypatch):
    if blocks != "one":
        monkeypatch.setattr(positives, "_BLOCK", 16)
        monkeypatch.setattr(positives, "_SAMPLE", 8)
    if blocks == "many runs":
        monkeypatch.setattr(positives, "_PAIRS", 40)
    for seed in range(4):
        descriptors, labels = drawn(seed, kind)
        generator = np.random.default_rng(seed + 99)
        queries = generator.random(len(labels)) < 0.6
        queries[0], queries[-1] = True, False
        gallery = ~queries if parts == "apart" else generator.random(len(labels)) < 0.7
        gallery[-1] = True
        if parts == "all":
            queries, gallery = np.full((2, len(labels)), fill_value=True)
            result = evaluate_labels(descriptors, labels, ks=KS)
        else:
            result = evaluate_labels(descriptors, labels, queries=queries, gallery=gallery, ks=KS)
        recalls, maps, precisions, counts = zip(*literal(descriptors, labels, queries, gallery), strict=True)
        values = result.per_query
        assert values.queries.tolist() == np.flatnonzero(queries).tolist()
        assert values.positives.tolist() == list(counts)
        assert values.recall.tolist() == list(recalls)
        np.testing.assert_allclose(values.map_at_r, maps, atol=1e-12)
        np.testing.assert_allclose(values.r_precision, precisions, atol=1e-12)
        assert [value for _, value in result.recall] == pytest.approx(np.mean(recalls, axis=0))
        if any(counts):
            assert result.map_at_r == pytest.approx(np.nanmean(maps))
            assert result.r_precision == pytest.approx(np.nanmean(precisions))
        else:
            assert math.isnan(result.map_at_r)


@pytest.mark.parametrize("depth", [1, 60])
def test_a_first_look_at_the_database_changes_nothing(depth, monkeypatch):
    generator = np.random.default_rng(8)
    labels = generator.permutation(np.repeat(np.arange(180), 5))
    descriptors = unit(
        generator.standard_normal((180, 8))[labels] + 0.8 * generator.standard_normal((900, 8))
    )
    monkeypatch.setattr(positives, "_BLOCK", 400)
    found = []
    for sample in (200, 10_000):
        monkeypatch.setattr(positives, "_SAMPLE", sample)
        found.append(evaluate_labels(descriptors, labels, ks=(1, depth)))
    looked, plain = found
    everything = np.full(900, fill_value=True)
    expected = [value for _, value, _, _ in literal(descriptors, labels, everything, everything)]
    np.testing.assert_allclose(plain.per_query.map_at_r, expected, atol=1e-12)
    np.testing.assert_array_equal(looked.per_query.map_at_r, plain.per_query.map_at_r)
    np.testing.assert_array_equal(looked.per_query.r_precision, plain.per_query.r_precision)
    np.testing.assert_array_equal(looked.per_query.recall, plain.per_query.recall)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["plain", "ties", "duplicates"]))
def test_an_order_of_the_images_changes_nothing_but_ties(seed, kind):
    descriptors, labels = drawn(seed, kind)
    first = evaluate_labels(descriptors, labels)
    turned = evaluate_labels(descriptors[::-1].copy(), labels[::-1].copy())
    if kind == "plain":
        assert first.recall == turned.recall
        assert first.map_at_r == pytest.approx(turned.map_at_r, nan_ok=True)
    assert sorted(first.per_query.positives) == sorted(turned.per_query.positives)


def test_a_hand_computed_ranking():
    """Query 0 finds right, wrong, right, right at ranks 1, 2, 3, 4 and R = 3."""
    angles = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    descriptors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([0, 0, 1, 0, 0])
    result = evaluate_labels(descriptors, labels)
    assert result.per_query.map_at_r[0] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert result.per_query.r_precision[0] == pytest.approx(2 / 3)
    # Image 2 has no positive: a miss in recall, and no part of the other two.
    assert result.per_query.recall[2].tolist() == [False] * 4
    assert math.isnan(result.per_query.map_at_r[2])
    assert result.recall[3] == (8, 0.8)


def test_a_duplicate_before_the_query_itself_is_an_answer():
    """Images 0 and 1 are one photo under two labels: dropping the first answer would drop the wrong one."""
    descriptors = np.array([[1, 0], [1, 0], [0.6, 0.8]], dtype=np.float32)
    labels = np.array([5, 7, 7])
    result = evaluate_labels(descriptors, labels, ks=(1, 2))
    assert result.per_query.recall.tolist() == [[False, False], [False, True], [False, True]]


def test_a_query_without_gallery_positives_is_a_miss():
    descriptors = np.array([[1, 0], [0, 1], [1, 0], [0.8, 0.6]], dtype=np.float32)
    queries = np.array([True, True, False, False])
    result = evaluate_labels(
        descriptors, np.array([0, 3, 0, 0]), queries=queries, gallery=~queries, ks=(1, 10)
    )
    assert result.recall == ((1, 0.5), (10, 0.5))
    assert result.map_at_r == 1.0
    assert result.r_precision == 1.0
    nothing = evaluate_labels(descriptors, np.array([1, 3, 0, 0]), queries=queries, gallery=~queries, ks=(1,))
    assert nothing.recall == ((1, 0.0),)
    assert math.isnan(nothing.map_at_r)
    assert math.isnan(nothing.r_precision)


@pytest.mark.parametrize("split", ["one set", "query and gallery"])
def test_equal_to_pytorch_metric_learning(split):
    torch = pytest.importorskip("torch")
    calculator = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 90, 800)
    rows = generator.standard_normal((90, 16))[labels] + 1.2 * generator.standard_normal((800, 16))
    descriptors = unit(rows)
    queries = generator.random(800) < 0.5
    include = ("precision_at_1", "mean_average_precision_at_r", "r_precision")
    theirs = calculator.AccuracyCalculator(include=include, k="max_bin_count", device=torch.device("cpu"))
    if split == "one set":
        expected = theirs.get_accuracy(descriptors, labels)
        result = evaluate_labels(descriptors, labels)
    else:
        expected = theirs.get_accuracy(
            descriptors[queries], labels[queries], descriptors[~queries], labels[~queries]
        )
        result = evaluate_labels(descriptors, labels, queries=queries, gallery=~queries)
    counted = result.per_query.positives > 0
    assert result.map_at_r == pytest.approx(expected["mean_average_precision_at_r"], abs=1e-9)
    assert result.r_precision == pytest.approx(expected["r_precision"], abs=1e-9)
    # Theirs leaves out queries without a positive.
    hits = result.per_query.recall[counted, 0]
    assert hits.mean() == pytest.approx(expected["precision_at_1"], abs=1e-9)


def test_progress_reaches_its_end():
    descriptors, labels = drawn(5, "plain")
    told = []
    evaluate_labels(descriptors, labels, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0


ROWS = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"descriptors": ROWS.astype(np.float64)}, "float32 descriptors (n, dim)"),
        ({"descriptors": ROWS * 2}, "number 0 has 2: divide each by its norm"),
        ({"descriptors": np.full((4, 4), np.nan, np.float32)}, "number 0 has nan"),
        ({"labels": np.arange(3)}, "a label each"),
        ({"labels": np.zeros(4)}, "labels are whole numbers, not float64"),
        ({"ks": (0, 1)}, "k of at least 1"),
        ({"ks": ()}, "k of at least 1"),
        ({"queries": np.arange(4)}, "4 booleans, not by int64 (4,)"),
        ({"queries": np.zeros(4, np.bool_)}, "not a single query"),
        ({"gallery": np.zeros(4, np.bool_)}, "not a single database image"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, words):
    arguments = {"descriptors": ROWS, "labels": np.arange(4), **change}
    with pytest.raises(InvalidInput) as caught:
        evaluate_labels(
            arguments.pop("descriptors"),
            arguments.pop("labels"),
            queries=arguments.get("queries"),
            gallery=arguments.get("gallery"),
            ks=arguments.get("ks", (1,)),
        )
    assert words in str(caught.value)
