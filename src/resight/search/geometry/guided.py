"""Which features of one photo have a like one in the other, where a transform takes them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.features import LocalFeatures
from resight.search.geometry.fitting import apply
from resight.search.geometry.matching import similarities_of
from resight.search.geometry.places import within

__all__ = ["guided"]

TURN, SIZE = 0.45, 0.55
"""How far its orientation (radians) and the logarithm of its size may be from what the transform predicts."""


def guided(
    query: LocalFeatures,
    answer: LocalFeatures,
    transform: Float64[np.ndarray, "3 3"],
    reach: float,
    least: float,
) -> tuple[Bool[np.ndarray, " q"], Bool[np.ndarray, " q"]]:
    """Returns which features of the query meet any feature where the transform takes them, and a like one."""
    left, right = _near(apply(transform, query.positions), answer.positions, reach)
    near, alike = np.zeros((2, len(query)), dtype=bool)
    near[left] = True
    middle = query.positions.mean(axis=0, keepdims=True)
    moved, depth = apply(transform, middle)[0], float(middle[0] @ transform[2, :2] + transform[2, 2])
    linear = (transform[:2, :2] - np.outer(moved, transform[2, :2])) / depth
    turn = float(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    size = max(abs(float(np.linalg.det(linear))), 1e-12) ** 0.5
    turned = answer.orientations[right] - query.orientations[left] - turn
    grown = np.maximum(answer.scales[right], 1e-3) / np.maximum(query.scales[left], 1e-3) / size
    fits = np.abs(np.log(grown)) < SIZE
    if not (query.has_sizes or answer.has_sizes):
        fits[:] = True
    if query.orientations.any() or answer.orientations.any():
        fits &= np.abs((turned + np.pi) % (2 * np.pi) - np.pi) < TURN
    left, right = left[fits], right[fits]
    alike[left[similarities_of(query, answer, left, right) >= least]] = True
    return near, alike


def _near(
    points: Float64[np.ndarray, "q 2"], others: Float32[np.ndarray, "a 2"], reach: float
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Returns the pairs of numbers that are nearer than ``reach``, without a look at all pairs.

    The others lie in bands as high as ``reach``, in each from left to right; a point looks into three.
    """
    # Points far outside have no neighbours; as numbers of bands they would lose their places in a row.
    low, high = others.min(axis=0) - 2 * reach, others.max(axis=0) + 2 * reach
    here = np.flatnonzero(within(points, low, high))
    (x, y), (column, row) = (np.ascontiguousarray((side - low).T) for side in (points[here], others))
    length = float(high[0] - low[0]) + 2 * reach
    keys = np.floor(row / reach) * length + column
    order = np.argsort(keys)
    starts = np.floor(y / reach)[:, None] + [-1.0, 0.0, 1.0]
    places = (starts * length + x[:, None]).ravel()
    first, last = (np.searchsorted(keys[order], places + side) for side in (-reach, reach))
    counts = last - first
    # Each run counts up from its first place.
    start = np.repeat(first - (np.cumsum(counts) - counts), counts)
    right = order[start + np.arange(len(start))]
    left = np.repeat(np.repeat(np.arange(len(here)), 3), counts)
    close = (x[left] - column[right]) ** 2 + (y[left] - row[right]) ** 2 < reach**2
    return here[left[close]], right[close]
