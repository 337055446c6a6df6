"""Pairs to groups: one wrong pair joins no two groups, and parts of one picture stay together."""

from __future__ import annotations

import itertools

import numpy as np

from resight.search import groups_of


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
