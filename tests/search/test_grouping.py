"""Pairs to groups: one wrong pair joins no two groups, and parts of one picture stay together."""

from __future__ import annotations

import itertools

import numpy as np

from resight.search import dense_groups, groups_of
from resight.search.grouping import CANDIDATES, DENSE


def clique(members):
    return list(itertools.combinations(members, 2))


def literal(pairs):
    """The rule without Tarjan: each pair is taken out in turn, and the two sides are counted."""

    def reached(start, among):
        seen, waiting = {start}, [start]
        while waiting:
            node = waiting.pop()
            for pair in among:
                if node in pair:
                    (other,) = set(pair) - {node}
                    if other not in seen:
                        seen.add(other)
                        waiting.append(other)
        return seen

    among = {tuple(sorted(pair)) for pair in pairs if pair[0] != pair[1]}
    kept = set()
    for pair in among:
        one, other = (reached(node, among - {pair}) for node in pair)
        if pair[1] in one or min(len(one), len(other)) < 2:
            kept.add(pair)
    groups = {frozenset(reached(node, kept)) for pair in kept for node in pair}
    return sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group[0]))


def test_it_is_the_rule_as_it_is_said():
    rng = np.random.default_rng(3)
    for _ in range(200):
        size = int(rng.integers(2, 14))
        pairs = [tuple(pair) for pair in rng.integers(0, size, (int(rng.integers(1, 20)), 2)).tolist()]
        assert groups_of(pairs) == literal(pairs)


def test_one_wrong_pair_joins_no_two_groups():
    assert groups_of([*clique(range(4)), *clique(range(4, 7)), (3, 4)]) == [[0, 1, 2, 3], [4, 5, 6]]
    assert groups_of([(0, 1), (2, 3), (1, 2)]) == [[0, 1], [2, 3]]


def test_two_pairs_do():
    assert groups_of([*clique(range(3)), *clique(range(3, 6)), (2, 3), (1, 4)]) == [[0, 1, 2, 3, 4, 5]]


def test_parts_of_one_picture_that_have_nothing_in_common_stay_together():
    assert groups_of([(7, part) for part in (1, 2, 3, 4)]) == [[1, 2, 3, 4, 7]]


def test_groups_only_grow_when_pairs_are_added():
    pairs = clique(range(5))
    before = groups_of(pairs)
    assert set(before[0]) <= set(groups_of([*pairs, (4, 9), (9, 10)])[0])


def test_a_long_ring_needs_no_recursion():
    ring = [(n, n + 1) for n in range(20_000)] + [(20_000, 0)]
    assert groups_of(ring) == [list(range(20_001))]


def test_nothing_and_one_photo_are_no_group():
    assert groups_of([]) == []
    assert groups_of([(3, 3)]) == []


def literal_dense(sure, doubtful):
    """The rule with all shares computed anew at each step."""
    pairs = {tuple(sorted(pair)) for pair in [*sure, *doubtful] if pair[0] != pair[1]}
    groups = groups_of(sure)
    alone = {node for pair in pairs for node in pair} - {node for group in groups for node in group}
    groups += [[node] for node in sorted(alone)]

    def share(one, other):
        count = sum((min(a, b), max(a, b)) in pairs for a in one for b in other)
        small, large = sorted((len(one), len(other)))
        return 0.0 if small > 1 and count < 2 else count / (small * min(large, CANDIDATES))

    while True:
        found = [(share(one, other), one, other) for one, other in itertools.combinations(groups, 2)]
        best = max((each[0] for each in found), default=0.0)
        if best < DENSE:
            groups = [sorted(group) for group in groups if len(group) > 1]
            return sorted(groups, key=lambda group: (-len(group), group[0]))
        # The first in order: joined ones stand last.
        _, one, other = next(each for each in found if each[0] == best)
        groups = [group for group in groups if group not in (one, other)] + [one + other]


def test_density_is_the_rule_as_it_is_said():
    rng = np.random.default_rng(4)
    for _ in range(300):
        size = int(rng.integers(2, 14))
        sure, doubtful = (
            [tuple(pair) for pair in rng.integers(0, size, (int(rng.integers(0, 16)), 2)).tolist()]
            for _ in range(2)
        )
        assert dense_groups(sure, doubtful) == literal_dense(sure, doubtful)


def test_some_doubtful_pairs_join_no_two_groups_and_many_do():
    places = [*clique(range(8)), *clique(range(8, 16))]
    between = [(n, 8 + (n + step) % 8) for n in range(8) for step in range(2)]
    assert len(dense_groups(places, between[:7])) == 2
    assert dense_groups(places, between) == [list(range(16))]
    # One pair joins no two groups, however small; a photo alone needs its share.
    assert dense_groups([(0, 1), (2, 3)], [(1, 2)]) == [[0, 1], [2, 3]]
    assert dense_groups(clique(range(8)), [(8, 0)]) == [list(range(8))]
    assert dense_groups(clique(range(8)), [(8, 0), (8, 3)]) == [list(range(9))]


def test_a_large_group_takes_photos_that_have_few_candidates():
    assert dense_groups(clique(range(60)), [(60, 0), (60, 1), (60, 2), (60, 3)]) == [list(range(61))]
