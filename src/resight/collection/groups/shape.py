"""What a transform between two photos says of them: which part is shared, and which edit leads there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from resight.features import Box
from resight.search.geometry.fitting import apply

__all__ = ["Shape", "Size", "shape_of"]

Size = tuple[int, int]
"""Width and height of a whole photo, pixels."""

PLAIN = 0.006
"""Share of the diagonal by which a transform may differ from one that turns, mirrors and resizes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How one photo lies in another.

    Attributes:
        share: Share of the first photo that the second shows, 0 to 1.
        other_share: Share of the second that the first shows.
        part: Bounding box of what the second shows of the first, in its pixels.
        other_part: Bounding box of what the first shows of the second, in its pixels.
        angle: By which the second is turned, clockwise, degrees in [0, 360); after the mirror.
        mirrored: Left and right are exchanged.
        scale: Pixels of the second for one of the first.
        stretch: How much wider than high the second's pixels are than the first's; 1 for none.
        tilted: Neither turning, mirroring, resizing nor stretching explains it: the plane is seen aslant.
    """

    share: float
    other_share: float
    part: Box
    other_part: Box
    angle: float
    mirrored: bool
    scale: float
    stretch: float
    tilted: bool


def shape_of(transform: Float64[np.ndarray, "3 3"], first: Size, second: Size) -> Shape | None:
    """Returns how two photos lie in each other; None where they have no part in common.

    Args:
        transform: Pixels of the first photo to those of the second.
        first: Size of the first.
        second: Size of the second.
    """
    back = np.linalg.inv(transform)
    there, here = apply(transform, _corners(first)), apply(back, _corners(second))
    if not (np.isfinite(there).all() and np.isfinite(here).all()):
        return None
    area, polygon = _common(here, _corners(first))
    if area <= 0:
        return None
    moved = apply(transform, polygon)
    whole, other_whole = first[0] * first[1], second[0] * second[1]
    other_area = abs(float(cv2.contourArea(moved.astype(np.float32))))
    middle = polygon.mean(axis=0)
    linear = _linear(transform, middle)
    is_mirrored = bool(np.linalg.det(linear) < 0)
    turning = linear @ np.diag([-1.0 if is_mirrored else 1.0, 1.0])
    angle = math.atan2(turning[1, 0] - turning[0, 1], turning[0, 0] + turning[1, 1])
    scale = abs(float(np.linalg.det(linear))) ** 0.5
    stretch, is_tilted = _stretch(transform, turning, angle, polygon)
    return Shape(
        min(area / whole, 1.0),
        min(other_area / other_whole, 1.0),
        _bounds(polygon, first),
        _bounds(moved, second),
        math.degrees(angle) % 360,
        is_mirrored,
        scale,
        stretch,
        is_tilted,
    )


def _corners(size: Size) -> Float32[np.ndarray, "4 2"]:
    right, low = size[0] - 0.5, size[1] - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, low], [-0.5, low]], dtype=np.float32)


def _common(
    one: Float64[np.ndarray, "4 2"], other: Float32[np.ndarray, "4 2"]
) -> tuple[float, Float32[np.ndarray, "n 2"]]:
    """Returns area and corners of what two quadrilaterals have in common."""
    if not cv2.isContourConvex(one.astype(np.float32)):
        one = cv2.convexHull(one.astype(np.float32)).reshape(-1, 2)
    area, polygon = cv2.intersectConvexConvex(one.astype(np.float32), other)
    return float(area), np.asarray(polygon, dtype=np.float32).reshape(-1, 2)


def _bounds(polygon: Float64[np.ndarray, "n 2"], size: Size) -> Box:
    (x0, y0), (x1, y1) = polygon.min(axis=0) + 0.5, polygon.max(axis=0) + 0.5
    left, top = min(max(float(x0), 0.0), size[0] - 1.0), min(max(float(y0), 0.0), size[1] - 1.0)
    return Box(left, top, min(max(float(x1), left + 1), size[0]), min(max(float(y1), top + 1), size[1]))


def _linear(
    transform: Float64[np.ndarray, "3 3"], place: Float32[np.ndarray, " 2"]
) -> Float64[np.ndarray, "2 2"]:
    """Returns the derivative of a transform at a place."""
    depth = float(transform[2, :2] @ place + transform[2, 2])
    moved = (transform[:2, :2] @ place + transform[:2, 2]) / depth
    return (transform[:2, :2] - np.outer(moved, transform[2, :2])) / depth


def _stretch(
    transform: Float64[np.ndarray, "3 3"],
    turning: Float64[np.ndarray, "2 2"],
    angle: float,
    polygon: Float32[np.ndarray, "n 2"],
) -> tuple[float, bool]:
    """Returns the stretch of the plain transform that is nearest, and whether even that is not near."""
    middle = polygon.mean(axis=0, keepdims=True)
    goal = apply(transform, polygon) - apply(transform, middle)
    is_mirrored = np.linalg.det(_linear(transform, middle[0])) < 0
    source = (polygon - middle).astype(np.float64) * (-1.0 if is_mirrored else 1.0, 1.0)
    scale = abs(float(np.linalg.det(turning))) ** 0.5
    similar = scale * _rotation(angle)
    # Turned by whole quarters and stretched along the sides.
    quarter = _rotation(round(angle / (math.pi / 2)) * math.pi / 2)
    sides = np.abs(np.diag(quarter.T @ turning))
    stretched = quarter @ np.diag(sides)
    size = max(float(np.linalg.norm(np.ptp(goal, axis=0))), 1e-9)
    away = [
        float(np.linalg.norm(source @ plain.T - goal, axis=1).max()) / size for plain in (similar, stretched)
    ]
    if away[0] <= PLAIN:
        return 1.0, False
    return float(sides[0] / max(sides[1], 1e-9)), min(away) > PLAIN


def _rotation(angle: float) -> Float64[np.ndarray, "2 2"]:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
