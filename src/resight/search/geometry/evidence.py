"""Does the whole agree, or only one part that two photos share, such as a printed frame, a logo or a sign?

Inliers alone cannot tell. Two unrelated photos with one footer have as many as two views of a building. What
tells them apart is what lies around: every feature of the overlap is looked for at the place that the
transform predicts, and places all over the overlap take the share of agreeing features among those near them.
In views of one thing these shares fall off gradually; around a printed part they fall to what chance gives.
`Evidence.log_odds` weighs nine measures by a logistic regression, fitted by
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

from resight.features import LocalFeatures
from resight.search.geometry.fitting import apply
from resight.search.geometry.matching import similarities_of

__all__ = [
    "LEAST_INLIERS",
    "RISING",
    "Evidence",
    "Group",
    "guided",
    "outside_hulls",
    "weigh",
    "with_shared_parts",
]

LEAST_INLIERS = 12
"""Evidence is gathered from so many inliers on; fewer prove nothing, whatever surrounds them."""
PLACES = 14
"""Places along the long side of the query's features at which it is asked whether the photos agree."""
NEAREST = 10
"""Features that a place asks."""
AGREES = 0.2
"""Share of agreeing features from which a place agrees; chance gives .03 to .1."""
FEW = 0.14
"""Share of agreeing features over most of the overlap below which one part alone is the likelier."""
RISING = 7
"""So many of the measures speak for an answer the more, the larger they are: the fit is held to it."""
REACH = 24.0
"""Distance from the predicted place at which a feature still agrees; depth moves it by so much."""
TURN, SIZE = 0.45, 0.55
"""How far its orientation (radians) and the logarithm of its size may be from what the transform predicts."""
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
        lowest: Mean share of agreeing features over the 50 and the 70 % of the overlap's places where it is
            least.
        beyond: Mean share over the places of the overlap outside the hull of what agrees.
        extent: Share of its photo that the agreeing places cover, in the photo where that is more.
        overlap: Share of its photo that the overlap covers, in the photo where that is more.
        area: Share of its photo's features' bounding box that the hull of the inliers covers, in the photo
            where that is less.
        residual: Median distance of the inliers from their place, pixels of a photo of 640.
        epipolar: Matches outside the hulls on one epipolar geometry with the inliers, less those by chance.
        shared: Share of the inliers whose point of the query is also what other answers agree on that share
            no more than one part with it (`with_shared_parts`): a collection's frame or logo.
    """

    inliers: int
    lowest: tuple[float, float]
    beyond: float
    extent: float
    overlap: float
    area: float
    residual: float
    epipolar: float
    shared: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether more than one part agrees, and not one that is common among the answers.

        By the log odds; or because nearly all that could agree does, as in a copy.
        """
        everything = self.extent >= 0.5 and self.lowest[0] >= 0.5
        return self.shared < MOST_SHARED and (everything or self.log_odds >= 0)

    @property
    def log_odds(self) -> float:
        """Log odds of the regression, moved so that 3 % of the right answers lie below 0."""
        fit = _fit()
        return float((self.measures - fit.centre) / fit.scale @ fit.weights + fit.bias)

    @property
    def measures(self) -> Float64[np.ndarray, " measures"]:
        """The measures as the regression takes them, those of `RISING` first to be rising.

        The third says that less agrees between what agrees than around it, as inside a frame; the last that
        hardly anything agrees but in one part.
        """
        low, most = np.log(np.array(self.lowest) + 0.02)
        return np.array(
            [
                low,
                most,
                -max(0.0, float(np.log((self.beyond + 0.1) / (self.lowest[0] + 0.1)))),
                np.log(self.extent + 0.05),
                np.log(self.residual + 0.1),
                np.log1p(max(self.epipolar, 0.0)),
                -(min(0.0, float(most - np.log(FEW))) ** 2),
                np.log(self.overlap + 0.05),
                np.log(self.area + 0.005),
            ]
        )


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
    weights: Float64[np.ndarray, " measures"]
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


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Matches that one transform explains.

    Attributes:
        transform: Query pixels to answer pixels.
        query: Numbers of their features of the query.
        answer: Numbers of their features of the answer.
    """

    transform: Float64[np.ndarray, "3 3"]
    query: Int64[np.ndarray, " i"]
    answer: Int64[np.ndarray, " i"]


def weigh(
    query: LocalFeatures,
    answer: LocalFeatures,
    groups: Sequence[Group],
    matches: tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]],
    least: float,
) -> Evidence:
    """Returns the evidence of a fit.

    Args:
        query: Features of the query.
        answer: Features of the answer.
        groups: The inliers, and those of a second transform outside their hulls where there is one.
        matches: Numbers of the features of all matches, the inliers among them.
        least: Similarity from which two features agree where one is expected.
    """
    first = groups[0]
    inliers = query.positions[first.query], answer.positions[first.answer]
    points = query.positions[matches[0]], answer.positions[matches[1]]
    span = max(float(np.ptp(answer.positions, axis=0).max()), 1.0) / SIDE
    tested, agreeing = np.zeros((2, len(query)), dtype=bool)
    for group in groups:
        near, alike = guided(query, answer, group.transform, REACH * span, least)
        alike[group.query] = True
        tested |= near | alike
        agreeing |= alike
    fitted = np.concatenate([group.query for group in groups])
    places = _Places.of(query.positions, [group.transform for group in groups], answer.positions)
    shares = places.shares(query.positions[tested], agreeing[tested])
    outside = shares[places.inside & ~_inside(query.positions[fitted], places.points, 0.0)]
    ordered = np.sort(shares[places.inside])
    low50, low70 = (float(ordered[: max(1, round(part * len(ordered)))].mean()) for part in (0.5, 0.7))
    return Evidence(
        inliers=len(first.query),
        lowest=(low50, low70),
        beyond=float(outside.mean()) if len(outside) >= 3 else float(ordered.mean()),
        extent=places.part(shares >= AGREES),
        overlap=places.part(np.ones(len(shares), dtype=bool)),
        area=min(_area(*pair) for pair in zip(inliers, (query.positions, answer.positions), strict=True)),
        residual=_median(np.linalg.norm(apply(first.transform, inliers[0]) - inliers[1], axis=1)) / span,
        epipolar=_epipolar(points, outside_hulls(inliers, points), EPIPOLAR * span),
    )


def _median(values: Float64[np.ndarray, " n"]) -> float:
    # np.median imports NumPy's masked arrays, which takes as long as the evidence of three answers.
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


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
    here = np.flatnonzero(_within(points, low, high))
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
    within = (x[left] - column[right]) ** 2 + (y[left] - row[right]) ** 2 < reach**2
    return here[left[within]], right[within]


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
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
    ) -> _Places:
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
            inside |= _within(apply(transform, points), corner, end)
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


def _within(
    points: Float64[np.ndarray, "n 2"], low: Float32[np.ndarray, " 2"], high: Float32[np.ndarray, " 2"]
) -> Bool[np.ndarray, " n"]:
    # False where the transform sends a point to the horizon: NaN compares as False.
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def _area(points: Float32[np.ndarray, "i 2"], features: Float32[np.ndarray, "n 2"]) -> float:
    """Returns the area of the points' hull as a share of the features' bounding box."""
    box = float(np.prod(np.maximum(np.ptp(features, axis=0), 1.0)))
    return min(float(cv2.contourArea(cv2.convexHull(points))) / box, 1.0)


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
