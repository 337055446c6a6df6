"""Places all over a photo, and what share of the features near each agrees with another photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

from resight.features import LocalFeatures
from resight.search.geometry.fitting import apply

__all__ = ["SIDE", "Places", "in_hull", "span", "within"]

SIDE = 640.0
"""Long side in pixels of the photo in which distances are counted."""
PLACES = 14
"""Places along the long side of the query's features at which it is asked whether the photos agree."""
NEAREST = 10
"""Features that a place asks."""


def span(features: LocalFeatures) -> float:
    """Returns the long side of the features' bounding box, in units of 640 pixels."""
    return max(float(np.ptp(features.positions, axis=0).max()), 1.0) / SIDE


@final
@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Places all over the query, which of them the answer shows, and what part of a photo one stands for.

    Attributes:
        points: float32 ``(n, 2)``, pixels of the query.
        inside: Whether a transform takes a place into the bounding box of the answer's features.
        here: Part of the query that a place stands for.
        there: Part of the answer that each place stands for.
    """

    points: Float32[np.ndarray, "n 2"]
    inside: Bool[np.ndarray, " n"]
    here: float
    there: Float64[np.ndarray, " n"]

    @classmethod
    def of(
        cls,
        query: Float32[np.ndarray, "q 2"],
        transforms: Sequence[Float64[np.ndarray, "3 3"]],
        answer: Float32[np.ndarray, "a 2"],
    ) -> Places:
        """Returns a square lattice over the bounding box of the query's features."""
        (low, far), (corner, end) = ((side.min(axis=0), side.max(axis=0)) for side in (query, answer))
        step = max(float((far - low).max()), 1.0) / PLACES
        columns, rows = (np.arange(low[axis] + step / 2, far[axis] + step / 4, step) for axis in (0, 1))
        # A box narrower than half a step has its middle.
        columns, rows = (
            line if len(line) else low[axis : axis + 1] for axis, line in enumerate((columns, rows))
        )
        points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float32)
        inside = np.zeros(len(points), dtype=bool)
        for transform in transforms:
            inside |= within(apply(transform, points), corner, end)
        first = transforms[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = points @ first[2, :2] + first[2, 2]
            enlarged = np.abs(np.linalg.det(first) / depth**3)
        there = np.nan_to_num(enlarged * step**2 / float(np.prod(np.maximum(end - corner, 1.0))), posinf=0.0)
        # The inliers' own places are always seen.
        return cls(points, inside if inside.any() else ~inside, 1.0 / len(points), there)

    def shares(
        self, tested: Float32[np.ndarray, "t 2"], agreeing: Bool[np.ndarray, " t"]
    ) -> Float64[np.ndarray, " n"]:
        """Returns the share of agreeing features among the `NEAREST` tested ones of each place."""
        _, first = np.unique(tested[:, 0] + 1j * tested[:, 1], return_index=True)
        tested, agreeing = tested[first], agreeing[first]
        # The squared distance but for what is the same for all features of a place.
        away = (tested**2).sum(axis=1) - 2 * self.points @ tested.T
        count = min(NEAREST, len(tested))
        nearest = np.argpartition(away, count - 1, axis=1)[:, :count]
        return agreeing[nearest].mean(axis=1)

    def part(self, chosen: Bool[np.ndarray, " n"]) -> float:
        """Returns what part some places cover, in the photo where that is more."""
        covered = chosen & self.inside
        return float(max(np.count_nonzero(covered) * self.here, min(self.there[covered].sum(), 1.0)))


def within(
    points: Float64[np.ndarray, "n 2"], low: Float32[np.ndarray, " 2"], high: Float32[np.ndarray, " 2"]
) -> Bool[np.ndarray, " n"]:
    """Returns which points lie in a box; none that a transform sends to the horizon."""
    # NaN compares as False.
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def in_hull(
    inliers: Float32[np.ndarray, "i 2"], points: Float32[np.ndarray, "m 2"], margin: float
) -> Bool[np.ndarray, " m"]:
    """Returns which points lie in the inliers' hull, or within ``margin`` times their own span of it."""
    hull = cv2.convexHull(inliers, clockwise=False).reshape(-1, 2)
    edges = np.roll(hull, -1, axis=0) - hull
    lengths = np.maximum(np.linalg.norm(edges, axis=1), 1e-6)
    across = points[:, None] - hull
    # Distance beyond each edge of a convex polygon; image coordinates turn its corners the other way.
    beyond = (across[..., 0] * edges[:, 1] - across[..., 1] * edges[:, 0]) / lengths
    beyond = beyond if _area_sign(hull) > 0 else -beyond
    return np.asarray(beyond.max(axis=1) <= margin * max(float(np.ptp(points, axis=0).max()), 1.0))


def _area_sign(hull: Float32[np.ndarray, "h 2"]) -> float:
    following = np.roll(hull, -1, axis=0)
    return float((hull[:, 0] * following[:, 1] - hull[:, 1] * following[:, 0]).sum())
