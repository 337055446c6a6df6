"""Two prints of one layout, such as labels of one brand: what lies between the inliers must agree as well.

The head and the foot of two labels are the same, and one transform carries both; the name and the picture in
between are others. Views of one thing in depth may also disagree between their inliers, because what lies
nearer or farther is seen elsewhere. On one plane it is not: where a homography explains the inliers to the
pixel, it says where everything else on their plane must be seen.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64

from resight.features import LocalFeatures
from resight.search.geometry.fitting import apply
from resight.search.geometry.guided import guided
from resight.search.geometry.places import Places, in_hull, span

__all__ = ["agreement_between"]

FLAT = 3.0
"""Pixels from its place, of a photo of 640, within which an inlier lies on the plane."""
MOST = 0.7
"""Share of the inliers that must lie on it."""
DRAWN, TO_THE_PIXEL = 0.15, 1.5
"""Median distances of these from their places: below the one, both photos hold one drawing, such as a
caption, which hides what lies behind it; above the other, they are a scene in depth."""
REACH = 10.0
"""Distance from the predicted place at which a feature still agrees."""
FEWEST = 12
"""Features between the inliers that can be asked; fewer say nothing."""
SMALLEST = 0.05
"""Quantile of the answer's scales below which it shows no features: a close-up has finer ones."""


def agreement_between(
    query: LocalFeatures,
    answer: LocalFeatures,
    inliers: tuple[Int64[np.ndarray, " i"], Int64[np.ndarray, " i"]],
    least: float,
) -> float:
    """Returns the mean share of agreeing features over the half of the places where it is least.

    Of the places between the inliers, where these lie on one photographed plane; 1 where they do not, or
    nothing lies between them.

    Args:
        query: Features of the query.
        answer: Features of the answer.
        inliers: Numbers of their features, in the same order.
        least: Similarity from which two features agree where one is expected.
    """
    unit = span(answer)
    here, there = query.positions[inliers[0]], answer.positions[inliers[1]]
    plane, on_plane = cv2.findHomography(here, there, cv2.USAC_MAGSAC, FLAT * unit)
    if plane is None or on_plane.mean() < MOST:
        return 1.0
    chosen = on_plane.ravel().astype(bool)
    here, there = here[chosen], there[chosen]
    away = np.linalg.norm(apply(plane, here) - there, axis=1)
    if not DRAWN * unit <= np.quantile(away, 0.5) <= TO_THE_PIXEL * unit:
        return 1.0
    near, alike = guided(query, answer, plane, REACH * unit, least)
    alike[inliers[0][chosen]] = True
    asked = (near & _shown(query, answer, plane)) | alike
    asked &= in_hull(here, query.positions, 0.0)
    if np.count_nonzero(asked) < FEWEST:
        return 1.0
    places = Places.of(here, [plane], answer.positions)
    between = places.inside & in_hull(here, places.points, 0.0)
    shares = places.shares(query.positions[asked], alike[asked])
    ordered = np.sort(shares[between] if between.any() else shares)
    return float(ordered[: max(1, round(0.5 * len(ordered)))].mean())


def _shown(
    query: LocalFeatures, answer: LocalFeatures, plane: Float64[np.ndarray, "3 3"]
) -> Bool[np.ndarray, " q"]:
    """Returns which features of the query would be large enough in the answer to be features there."""
    depth = query.positions @ plane[2, :2] + plane[2, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        enlarged = np.sqrt(np.abs(np.linalg.det(plane) / depth**3))
    return np.asarray(query.scales * enlarged >= np.quantile(answer.scales, SMALLEST))
