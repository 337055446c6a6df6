"""Pairs to groups by a rule that does not chain: one wrong pair must not join two groups."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["groups_of"]


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
