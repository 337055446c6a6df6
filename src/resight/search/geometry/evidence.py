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
from typing import TypeAlias, final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.features import LocalFeatures
from resight.search.geometry.fitting import apply
from resight.search.geometry.guided import guided
from resight.search.geometry.layout import agreement_between
from resight.search.geometry.places import Places, in_hull, span

__all__ = [
    "LEAST_INLIERS",
    "MOST_SHARED",
    "RISING",
    "Evidence",
    "Group",
    "common_points",
    "outside_hulls",
    "weigh",
    "with_shared_parts",
]

LEAST_INLIERS = 12
"""Evidence is gathered from so many inliers on; fewer prove nothing, whatever surrounds them."""
AGREES = 0.2
"""Share of agreeing features from which a place agrees; chance gives .03 to .1."""
FEW = 0.14
"""Share of agreeing features over most of the overlap below which one part alone is the likelier."""
RISING = 7
"""So many of the measures speak for an answer the more, the larger they are: the fit is held to it."""
REACH = 24.0
"""Distance from the predicted place at which a feature still agrees; depth moves it by so much."""
EPIPOLAR = 2.0
"""Pixels from its epipolar line within which a match agrees with an epipolar geometry."""
COMMON = 3
"""Answers that must share a part before it counts as a frame of the collection."""
MOST_SHARED = 0.3
"""An answer whose inliers lie by this share on a common part is judged by what agrees without that part."""
ASKED_BETWEEN = 0.3
"""Share over the least half of the overlap below which it is asked what lies between the inliers."""
HOLLOW = 0.15
"""Share of agreeing features between inliers on one plane below which two prints share their layout alone."""
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
        between: Mean share of agreeing features between inliers on one plane (`agreement_between`); 1 where
            they lie on none.
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
    between: float = 1.0

    @property
    def whole(self) -> bool:
        """Whether more than one part agrees, no layout alone, and nothing that is common among the answers.

        By the log odds; or because nearly all that could agree does, as in a copy.
        """
        everything = self.extent >= 0.5 and self.lowest[0] >= 0.5
        return self.shared < MOST_SHARED and self.between >= HOLLOW and (everything or self.log_odds >= 0)

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


Answered: TypeAlias = tuple[Float32[np.ndarray, "i 2"], Evidence | None]
"""Positions of an answer's inliers in the query, and its evidence; ``None`` where there is none."""


def common_points(answers: Sequence[Answered]) -> frozenset[tuple[float, float]]:
    """Returns the points of a query that `COMMON` or more answers which agree in one part alone have."""
    counts: Counter[tuple[float, float]] = Counter()
    for points, evidence in answers:
        if evidence is not None and evidence.log_odds < 0:
            counts.update((x, y) for x, y in points.tolist())
    return frozenset(point for point, count in counts.items() if count >= COMMON)


def with_shared_parts(
    answers: Sequence[Answered], common: frozenset[tuple[float, float]]
) -> list[Evidence | None]:
    """Returns the evidence of one query's answers with `Evidence.shared`, of its `common_points`."""
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
    inside = [in_hull(hull, own, 0.01) for hull, own in zip(inliers, points, strict=True)]
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
    unit = span(answer)
    tested, agreeing = np.zeros((2, len(query)), dtype=bool)
    for group in groups:
        near, alike = guided(query, answer, group.transform, REACH * unit, least)
        alike[group.query] = True
        tested |= near | alike
        agreeing |= alike
    fitted = np.concatenate([group.query for group in groups])
    partners = np.concatenate([group.answer for group in groups])
    places = Places.of(query.positions, [group.transform for group in groups], answer.positions)
    shares = places.shares(query.positions[tested], agreeing[tested])
    outside = shares[places.inside & ~in_hull(query.positions[fitted], places.points, 0.0)]
    ordered = np.sort(shares[places.inside])
    low50, low70 = (float(ordered[: max(1, round(part * len(ordered)))].mean()) for part in (0.5, 0.7))
    return Evidence(
        inliers=len(first.query),
        lowest=(low50, low70),
        beyond=float(outside.mean()) if len(outside) >= 3 else float(ordered.mean()),
        extent=places.part(shares >= AGREES),
        overlap=places.part(np.ones(len(shares), dtype=bool)),
        area=min(_area(*pair) for pair in zip(inliers, (query.positions, answer.positions), strict=True)),
        residual=_median(np.linalg.norm(apply(first.transform, inliers[0]) - inliers[1], axis=1)) / unit,
        epipolar=_epipolar(points, outside_hulls(inliers, points), EPIPOLAR * unit),
        between=agreement_between(query, answer, (fitted, partners), least) if low50 < ASKED_BETWEEN else 1.0,
    )


def _median(values: Float64[np.ndarray, " n"]) -> float:
    # np.median imports NumPy's masked arrays, which takes as long as the evidence of three answers.
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _area(points: Float32[np.ndarray, "i 2"], features: Float32[np.ndarray, "n 2"]) -> float:
    """Returns the area of the points' hull as a share of the features' bounding box."""
    box = float(np.prod(np.maximum(np.ptp(features, axis=0), 1.0)))
    return min(float(cv2.contourArea(cv2.convexHull(points))) / box, 1.0)


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
