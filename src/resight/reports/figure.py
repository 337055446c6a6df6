"""Where photos, outlines, keypoints and matches stand in a drawing; ``figure.html`` draws them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from resight.features import Box
from resight.reports.embedded import EmbeddedPhoto

if TYPE_CHECKING:
    from resight.collection.answer import ShownKeypoints

__all__ = ["LEVELS", "MAX_LINES", "Figure", "Match", "Part", "box_corners", "pair_figure", "photo_figure"]

MAX_LINES = 80
"""More lines than this hide the photos; the drawn ones are spread evenly over the matches."""

LEVELS = 8
"""Colours of keypoints, from the lowest attention to the highest: ``a0`` to ``a7`` of the style sheet."""

_PAIR_WIDTH, _PAIR_MAX_HEIGHT, _GAP = 1000.0, 560.0, 14.0
_HUES = 8

Point = tuple[float, float]
"""x and y in drawing units."""


@dataclass(frozen=True, slots=True)
class Part:
    """A photo in a drawing.

    Attributes:
        photo: Its pixels.
        left: Its left edge, drawing units; its upper edge is 0.
        scale: Drawing units a pixel of the photo.
        use: The id of an SVG definition to draw instead of the pixels; None for the pixels.
        outline: Corners of what is not dimmed, as SVG writes points, from the photo's corner; empty for none.
        keypoints: The dots of each level of attention, as an SVG path; None where there are no keypoints.
    """

    photo: EmbeddedPhoto
    left: float
    scale: float
    use: str | None = None
    outline: str = ""
    keypoints: tuple[tuple[int, str], ...] | None = None

    @property
    def width(self) -> float:
        """Width in drawing units."""
        return self.photo.width * self.scale

    @property
    def height(self) -> float:
        """Height in drawing units."""
        return self.photo.height * self.scale


@dataclass(frozen=True, slots=True)
class Match:
    """A line between two matched points; ``hue`` is one of the eight of the style sheet."""

    start: Point
    end: Point
    hue: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing.

    Attributes:
        width: In drawing units.
        height: In drawing units.
        alt: What it shows, in words.
        parts: The photos from left to right.
        matches: From the top to the bottom of the first photo.
    """

    width: float
    height: float
    alt: str
    parts: tuple[Part, ...]
    matches: tuple[Match, ...] = ()


def box_corners(box: Box) -> Float32[np.ndarray, "4 2"]:
    """Returns the corners of a box as keypoint positions, clockwise from the top left."""
    x0, y0, x1, y1 = (value - 0.5 for value in box.corners)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)


def photo_figure(
    photo: EmbeddedPhoto,
    alt: str,
    *,
    outline: Float32[np.ndarray, "4 2"] | None = None,
    use: str | None = None,
    keypoints: ShownKeypoints | None = None,
) -> Figure:
    """Returns one photo with its outline and keypoints.

    Args:
        photo: Its pixels.
        alt: What is shown, in words.
        outline: Corners in the photo; None for the whole photo.
        use: The id of an SVG definition of the photo, so that a page carries it once.
        keypoints: Of the photo.
    """
    part = _part(photo, 0.0, _PAIR_MAX_HEIGHT / max(photo.width, photo.height), use, outline, keypoints)
    return Figure(part.width, part.height, alt, (part,))


def pair_figure(
    query: EmbeddedPhoto,
    answer: EmbeddedPhoto,
    alt: str,
    *,
    use: str,
    query_points: Float32[np.ndarray, "inliers 2"],
    answer_points: Float32[np.ndarray, "inliers 2"],
    box: Float32[np.ndarray, "4 2"] | None,
    region: Float32[np.ndarray, "4 2"] | None,
    query_keypoints: ShownKeypoints | None = None,
    answer_keypoints: ShownKeypoints | None = None,
) -> Figure:
    """Returns query and answer side by side at one height, matched points joined.

    Args:
        query: Pixels of the query photo.
        answer: Pixels of the answer photo.
        alt: What is shown, in words.
        use: The id of an SVG definition of the query photo.
        query_points: Matched points of the query, pixels.
        answer_points: The same points in the answer.
        box: Corners of what was searched for in the query; None for the whole photo.
        region: Its corners in the answer; None where they are not known.
        query_keypoints: Of the query.
        answer_keypoints: Of the answer.
    """
    ratios = query.width / query.height + answer.width / answer.height
    height = min((_PAIR_WIDTH - _GAP) / ratios, _PAIR_MAX_HEIGHT)
    left = _part(query, 0.0, height / query.height, use, box, query_keypoints)
    right = _part(answer, left.width + _GAP, height / answer.height, None, region, answer_keypoints)
    chosen = np.linspace(0, len(query_points) - 1, min(len(query_points), MAX_LINES)).round().astype(np.intp)
    matches = _matches(
        _placed(query_points[chosen], left.scale), _placed(answer_points[chosen], right.scale, right.left)
    )
    return Figure(right.left + right.width, height, alt, (left, right), matches)


def _part(
    photo: EmbeddedPhoto,
    left: float,
    scale: float,
    use: str | None,
    outline: Float32[np.ndarray, "4 2"] | None,
    keypoints: ShownKeypoints | None,
) -> Part:
    corners = [] if outline is None else _placed(outline, scale)
    return Part(
        photo,
        left,
        scale,
        use,
        " ".join(f"{x:.1f},{y:.1f}" for x, y in corners),
        None if keypoints is None else _levels(keypoints, scale),
    )


def _placed(points: Float32[np.ndarray, "n 2"], scale: float, left: float = 0.0) -> list[Point]:
    """Returns keypoints (integer coordinates are pixel centres) in drawing units."""
    return [(left + (x + 0.5) * scale, (y + 0.5) * scale) for x, y in points.tolist()]


def _levels(keypoints: ShownKeypoints, scale: float) -> tuple[tuple[int, str], ...]:
    """Returns the dots of each level: the share of the photo's others of lower attention; best last.

    Not by attention itself: a single place of very high attention would leave one colour to all others.
    """
    lower = np.searchsorted(np.sort(keypoints.scores), keypoints.scores, side="left")
    level = lower * LEVELS // max(len(lower), 1)
    # A stroke of no length with round ends is a dot; one path for all of a colour keeps the page small.
    places = (_placed(keypoints.positions[level == number], scale) for number in range(LEVELS))
    paths = ("".join(f"M{x:.0f} {y:.0f}h0" for x, y in points) for points in places)
    return tuple((number, path) for number, path in enumerate(paths) if path)


def _matches(starts: Sequence[Point], ends: Sequence[Point]) -> tuple[Match, ...]:
    """Returns the matches, coloured from the top to the bottom of the query."""
    downwards = sorted(zip(starts, ends, strict=True), key=lambda match: match[0][1])
    return tuple(
        Match(start, end, place * _HUES // len(downwards)) for place, (start, end) in enumerate(downwards)
    )
