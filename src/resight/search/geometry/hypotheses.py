"""Transforms that a few matches suggest, many at once, and how many matches agree with each.

Transforms are float32 ``(h, 2, 3)``: a point (x, y, 1) of the source goes to a point (x, y) of the target.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

__all__ = ["draw_distinct", "from_features", "from_pairs", "from_triples", "near", "pairs_of", "support"]

BLOCK = 250_000
"""Distances held at once: their two buffers of 1 MB each stay in the processor's cache."""
BEST = 50
"""Pairs are tried among this many of the most similar matches: 1225 pairs."""
DRAWN = 1200
"""Pairs drawn from all matches besides. Of 300 matches with 15 right ones, 3 pairs are right on average."""


def from_features(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    size: Float32[np.ndarray, " m"],
    turn: Float32[np.ndarray, " m"],
) -> Float32[np.ndarray, "m 2 3"]:
    """Returns the similarity transform of every single match.

    Each match has a position, a scale and an orientation on both sides (J. Philbin et al., Object retrieval
    with large vocabularies and fast spatial matching, CVPR 2007, section 3).

    Args:
        source: Positions in the first photo.
        target: Positions in the second.
        size: The keypoint's scale in the second photo, divided by that in the first.
        turn: Its orientation in the second minus that in the first, radians.
    """
    return _similarities(source, target, size * np.cos(turn), size * np.sin(turn))


def pairs_of(count: int) -> Int64[np.ndarray, "pairs 2"]:
    """Returns which pairs of ``count`` matches, most similar first, are tried: the same for every call."""
    first, second = np.triu_indices(min(count, BEST), 1)
    best = np.stack([first, second], axis=1)
    if count <= BEST:
        return best
    return np.concatenate([best, draw_distinct(np.random.default_rng(0), DRAWN, 2, count)])


def from_pairs(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    pairs: Int64[np.ndarray, "pairs 2"],
    least: float,
    most: float,
) -> Float32[np.ndarray, "h 2 3"]:
    """Returns the similarity transforms of pairs of matches that scale by ``least`` to ``most``.

    For keypoints without an orientation of their own. Of two points p, q that go to p', q', as complex
    numbers, the factor is ``(q' - p') / (q - p)``.
    """
    before = source[pairs[:, 1]] - source[pairs[:, 0]]
    after = target[pairs[:, 1]] - target[pairs[:, 0]]
    length, new_length = (before**2).sum(axis=1), (after**2).sum(axis=1)
    useful = (length > 0) & (new_length <= most**2 * length) & (new_length >= least**2 * length)
    before, after, length, first = before[useful], after[useful], length[useful], pairs[useful, 0]
    real = (after * before).sum(axis=1) / length
    imaginary = (after[:, 1] * before[:, 0] - after[:, 0] * before[:, 1]) / length
    return _similarities(source[first], target[first], real, imaginary)


def from_triples(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    triples: Int64[np.ndarray, "triples 3"],
) -> Float32[np.ndarray, "h 2 3"]:
    """Returns the affine transforms of triples of matches, but of those whose points lie on one line."""
    start, goal = source[triples].astype(np.float64), target[triples].astype(np.float64)
    u, v = start[:, 1] - start[:, 0], start[:, 2] - start[:, 0]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    useful = np.abs(area) > 1e-6 * (u**2 + v**2).sum(axis=1)
    start, goal, u, v, area = start[useful], goal[useful], u[useful], v[useful], area[useful, None]
    # With U = [u v] the linear part is G U^-1, where G holds the images of u and v.
    gu, gv = goal[:, 1] - goal[:, 0], goal[:, 2] - goal[:, 0]
    along_x = (gu * v[:, 1:] - gv * u[:, 1:]) / area
    along_y = (gv * u[:, :1] - gu * v[:, :1]) / area
    shift = goal[:, 0] - along_x * start[:, 0, :1] - along_y * start[:, 0, 1:]
    return np.stack([along_x, along_y, shift], axis=2).astype(np.float32)


def draw_distinct(
    random: np.random.Generator, rows: int, columns: int, count: int
) -> Int64[np.ndarray, "rows columns"]:
    """Returns rows of different numbers below ``count``, every row equally likely."""
    drawn = np.empty((rows, columns), dtype=np.int64)
    for column in range(columns):
        # One of those left, counted past the ones taken, from the smallest up.
        values = random.integers(0, count - column, rows)
        for taken in np.sort(drawn[:, :column], axis=1).T:
            values += values >= taken
        drawn[:, column] = values
    return drawn


def support(
    transforms: Float32[np.ndarray, "h 2 3"],
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    threshold: float,
) -> Int64[np.ndarray, " h"]:
    """Returns for each transform how many matches it carries within ``threshold`` of their place."""
    counts = np.empty(len(transforms), dtype=np.int64)
    step = max(1, BLOCK // max(len(source), 1))
    one = np.ones(len(source), dtype=np.float32)
    for start in range(0, len(transforms), step):
        away = _squared_distances(transforms[start : start + step], source, target)
        np.less_equal(away, np.float32(threshold**2), out=away)
        counts[start : start + step] = np.rint(away @ one).astype(np.int64)
    return counts


def near(
    transform: Float32[np.ndarray, "2 3"],
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    threshold: float,
) -> Bool[np.ndarray, " m"]:
    """Returns which matches a transform carries within ``threshold`` of their place."""
    return np.asarray(_squared_distances(transform[None], source, target)[0] <= np.float32(threshold**2))


def _squared_distances(
    transforms: Float32[np.ndarray, "h 2 3"],
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
) -> Float32[np.ndarray, "h m"]:
    """Returns the squared distance of each moved point from its place, by one product a coordinate."""
    minus = np.full((len(transforms), 1), -1.0, dtype=np.float32)
    one = np.ones(len(source), dtype=np.float32)
    across = np.concatenate([transforms[:, 0], minus], axis=1) @ np.stack([*source.T, one, target[:, 0]])
    down = np.concatenate([transforms[:, 1], minus], axis=1) @ np.stack([*source.T, one, target[:, 1]])
    across *= across
    down *= down
    across += down
    return across


def _similarities(
    source: Float32[np.ndarray, "h 2"],
    target: Float32[np.ndarray, "h 2"],
    real: Float32[np.ndarray, " h"],
    imaginary: Float32[np.ndarray, " h"],
) -> Float32[np.ndarray, "h 2 3"]:
    """Returns the transforms x -> factor * x + shift, in complex numbers, from source to target."""
    transforms = np.empty((len(source), 2, 3), dtype=np.float32)
    transforms[:, 0, 0], transforms[:, 0, 1] = real, -imaginary
    transforms[:, 1, 0], transforms[:, 1, 1] = imaginary, real
    transforms[:, 0, 2] = target[:, 0] - real * source[:, 0] + imaginary * source[:, 1]
    transforms[:, 1, 2] = target[:, 1] - imaginary * source[:, 0] - real * source[:, 1]
    return transforms
