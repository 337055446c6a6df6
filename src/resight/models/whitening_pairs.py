"""Which photos match and which do not: pairs to learn a whitening from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int64

from resight.errors import InvalidInput

__all__ = ["groups_of_pairs", "matching_pairs", "non_matching_pairs", "numbered"]


def numbered(names: Sequence[Hashable]) -> Int64[np.ndarray, " n"]:
    """Returns a number for each name, the same for equal names: 0 for the first, 1 for the next new one."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def groups_of_pairs(pairs: Int64[np.ndarray, "m 2"], count: int) -> Int64[np.ndarray, " n"]:
    """Returns which of ``count`` photos belong together: those joined by pairs, over any number of steps.

    A photo in no pair is a group of its own.
    """
    leaders = list(range(count))

    def leader(photo: int) -> int:
        while leaders[photo] != photo:
            leaders[photo] = leaders[leaders[photo]]
            photo = leaders[photo]
        return photo

    for first, second in pairs.tolist():
        leaders[leader(second)] = leader(first)
    return numbered([leader(photo) for photo in range(count)])


def matching_pairs(
    groups: Int64[np.ndarray, " n"], generator: np.random.Generator, *, per_photo: int = 10
) -> Int64[np.ndarray, "m 2"]:
    """Returns pairs of photos of one group, in random order within the pair.

    All pairs of a group, or ``per_photo`` times its size drawn without replacement where there are more, so
    that the number of pairs grows with the photos and not with their square.
    """
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        size = len(members)
        total, limit = size * (size - 1) // 2, per_photo * size
        chosen = np.arange(total) if total <= limit else generator.choice(total, limit, replace=False)
        # Pair number t of the lower triangle: row i has i pairs, so that i (i - 1) / 2 <= t.
        rows = ((1 + np.sqrt(1 + 8 * chosen.astype(np.float64))) / 2).astype(np.int64)
        pairs.append(members[np.stack([rows, chosen - rows * (rows - 1) // 2], axis=1)])
    return generator.permuted(np.concatenate(pairs), axis=1)


def non_matching_pairs(
    groups: Int64[np.ndarray, " n"], count: int, generator: np.random.Generator
) -> Int64[np.ndarray, "count 2"]:
    """Returns so many random pairs of photos of different groups; one may be drawn twice.

    Raises:
        InvalidInput: There is one group alone.
    """
    if len(np.unique(groups)) < 2:
        raise InvalidInput("pairs that do not match need photos of at least two groups")
    drawn = np.zeros((0, 2), dtype=np.int64)
    while len(drawn) < count:
        fresh = generator.integers(len(groups), size=(count, 2))
        drawn = np.concatenate([drawn, fresh[groups[fresh[:, 0]] != groups[fresh[:, 1]]]])
    return drawn[:count]
