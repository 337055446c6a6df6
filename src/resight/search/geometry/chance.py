"""How many inliers the best of many transforms finds among matches that mean nothing."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["inliers_by_chance"]


def inliers_by_chance(matches: int, share: float, *, sample: int, tests: float) -> float:
    """Returns the number of inliers that chance reaches once: where the number of false alarms is 1.

    The a-contrario model of L. Moisan and B. Stival, A probabilistic criterion to detect rigid point matches
    between two images and estimate the fundamental matrix, IJCV 2004: matches fall anywhere, each within the
    threshold of its place with probability ``share``. A transform through ``sample`` of them explains k or
    more with probability P(B(matches - sample, share) >= k - sample), and ``tests`` times that many of the
    transforms do. Between whole numbers the logarithm is interpolated.

    Args:
        matches: Matches that are fitted.
        share: Area of the threshold's disc in that of the answer's features, at most 1.
        sample: Matches that determine a transform: they are always inliers.
        tests: Transforms that are tried.

    >>> round(inliers_by_chance(100, 0.01, sample=2, tests=4950), 1) > 2
    True
    """
    others = matches - sample
    if others < 0:
        return 0.0
    if others == 0 or share >= 1.0 or tests <= 1.0:
        return float(matches if share >= 1.0 else min(sample, matches))
    # Logarithms: a chance of 1e-300 is no rarity with 500 matches.
    count = np.arange(others + 1)
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, others + 1)))])
    chance = factorial[others] - factorial[count] - factorial[others - count]
    chance += count * math.log(share) + (others - count) * math.log1p(-share)
    tail = np.logaddexp.accumulate(chance[::-1])[::-1] + math.log(tests)
    rare = np.flatnonzero(tail < 0)
    if len(rare) == 0:
        return float(matches)
    first = int(rare[0])
    if first == 0:
        return float(sample)
    return sample + first - 1 + float(tail[first - 1] / (tail[first - 1] - tail[first]))
