"""Intervals and tests on numbers whose answers are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.evaluation import bootstrap, most_changed, paired


def test_an_interval_is_about_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(0.4, 0.2, 2000)
    interval = bootstrap(values, draws=4000)
    error = values.std() / math.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert bootstrap(values, level=0.5).high < interval.high


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = 0
    for seed in range(200):
        values = (np.random.default_rng(seed).random(100) < 0.3).astype(np.float64)
        interval = bootstrap(values, draws=300, seed=seed)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_queries_that_do_not_count_are_left_out():
    values = np.array([0.5, math.nan, 1.0, math.nan])
    assert bootstrap(values).count == 2
    assert bootstrap(values).mean == 0.75
    assert bootstrap(np.full(3, math.nan)).count == 0
    assert math.isnan(bootstrap(np.full(3, math.nan)).low)


def test_the_seed_decides():
    values = np.random.default_rng(1).random(50)
    assert bootstrap(values, seed=2) == bootstrap(values, seed=2) != bootstrap(values, seed=3)


def literal_p_value(differences):
    observed = abs(sum(differences))
    signs = list(itertools.product((-1, 1), repeat=len(differences)))
    hits = sum(abs(np.dot(sign, differences)) >= observed - 1e-12 for sign in signs)
    return hits / len(signs)


def test_the_p_value_is_that_of_all_signs():
    generator = np.random.default_rng(5)
    first = generator.random(10)
    second = first + generator.normal(0.05, 0.1, 10)
    test = paired(first, second, draws=40_000)
    assert test.p_value == pytest.approx(literal_p_value(second - first), abs=0.01)


def test_alike_results_are_rarely_told_apart():
    small = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        first, second = generator.random((2, 60))
        small += paired(first, second, draws=400, seed=seed).p_value <= 0.05
    assert 2 <= small <= 20


def test_a_real_difference_is_seen_and_counted():
    first = np.linspace(0, 0.8, 200)
    second = np.where(np.arange(200) % 4 == 0, first, first + 0.1)
    second[1] = first[1] - 0.1
    test = paired(first, second)
    assert (test.better, test.worse, test.equal) == (149, 1, 50)
    assert test.difference.mean == pytest.approx(0.1 * (149 - 1) / 200)
    assert test.p_value == 1 / 10_001
    turned = paired(second, first)
    assert (turned.p_value, turned.better, turned.worse) == (test.p_value, 1, 149)
    assert turned.difference.mean == pytest.approx(-test.difference.mean)
    nearly = np.where(np.arange(200) < 90, first - 0.1, first + 0.1)
    assert paired(first, nearly).p_value == paired(nearly, first).p_value > 0.05


def test_no_difference_is_no_evidence():
    values = np.array([0.1, 0.4, math.nan])
    test = paired(values, values)
    assert (test.p_value, test.equal, test.difference.mean) == (1.0, 2, 0.0)


def test_most_changed_queries_come_first():
    first = np.array([0.5, 0.5, 0.5, 0.5, math.nan])
    second = np.array([0.6, 0.1, 0.5, 0.9, 0.3])
    assert most_changed(first, second, 10).tolist() == [1, 3, 0]
    assert most_changed(first, second, 1).tolist() == [1]


def test_impossible_arguments_are_refused():
    with pytest.raises(InvalidInput, match="as many values on both sides"):
        paired(np.zeros(3), np.zeros(4))
    with pytest.raises(InvalidInput, match="at least one draw"):
        paired(np.zeros(3), np.zeros(3), draws=0)
    for draws, level in ((0, 0.5), (10, 0.0), (10, 1.0)):
        with pytest.raises(InvalidInput, match="level in"):
            bootstrap(np.zeros(3), draws=draws, level=level)


def by_class(values, classes, generator):
    """Returns one bootstrap mean by a literal loop: drawn classes, each with all its queries."""
    names = sorted(set(classes))
    drawn = [names[generator.integers(len(names))] for _ in names]
    chosen = [
        value
        for name in drawn
        for value, of in zip(values, classes, strict=True)
        if of == name and not math.isnan(value)
    ]
    return sum(chosen) / len(chosen)


def test_an_interval_by_classes_is_that_of_a_literal_loop():
    generator = np.random.default_rng(3)
    classes = np.repeat(np.arange(12), generator.integers(1, 30, 12))
    values = generator.normal(0.5, 0.3, 12)[classes] + generator.normal(0, 0.05, len(classes))
    values[::17] = math.nan
    interval = bootstrap(values, classes=classes, draws=3000)
    means = [by_class(values, classes.tolist(), generator) for _ in range(3000)]
    assert interval.mean == pytest.approx(np.nanmean(values))
    assert (interval.low, interval.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)
    by_query = bootstrap(values, draws=3000)
    assert interval.high - interval.low > 2 * (by_query.high - by_query.low)
    # Every query in a class of its own is a query drawn.
    assert bootstrap(values, classes=np.arange(len(values))) == bootstrap(values)


def test_classes_that_agree_within_themselves_cover_the_truth_by_classes_alone():
    covered = {"classes": 0, "queries": 0}
    for seed in range(200):
        generator = np.random.default_rng(seed)
        classes = np.repeat(np.arange(40), 10)
        values = np.repeat((generator.random(40) < 0.3).astype(np.float64), 10)
        for unit, given in (("classes", classes), ("queries", None)):
            interval = bootstrap(values, classes=given, draws=300, seed=seed)
            covered[unit] += interval.low <= 0.3 <= interval.high
    assert covered["classes"] / 200 >= 0.85
    assert covered["queries"] / 200 <= 0.6


def test_the_p_value_by_classes_is_that_of_all_signs_of_the_classes():
    generator = np.random.default_rng(6)
    classes = np.repeat(np.arange(8), 5)
    first = generator.random(40)
    second = first + np.repeat(generator.normal(0.05, 0.1, 8), 5)
    sums = [(second - first)[classes == name].sum() for name in range(8)]
    test = paired(first, second, classes=classes, draws=40_000)
    assert test.p_value == pytest.approx(literal_p_value(sums), abs=0.01)
    assert test.p_value > paired(first, second).p_value
