"""Does the whole agree, or only one part that two photos share, such as a printed frame, a logo or a sign?

Inliers alone cannot tell. Two unrelated photos with one footer have as many as two views of a building. What
tells them apart is measured here: how much of both photos the inliers cover, which part of the overlap agrees
and which should have agreed and does not, whether the transform is that of a printed copy rather than of a
camera, and whether anything outside the agreeing part agrees as well: on a second transform, or on one
epipolar geometry. `Evidence.log_odds` weighs these by a logistic regression with quadratic terms, fitted by
``benchmarks/confirmation.py`` on rendered places and photographed scenes, with and without overlays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.search.geometry.fitting import apply

__all__ = ["LEAST_INLIERS", "Evidence", "outside_hulls", "terms", "weigh", "with_shared_parts"]

LEAST_INLIERS = 12
"""Evidence is gathered from so many inliers on; fewer prove nothing, whatever surrounds them."""
CELLS = (3, 10)
"""Fewest and most cells along the long side of the query's features."""
FEATURES = 5
"""Features that a cell should hold on average; photos of few features have fewer cells."""
TESTABLE = 3
"""A cell could agree if it holds at least this many features of each photo."""
SIDE = 640.0
"""Distances are measured in pixels where the answer's features span 640."""
EPIPOLAR = 2.0
"""Pixels from its epipolar line within which a match agrees with an epipolar geometry."""
COMMON = 3
"""Answers that must share a part before it counts as a frame of the collection."""
MOST_SHARED = 0.7
"""An answer whose inliers lie by this share on a common part is one more photo with that part."""
BY_CHANCE = 0.07
"""Share of the matches of unrelated photos that agree with the best epipolar geometry."""


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for and against an answer beyond its number of inliers.

    Attributes:
        inliers: Matches that the transform explains.
        area: Share of its photo's features' bounding box that the hull of the inliers covers, in the photo
            where that is less.
        agreeing: Cells of the overlap with an inlier among those that hold features of both photos.
        testable: Number of the latter.
        covered: Cells with an inlier, as a share of the cells of the overlap.
        density: Inliers as a share of the features inside the hull, in the photo with fewer.
        residual: Median distance of the inliers from their place, pixels of a photo of 640.
        distortion: How far the transform is from a plain resizing: 0 for a copy, Frobenius norm of the
            difference after dividing by the scale.
        second: Inliers of a second transform outside the hulls, less those by chance.
        epipolar: Matches outside the hulls on one epipolar geometry with the inliers, less those by chance.
        disagreeing: Matches inside the hulls that are no inliers, as a share of the inliers.
        shared: Share of the inliers whose point of the query is also what other answers agree on that share
            no more than one part with it (`with_shared_parts`): a collection's frame or logo.
    """

    inliers: int
    area: float
    agreeing: int
    testable: int
    covered: float
    density: float
    residual: float
    distortion: float
    second: float
    epipolar: float
    disagreeing: float
    shared: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether more than one part agrees, and not one that is common among the answers.

        By the log odds; or because nearly all that could agree does, as in a copy.
        """
        everything = self.area >= 0.5 and self.agreeing >= 0.9 * self.testable > 0
        return self.shared < MOST_SHARED and (everything or self.log_odds >= 0)

    @property
    def log_odds(self) -> float:
        """Log odds of the regression, moved so that 3 % of the right answers lie below 0."""
        fit = _fit()
        return float(terms(self.measures[None], fit.centre, fit.scale)[0] @ fit.weights + fit.bias)

    @property
    def measures(self) -> Float64[np.ndarray, " measures"]:
        """The measures as the regression takes them."""
        share = self.agreeing / max(self.testable, 1)
        return np.array(
            [
                np.log(self.inliers),
                np.log(self.area + 0.005),
                share,
                np.log1p(self.agreeing),
                self.covered,
                self.density,
                np.log(self.residual + 0.1),
                np.log(self.distortion + 0.003),
                np.clip(self.second, -3, 10),
                np.clip(self.epipolar, -5, 40),
                min(self.disagreeing, 3.0),
            ]
        )


