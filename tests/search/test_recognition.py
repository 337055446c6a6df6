"""The recognition rule against literal loops, and the threshold against every threshold there is."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.evaluation.measures.recognition import micro_average_precision
from resight.search.recognition import VotingRule, choose_threshold, neighbour_scores, recognise


def literal_rule(labels, cosines, inliers, neighbours, most):
    """The rule as the paper says it."""
    rows = []
    for place, (label, cosine, count) in enumerate(zip(labels, cosines, inliers, strict=True)):
        rows.append((-(min(count or 0, most) / most + cosine), place, label))
    sums = {}
    for score, _, label in sorted(rows)[:neighbours]:
        sums[label] = sums.get(label, 0.0) - score
    winner = max(sums, key=lambda label: sums[label])
    return winner, sums


@pytest.mark.parametrize("seed", range(20))
def test_labels_and_sums_are_those_of_a_literal_loop(seed):
    rng = np.random.default_rng(seed)
    n, neighbours, most = int(rng.integers(1, 12)), int(rng.integers(1, 6)), int(rng.integers(1, 80))
    labels = [f"place {number}" for number in rng.integers(0, 4, n)]
    cosines = rng.uniform(-1, 1, n).tolist()
    inliers = [None if rng.random() < 0.3 else int(rng.integers(0, 120)) for _ in range(n)]
    winner, sums = literal_rule(labels, cosines, inliers, neighbours, most)
    found = recognise(labels, neighbour_scores(cosines, inliers, max_inliers=most), neighbours=neighbours)
    assert found[0].label == winner
    assert {one.label: one.score for one in found} == pytest.approx(sums)
    assert sum(len(one.members) for one in found) == min(neighbours, n)


def test_two_weaker_neighbours_of_a_label_outvote_the_best_one():
    scores = neighbour_scores([0.9, 0.6, 0.5], [0, 7, 7], max_inliers=35)
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.7])
    found = recognise(["arch", "tower", "tower"], scores)
    assert [(one.label, one.members) for one in found] == [("tower", (1, 2)), ("arch", (0,))]
    assert found[0].score == pytest.approx(1.5)


def test_inliers_beyond_the_most_count_no_more():
    np.testing.assert_array_equal(
        neighbour_scores([0.5, 0.5, 0.5], [69, 70, 700], max_inliers=70), [0.5 + 69 / 70, 1.5, 1.5]
    )


def test_of_equal_neighbours_the_first_votes_and_of_equal_labels_the_one_it_has_leads():
    scores = np.array([0.5, 0.5, 0.5, 0.5])
    found = recognise(["b", "a", "c", "a"], scores, neighbours=3)
    assert [one.label for one in found] == ["b", "a", "c"]


def test_without_neighbours_there_is_no_label():
    assert recognise([], np.zeros(0)) == []


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: neighbour_scores([0.1], []),
            "neighbours need a finite cosine and inliers each, got 1 and 0",
        ),
        (lambda: neighbour_scores([float("nan")], [1]), "finite cosine"),
        (lambda: recognise(["a"], np.zeros(2)), "got 1 labels, 2 scores"),
        (lambda: recognise(["a"], np.zeros(1), neighbours=0), "neighbours=0"),
        (lambda: VotingRule(neighbours=0), "neighbours and max_inliers of at least 1"),
        (lambda: VotingRule(verify=-1), "verify of at least 0"),
        (lambda: VotingRule(max_inliers=0), "not 3, 0 and 10"),
    ],
)
def test_what_cannot_be_right_is_refused(call, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        call()


def f1_at(threshold, scores, right, known):
    given = hits = 0
    for score, is_right in zip(scores, right, strict=True):
        if score >= threshold:
            given += 1
            hits += int(is_right)
    return 2 * hits / (given + int(known.sum()))


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_has_a_larger_f1(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 40))
    known = rng.random(n) < 0.6
    known[:2] = True, False
    right = known & (rng.random(n) < 0.8)
    right[0] = True
    # Few levels, so that scores are often equal.
    scores = np.round(rng.normal(known + 0.5 * right, 0.5), 1)
    chosen = choose_threshold("label", VotingRule(), scores, right, known)
    every = [f1_at(threshold, scores, right, known) for threshold in scores]
    assert f1_at(chosen.threshold, scores, right, known) == pytest.approx(max(every))
    assert chosen.f1 == pytest.approx(max(every))
    # The largest of the equally good ones.
    higher = [score for score in scores if score > chosen.threshold]
    later = [f1_at(score, scores, right, known) for score in set(higher) - {min(higher, default=0)}]
    assert all(value < chosen.f1 for value in later)
    assert (chosen.known, chosen.unknown) == (int(known.sum()), int((~known).sum()))
    assert chosen.rejected == pytest.approx((scores < chosen.threshold)[~known].mean())


def test_the_threshold_lies_half_way_between_what_is_told_apart():
    chosen = choose_threshold(
        "place",
        VotingRule(),
        np.array([2.0, 1.0, 0.4, 0.2]),
        np.array([True, True, False, False]),
        np.array([True, True, False, True]),
    )
    assert chosen.threshold == pytest.approx(0.7)
    assert (chosen.precision, chosen.rejected) == (1.0, 1.0)
    assert chosen.recall == pytest.approx(2 / 3)


def test_nothing_right_gives_no_threshold():
    no, yes = np.array([False, False]), np.array([True, False])
    with pytest.raises(InvalidInput, match="none of the 1 known among 2 validation photos"):
        choose_threshold("label", VotingRule(), np.array([1.0, 2.0]), no, yes)
    with pytest.raises(InvalidInput, match="only a known one can be right"):
        choose_threshold("label", VotingRule(), np.array([1.0, 2.0]), ~yes, yes)


def test_leaving_out_the_last_answers_never_raises_micro_ap():
    """Why the threshold is not chosen by it."""
    rng = np.random.default_rng(4)
    scores = rng.permutation(20) / 20
    images = [f"{number:02d}" for number in range(20)]
    truth = {image: frozenset(["a"] if number < 12 else []) for number, image in enumerate(images)}
    classes = ["a" if rng.random() < 0.7 else "b" for _ in images]
    values = []
    for threshold in sorted(scores):
        kept = [number for number in range(20) if scores[number] >= threshold]
        given = [images[number] for number in kept], [classes[number] for number in kept], scores[kept]
        values.append(micro_average_precision(*given, truth))
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]
