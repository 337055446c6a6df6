"""Measures of the landmark benchmarks, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from resight.datasets.landmark_truth import Task
from resight.errors import InvalidInput
from resight.evaluation.measures.landmarks import main_quantity, measure_task, ranks_without
from resight.evaluation.measures.recognition import (
    average_precisions_at_100,
    mean_average_precision_at_100,
    micro_average_precision,
    micro_average_precision_interval,
)
from resight.evaluation.measures.retrieval import precision_at, rectangular_at_100, trapezoidal
from resight.search import Ranking
from resight.search.exact import ranks_of


def ranks(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    ("found", "positives", "k", "expected"),
    [
        (ranks(0, 2), 2, 1, 1.0),
        (ranks(0, 2), 2, 5, 2 / 3),  # the last positive is third: three answers are looked at
        (ranks(0, 1), 2, 10, 1.0),
        (ranks(4, 20), 5, 5, 1 / 5),
        (ranks(4, 20), 5, 10, 1 / 10),
        (ranks(), 3, 5, 0.0),  # none of the positives is ranked
    ],
)
def test_mean_precision_ends_at_the_last_positive(found, positives, k, expected):
    assert precision_at(found, positives, k) == pytest.approx(expected)


def test_without_positives_there_is_no_value():
    for value in (precision_at(ranks(), 0, 5), trapezoidal(ranks(), 0), rectangular_at_100(ranks(), 0)):
        assert np.isnan(value)


@pytest.mark.parametrize(
    ("found", "positives", "expected"),
    [
        (ranks(0, 2), 2, (1 + 2 / 3) / 2),
        (ranks(0, 2), 4, (1 + 2 / 3) / 4),
        (ranks(99), 1, 1 / 100),
        (ranks(100), 1, 0.0),  # the 101st answer does not count
        (ranks(*range(100)), 300, 1.0),  # 100 of 300 in front is all that can be reached
    ],
)
def test_rectangular_average_precision_within_a_hundred(found, positives, expected):
    assert rectangular_at_100(found, positives) == pytest.approx(expected)
    with pytest.raises(InvalidInput, match="positives are ranked"):
        rectangular_at_100(ranks(*found, 500), len(found))


def row(*ids):
    scores = np.linspace(1, 0, len(ids), dtype=np.float32)
    return Ranking(np.array([ids]), scores[None])


def test_what_is_ignored_leaves_before_ranks_are_counted():
    task = Task("x", (frozenset({2, 5, 8}),), (frozenset({1, 4}),))
    found = ranks_of(row(1, 2, 3, 4, 5), [np.array([1, 2, 4, 5, 8])])
    assert ranks_without(found, 0, task).tolist() == [0, 2]
    # A re-ranked head, without what is ignored, decides alone where it has an image.
    assert ranks_without(found, 0, task, head=np.array([3, 5, 2])).tolist() == [1, 2]


def test_each_formula_has_its_measures_and_leaves_out_who_is_not_asked():
    task = Task("easy", (frozenset({2}), None, frozenset()), (frozenset(),) * 3)
    columns = measure_task("trapezoidal", task, [ranks(1), ranks(), ranks()])
    assert [column.quantity.name for column in columns] == [
        "mAP easy",
        "mP@1 easy",
        "mP@5 easy",
        "mP@10 easy",
    ]
    # Second of one: p0 = 0 / 1, p1 = 1 / 2.
    np.testing.assert_array_equal(columns[0].values, [0.25, np.nan, np.nan])
    (column,) = measure_task("rectangular at 100", task, [ranks(1), ranks(), ranks()])
    assert column.quantity.name == "mAP@100 easy"
    np.testing.assert_array_equal(column.values, [0.5, np.nan, np.nan])
    recalls = measure_task("recall", task, [ranks(5), ranks(), ranks()])
    assert [column.values[0] for column in recalls] == [0, 0, 1]
    recalls = measure_task("recall", task, [ranks(4), ranks(), ranks()])
    assert [column.quantity.name for column in recalls] == ["R@1 easy", "R@5 easy", "R@10 easy"]
    assert [column.values[0] for column in recalls] == [0, 1, 1]


@pytest.mark.parametrize(
    ("formula", "name"),
    [("trapezoidal", "mAP hard"), ("rectangular at 100", "mAP@100 hard"), ("recall", "R@1 hard")],
)
def test_each_formula_has_a_main_measure_among_its_own(formula, name):
    task = Task("hard", (frozenset({2}),), (frozenset(),))
    main = main_quantity(formula, "hard")
    assert main.name == name
    assert main in [column.quantity for column in measure_task(formula, task, [ranks(1)])]


RIGHT = {"q1": frozenset({"a", "b"}), "q2": frozenset({"c"}), "q3": frozenset({"a"})}


def test_a_repeated_answer_scores_once_and_keeps_its_rank():
    found = average_precisions_at_100({"q1": ["a", "a", "b"], "q2": ["x", "c"]}, RIGHT)
    # q1: hits at 1 and 3, the repetition holds rank 2; q2: a hit at 2; q3 has no prediction.
    assert found == pytest.approx({"q1": (1 + 2 / 3) / 2, "q2": 0.5, "q3": 0.0})
    assert mean_average_precision_at_100({"q2": ["c"]}, RIGHT) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("predictions", "solution", "words"),
    [
        ({"q9": ["a"]}, RIGHT, "q9, which is no test image"),
        ({}, {"q1": frozenset()}, "q1 has no right answer"),
        ({}, {}, "no test image of this usage"),
    ],
)
def test_retrieval_that_cannot_be_measured_is_refused(predictions, solution, words):
    with pytest.raises(InvalidInput, match=words):
        mean_average_precision_at_100(predictions, solution)


LANDMARKS = {"a": frozenset({"1"}), "b": frozenset({"2", "3"}), "c": frozenset({"1"}), "d": frozenset()}


def micro(*predictions, truth=LANDMARKS):
    images, classes, scores = zip(*predictions, strict=True) if predictions else ((), (), ())
    return micro_average_precision(images, classes, np.array(scores, dtype=np.float64), truth)


def test_micro_average_precision_is_over_all_predictions_together():
    # Right at 1, no landmark at 2, right (one of two) at 3; c is not predicted; three images have a landmark.
    assert micro(("a", "1", 0.9), ("d", "1", 0.8), ("b", "3", 0.7)) == pytest.approx((1 + 2 / 3) / 3)
    assert micro() == 0.0


def test_ties_go_by_image_and_then_by_class():
    assert micro(("b", "2", 0.5), ("a", "9", 0.5)) == pytest.approx((1 / 2) / 3)
    assert micro(("a", "1", 0.5), ("b", "9", 0.5)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        ([("a", "1", 0.5), ("a", "2", 0.4)], "image a is predicted twice"),
        ([("z", "1", 0.5)], "name z, which is no test image"),
        ([("a", "1", np.nan)], "score of image a is NaN"),
    ],
)
def test_recognition_that_cannot_be_measured_is_refused(predictions, words):
    with pytest.raises(InvalidInput, match=words):
        micro(*predictions)


def test_images_without_any_landmark_have_no_measure():
    with pytest.raises(InvalidInput, match="no test image of this usage has a landmark"):
        micro(truth={"d": frozenset()})


def test_the_interval_of_micro_average_precision_holds_it_and_repeats():
    generator = np.random.default_rng(0)
    truth = {f"{number:03}": frozenset({str(number % 7)} if number % 3 else ()) for number in range(200)}
    images = list(truth)[::2]
    classes = [
        str(generator.integers(7)) if number % 2 else str(int(image) % 7)
        for number, image in enumerate(images)
    ]
    scores = generator.random(len(images))
    first = micro_average_precision_interval(images, classes, scores, truth, draws=200, seed=5)
    assert first == micro_average_precision_interval(images, classes, scores, truth, draws=200, seed=5)
    assert first.low < first.mean < first.high
    assert first.mean == pytest.approx(micro_average_precision(images, classes, scores, truth))


def test_the_interval_of_micro_average_precision_equals_a_literal_loop():
    truth = {"a": frozenset({"1"}), "b": frozenset({"2"}), "c": frozenset(), "d": frozenset({"1", "3"})}
    images, classes = ["a", "b", "c", "d"], ["1", "3", "2", "3"]
    scores = np.array([0.4, 0.9, 0.6, 0.7])
    generator, values = np.random.default_rng(7), []
    for _ in range(300):
        # An image drawn twice is two images.
        drawn = [f"{'abcd'[place]}{copy:03}" for copy, place in enumerate(generator.integers(4, size=4))]
        if any(truth[name[0]] for name in drawn):
            places = [images.index(name[0]) for name in drawn]
            values.append(
                micro_average_precision(
                    drawn,
                    [classes[place] for place in places],
                    scores[places],
                    {name: truth[name[0]] for name in drawn},
                )
            )
    found = micro_average_precision_interval(images, classes, scores, truth, draws=300, seed=7, level=0.8)
    np.testing.assert_allclose((found.low, found.high), np.quantile(values, [0.1, 0.9]), rtol=1e-12)