def terms(
    measures: Float64[np.ndarray, "n measures"],
    centre: Float64[np.ndarray, " measures"],
    scale: Float64[np.ndarray, " measures"],
) -> Float64[np.ndarray, "n terms"]:
    """Returns what the regression weighs: the standardised measures and their products, each pair once."""
    centred = (measures - centre) / scale
    rows, columns = np.triu_indices(measures.shape[1])
    return np.concatenate([centred, centred[:, rows] * centred[:, columns]], axis=1)


def with_shared_parts(
    answers: Sequence[tuple[Float32[np.ndarray, "i 2"], Evidence | None]],
) -> list[Evidence | None]:
    """Returns the evidence of one query's answers with `Evidence.shared`, as it is seen among all of them.

    A point of the query is common if `COMMON` or more answers that agree in one part alone have it as inlier.

    Args:
        answers: Positions of the inliers in the query, and the evidence; ``None`` where there is none.
    """
    counts: Counter[tuple[float, ...]] = Counter()
    for points, evidence in answers:
        if evidence is not None and evidence.log_odds < 0:
            counts.update(map(tuple, points.tolist()))
    common = {point for point, count in counts.items() if count >= COMMON}
    return [
        None
        if evidence is None
        else replace(evidence, shared=sum(tuple(point) in common for point in points.tolist()) / len(points))
        for points, evidence in answers
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The regression's standardisation and weights."""

    centre: Float64[np.ndarray, " measures"]
    scale: Float64[np.ndarray, " measures"]
    weights: Float64[np.ndarray, " terms"]
    bias: float


@cache
def _fit() -> _Fit:
    content = json.loads(Path(__file__).with_name("evidence.json").read_text("utf-8"))
    centre, scale, weights = (np.array(content[name]) for name in ("centre", "scale", "weights"))
    return _Fit(centre, scale, weights, float(content["bias"][0]))


def outside_hulls(
    inliers: tuple[Float32[np.ndarray, "i 2"], Float32[np.ndarray, "i 2"]],
    points: tuple[Float32[np.ndarray, "m 2"], Float32[np.ndarray, "m 2"]],
) -> Bool[np.ndarray, " m"]:
    """Returns which matches lie outside the inliers' hull in both photos, by 1 % of the matches' span."""
    inside = [_inside(hull, own, 0.01) for hull, own in zip(inliers, points, strict=True)]
    return ~(inside[0] | inside[1])


def weigh(
    transform: Float64[np.ndarray, "3 3"],
    inliers: tuple[Float32[np.ndarray, "i 2"], Float32[np.ndarray, "i 2"]],
    matches: tuple[Float32[np.ndarray, "m 2"], Float32[np.ndarray, "m 2"]],
    features: tuple[Float32[np.ndarray, "q 2"], Float32[np.ndarray, "a 2"]],
    second: float,
) -> Evidence:
    """Returns the evidence of a fit.

    Args:
        transform: Query pixels to answer pixels.
        inliers: Positions of the inliers in the query and in the answer.
        matches: Positions of all matches, the inliers among them.
        features: Positions of all features.
        second: Inliers of a second transform outside the hulls, less those by chance.
    """
    query, answer = features
    span = max(float(np.ptp(answer, axis=0).max()), 1.0) / SIDE
    testable, agreeing, covered = _agreement(transform, inliers[0], query, answer)
    outside = outside_hulls(inliers, matches)
    inside = [
        _distinct(points[_inside(hull, points, 0.0)]) for hull, points in zip(inliers, features, strict=True)
    ]
    linear = transform[:2, :2] / transform[2, 2]
    scale = np.sqrt(max(abs(float(np.linalg.det(linear))), 1e-12))
    count = len(inliers[0])
    return Evidence(
        inliers=count,
        area=min(_area(hull, points) for hull, points in zip(inliers, features, strict=True)),
        agreeing=agreeing,
        testable=testable,
        covered=covered,
        density=count / max(min(inside), count),
        residual=float(np.median(np.linalg.norm(apply(transform, inliers[0]) - inliers[1], axis=1))) / span,
        distortion=float(np.linalg.norm(linear / scale - np.eye(2))),
        second=float(second),
        epipolar=_epipolar(matches, outside, EPIPOLAR * span),
        disagreeing=float(np.count_nonzero(~outside) - count) / count,
    )


def _agreement(
    transform: Float64[np.ndarray, "3 3"],
    inliers: Float32[np.ndarray, "i 2"],
    query: Float32[np.ndarray, "q 2"],
    answer: Float32[np.ndarray, "a 2"],
) -> tuple[int, int, float]:
    """Returns testable cells of the overlap, those that agree, and the share of all that hold an inlier."""
    corner, far = query.min(axis=0), query.max(axis=0)
    count = np.clip(int((min(len(query), len(answer)) / FEATURES) ** 0.5), *CELLS)
    cell = max(float((far - corner).max()), 1.0) / float(count)
    shape = tuple((np.floor((far - corner) / cell).astype(int) + 1).tolist())
    there = apply(transform, query)
    here = apply(np.linalg.inv(transform), answer)
    in_overlap = _within(there, answer.min(axis=0), answer.max(axis=0))
    own = _counts(query[in_overlap], corner, cell, shape)
    other = _counts(here[_within(here, corner, far)], corner, cell, shape)
    agreeing = _counts(inliers, corner, cell, shape) > 0
    testable = np.minimum(own, other) >= TESTABLE
    centres = np.stack(np.meshgrid(*[np.arange(n) + 0.5 for n in shape], indexing="ij"), axis=-1)
    moved = apply(transform, (centres.reshape(-1, 2) * cell + corner).astype(np.float32))
    overlap = int(np.count_nonzero(_within(moved, answer.min(axis=0), answer.max(axis=0))))
    count = int(np.count_nonzero(agreeing))
    return (
        int(np.count_nonzero(testable)),
        int(np.count_nonzero(testable & agreeing)),
        count / max(overlap, count, 1),
    )


def _within(
    points: Float64[np.ndarray, "n 2"], low: Float32[np.ndarray, " 2"], high: Float32[np.ndarray, " 2"]
) -> Bool[np.ndarray, " n"]:
    # False where the transform sends a point to the horizon: NaN compares as False.
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def _counts(
    points: Float32[np.ndarray, "n 2"],
    corner: Float32[np.ndarray, " 2"],
    cell: float,
    shape: tuple[int, ...],
) -> Int64[np.ndarray, "columns rows"]:
    places = np.clip(((points - corner) // cell).astype(np.int64), 0, np.array(shape) - 1)
    return np.bincount(places[:, 0] * shape[1] + places[:, 1], minlength=shape[0] * shape[1]).reshape(shape)


def _area(points: Float32[np.ndarray, "i 2"], features: Float32[np.ndarray, "n 2"]) -> float:
    """Returns the area of the points' hull as a share of the features' bounding box."""
    box = float(np.prod(np.maximum(np.ptp(features, axis=0), 1.0)))
    return min(float(cv2.contourArea(cv2.convexHull(points))) / box, 1.0)


def _distinct(points: Float32[np.ndarray, "n 2"]) -> int:
    """Returns how many different points there are."""
    # As complex numbers they are sorted much faster than as rows, and without indices NumPy imports numpy.ma.
    return len(np.unique(points[:, 0] + 1j * points[:, 1], return_index=True)[0])


def _inside(
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


def _epipolar(
    matches: tuple[Float32[np.ndarray, "m 2"], Float32[np.ndarray, "m 2"]],
    outside: Bool[np.ndarray, " m"],
    threshold: float,
) -> float:
    """Returns how many matches outside the hulls agree on one epipolar geometry, less those by chance."""
    if len(outside) < 8:
        return 0.0
    try:
        _, agreeing = cv2.findFundamentalMat(*matches, cv2.USAC_MAGSAC, threshold, 0.999, 2000)
    except cv2.error:
        # OpenCV 5.0 asserts where no fundamental matrix exists, as for matches on one line.
        agreeing = None
    count = 0 if agreeing is None else int(np.count_nonzero(agreeing.ravel().astype(bool) & outside))
    return count - BY_CHANCE * int(np.count_nonzero(outside))
