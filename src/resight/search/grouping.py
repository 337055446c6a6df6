"""Pairs to groups by a rule that does not chain: one wrong pair must not join two groups."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable

__all__ = ["dense_groups", "groups_of"]

DENSE = 0.2
"""Share of the pairs that could be, from which pairs that are not sure join two groups."""
CANDIDATES = 16
"""Pairs of one photo that could be, at most: it has no more candidates."""


def groups_of(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Returns groups of two or more, each sorted, the largest first and then by their first member.

    Connected components from which the bridges between groups are taken out. A bridge is a pair without which
    its component falls apart (R. Tarjan, A note on finding the bridges of a graph, Information Processing
    Letters 1974). It joins two groups where two or more stand on both of its sides; one that only holds a
    single member to the others stays, as a picture whose cropped copies show different parts of it has
    nothing but such pairs. Groups only grow when pairs are added, unless two are joined.

    Args:
        pairs: Two different numbers each, in any order; the same pair counts once.

    >>> groups_of([(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (3, 5)])
    [[0, 1, 2], [3, 4, 5]]
    >>> groups_of([(0, 1), (0, 2), (0, 3)])
    [[0, 1, 2, 3]]
    """
    neighbours: dict[int, set[int]] = {}
    for one, other in pairs:
        if one != other:
            neighbours.setdefault(one, set()).add(other)
            neighbours.setdefault(other, set()).add(one)
    for one, other in _joining(neighbours):
        neighbours[one].discard(other)
        neighbours[other].discard(one)
    groups = [sorted(group) for group in _components(neighbours) if len(group) > 1]
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def dense_groups(sure: Iterable[tuple[int, int]], doubtful: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Returns groups of two or more, in the order of `groups_of`: pairs in doubt join only in numbers.

    The sure pairs make groups as in `groups_of`. Then the two groups, or photos alone, between which the
    largest share of all possible pairs is there, sure or not, become one, as long as that share is `DENSE` or
    more; two groups have at least two pairs. A photo of the smaller group has `CANDIDATES` possible pairs at
    most. This is average linkage (R. Sokal and C. Michener, A statistical method for evaluating systematic
    relationships, University of Kansas Science Bulletin 1958) of groups that begin as sure ones.

    Args:
        sure: Two different numbers each, in any order.
        doubtful: The same.

    >>> dense_groups([(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)], [(2, 3), (6, 0), (6, 1), (7, 8)])
    [[0, 1, 2, 6], [3, 4, 5], [7, 8]]
    """
    trusted = {(min(pair), max(pair)) for pair in sure if pair[0] != pair[1]}
    pairs = trusted | {(min(pair), max(pair)) for pair in doubtful if pair[0] != pair[1]}
    groups = dict(enumerate(groups_of(trusted)))
    owner = {number: place for place, group in groups.items() for number in group}
    for number in sorted({number for pair in pairs for number in pair} - owner.keys()):
        owner[number] = len(groups)
        groups[len(groups)] = [number]
    between: dict[int, Counter[int]] = {place: Counter() for place in groups}
    for one, other in pairs:
        if owner[one] != owner[other]:
            between[owner[one]][owner[other]] += 1
            between[owner[other]][owner[one]] += 1
    _join(groups, between)
    joined = [sorted(group) for group in groups.values() if len(group) > 1]
    return sorted(joined, key=lambda group: (-len(group), group[0]))


def _join(groups: dict[int, list[int]], between: dict[int, Counter[int]]) -> None:
    """Joins groups in place, the densest pair of them first; equal ones in their order.

    Args:
        groups: By a number each; two that are joined get a new one.
        between: How many pairs there are between a group and the others.
    """

    def entry(one: int, other: int) -> tuple[float, int, int]:
        small, large = sorted((len(groups[one]), len(groups[other])))
        count = between[one][other]
        is_alone = small > 1 and count < 2
        share = 0.0 if is_alone else count / (small * min(large, CANDIDATES))
        return -share, min(one, other), max(one, other)

    waiting = [entry(one, other) for one, others in between.items() for other in others if one < other]
    heapq.heapify(waiting)
    numbers = itertools.count(len(groups))
    while waiting:
        away, one, other = heapq.heappop(waiting)
        if one not in groups or other not in groups:
            continue
        if -away < DENSE:
            return
        new = next(numbers)
        counts = between.pop(one) + between.pop(other)
        del counts[one], counts[other]
        groups[new], between[new] = groups.pop(one) + groups.pop(other), counts
        for third, count in counts.items():
            del between[third][one], between[third][other]
            between[third][new] = count
            heapq.heappush(waiting, entry(new, third))


def _components(neighbours: dict[int, set[int]]) -> list[list[int]]:
    seen: set[int] = set()
    components = []
    for start in sorted(neighbours):
        if start in seen:
            continue
        seen.add(start)
        component = [start]
        for node in component:
            new = neighbours[node] - seen
            seen |= new
            component.extend(sorted(new))
        components.append(component)
    return components


def _joining(neighbours: dict[int, set[int]]) -> list[tuple[int, int]]:
    """Returns the bridges with two or more on both sides."""
    joining: list[tuple[int, int]] = []
    order: dict[int, int] = {}
    for component in _components(neighbours):
        # Depth first without recursion: a component may be as deep as it is large.
        root = component[0]
        low, below, parent = {}, {}, {root: root}
        stack = [(root, iter(sorted(neighbours[root])))]
        order[root] = low[root] = len(order)
        below[root] = 1
        while stack:
            node, others = stack[-1]
            for other in others:
                if other not in order:
                    order[other] = low[other] = len(order)
                    below[other], parent[other] = 1, node
                    stack.append((other, iter(sorted(neighbours[other]))))
                    break
                if other != parent[node]:
                    low[node] = min(low[node], order[other])
            else:
                stack.pop()
                if node == root:
                    continue
                above = parent[node]
                low[above] = min(low[above], low[node])
                below[above] += below[node]
                if low[node] > order[above] and 2 <= below[node] <= len(component) - 2:
                    joining.append((above, node))
    return joining
