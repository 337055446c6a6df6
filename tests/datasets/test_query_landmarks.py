"""Which queries show the same landmark, in every form in which a ground truth tells."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest

from resight.datasets import read_landmark_truth
from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.datasets.oxford_paris import read_oxford_paris_lists
from resight.datasets.query_landmarks import query_landmarks, sharing_answers
from resight.errors import InvalidInput


def truth(positives, *, queries=None, formula="trapezoidal", landmarks=()):
    names = tuple(queries or (f"photo-{number}" for number in range(len(positives))))
    sets = tuple(None if some is None else frozenset(some) for some in positives)
    task = Task("all", sets, (frozenset(),) * len(sets))
    database = tuple(map(str, range(100)))
    return LandmarkTruth("made", database, names, (None,) * len(names), (task,), formula, "", landmarks)


def literal(answers):
    """The closed relation, by joining groups until nothing joins."""
    groups = [{number} for number in range(len(answers))]
    for first, second in combinations(range(len(answers)), 2):
        shared = len(answers[first] & answers[second])
        if shared and 2 * shared >= min(len(answers[first]), len(answers[second])):
            one, other = (next(group for group in groups if query in group) for query in (first, second))
            if one is not other:
                groups.remove(other)
                one |= other
    return {frozenset(group) for group in groups}


def test_shared_answers_join_queries_as_a_literal_loop_does():
    generator = np.random.default_rng(4)
    for _ in range(20):
        answers = [set(generator.integers(0, 60, generator.integers(0, 9)).tolist()) for _ in range(25)]
        groups = defaultdict(set)
        for query, number in enumerate(sharing_answers(answers)):
            groups[number].add(query)
        assert {frozenset(group) for group in groups.values()} == literal(answers)


@pytest.mark.parametrize(
    ("positives", "expected"),
    [
        ([{1, 2}, {2, 3}, {4}], (0, 0, 1)),
        # A photo of two landmarks joins nothing.
        ([{1, 2, 3, 4}, {4, 5, 6, 7}], (0, 1)),
        ([set(), None, {1}], (0, 1, 2)),
        # Through a third one.
        ([{1, 2}, {5, 6}, {1, 6}], (0, 0, 0)),
    ],
)
def test_positives_tell(positives, expected):
    assert query_landmarks(truth(positives)).of == expected


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        (("all_souls_1", "all_souls_2", "keble_1"), (0, 0, 1)),
        (("a_0", "b_0", "b_1"), (0, 1, 1)),
        (("b_2", "a_1", "b_1"), (0, 1, 0)),
        # Photos' numbers, one name alone, and names without numbers are no landmarks: positives tell.
        (("oxford_002985", "all_souls_000013", "oxford_001752"), (0, 1, 2)),
        (("q_1", "q_2", "q_3"), (0, 1, 2)),
        (("a_1", "a_2", "b"), (0, 1, 2)),
        (("a_1", "a_3", "b_1"), (0, 1, 2)),
    ],
)
def test_names_tell_where_they_number_landmarks(queries, expected):
    assert query_landmarks(truth([{1}, {2}, {3}], queries=queries)).of == expected


def test_the_ground_truths_own_landmarks_come_first(tmp_path):
    entry = {"bbx": [0, 0, 1, 1], "easy": [0], "hard": [], "junk": []}
    content = {
        "imlist": ["a", "b"],
        "qimlist": ["x_1", "x_2", "y_1"],
        "gnd": [entry | {"landmark": name} for name in ("tower", 7, "tower")],
    }
    path = tmp_path / "gnd_made.json"
    path.write_text(json.dumps(content))
    found = query_landmarks(read_landmark_truth(path))
    assert (found.of, found.count, found.found) == ((0, 1, 0), 2, "as the ground truth names them")
    del content["gnd"][1]["landmark"]
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match=r"query number 1 \(from 0\) has no landmark, and others have"):
        read_landmark_truth(path)
    content["gnd"][1]["landmark"] = [1]
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="a landmark is a name or a whole number"):
        read_landmark_truth(path)


def test_the_lists_of_oxford_name_the_landmark_and_not_the_photo(tmp_path):
    for name, photo in (("all_souls_1", "oxford_000001"), ("all_souls_2", "x"), ("keble_1", "oxford_000002")):
        (tmp_path / f"{name}_query.txt").write_text(f"oxc1_{photo} 0 0 1 1\n")
        for kind in ("good", "ok", "junk"):
            (tmp_path / f"{name}_{kind}.txt").write_text("")
    read = read_oxford_paris_lists(tmp_path, ("oxford_000001", "x", "oxford_000002"))
    assert read.landmarks == ("all_souls", "all_souls", "keble")
    assert len(read.files) == 12


def test_routes_tell_nothing():
    assert query_landmarks(truth([{1, 2}, {2, 3}], formula="recall")) is None
    assert query_landmarks(truth([{1}, {2}], formula="recall", landmarks=("a", "b"))).of == (0, 1)


def test_landmarks_are_as_many_as_queries():
    with pytest.raises(InvalidInput, match="lists 2 queries, but landmarks for 1"):
        truth([{1}, {2}], landmarks=("a",))


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "sizes"),
    [
        ("gnd_oxford5k.mat", {5: 11}),
        ("gnd_paris6k.mat", {5: 11}),
        # One facade of Balliol shares no photo with the others.
        ("gnd_roxford5k.pkl", {5: 5, 8: 5, 4: 1, 1: 1}),
        ("gnd_rparis6k.pkl", {5: 6, 8: 5}),
        ("gnd_holidays.mat", {1: 500}),
    ],
)
def test_the_authors_landmarks_are_found(data, file, sizes):
    found = query_landmarks(read_landmark_truth(data / "annotations" / file))
    assert Counter(Counter(found.of).values()) == sizes
