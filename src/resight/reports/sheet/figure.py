"""Drawings of the sheet: a photo with its outline, and a query beside its answer with the matched points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from resight.features import Box
from resight.reports.embedded import EmbeddedPhoto

if TYPE_CHECKING:
    from resight.collection.answer import ShownKeypoints

__all__ = ["HEATS", "MAX_LINES", "Frame", "box_corners", "definition", "pair_figure", "photo_figure"]

MAX_LINES = 80
"""More lines than this hide the photos; the drawn ones are spread evenly over the matches."""

HEATS = 8
"""Colours of keypoints, from the lowest attention to the highest: ``a0`` to ``a7`` of the style."""

_PAIR_WIDTH, _PAIR_MAX_HEIGHT, _GAP = 1000.0, 560.0, 14.0
_HUES = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a photo stands in a drawing: drawing units per pixel of the photo, and its top left corner."""

    photo: EmbeddedPhoto
    left: float
    scale: float

    @property
    def width(self) -> float:
        """Width in drawing units."""
        return self.photo.width * self.scale

    @property
    def height(self) -> float:
        """Height in drawing units."""
        return self.photo.height * self.scale

    def place(self, points: Float32[np.ndarray, "n 2"]) -> list[tuple[float, float]]:
        """Returns keypoints (integer coordinates are pixel centres) in drawing units."""
        return [(self.left + (x + 0.5) * self.scale, (y + 0.5) * self.scale) for x, y in points.tolist()]


def box_corners(box: Box) -> Float32[np.ndarray, "4 2"]:
    """Returns the corners of a box as keypoint positions, clockwise from the top left."""
    x0, y0, x1, y1 = (value - 0.5 for value in box.corners)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)


def definition(name: str, photo: EmbeddedPhoto) -> str:
    """Returns the photo as an SVG definition that many drawings use, so that the sheet carries it once."""
    content = _pixels(Frame(photo, 0.0, 1.0))
    return f'<g id="{escape(name)}">{content}</g>'


def photo_figure(
    photo: EmbeddedPhoto,
    alt: str,
    *,
    outline: Float32[np.ndarray, "4 2"] | None = None,
    use: str | None = None,
    keypoints: ShownKeypoints | None = None,
) -> str:
    """Returns one photo as SVG, its outline and keypoints drawn.

    ``use`` names a `definition` instead of a second copy.
    """
    frame = Frame(photo, 0.0, _PAIR_MAX_HEIGHT / max(photo.width, photo.height))
    return _svg(frame.width, frame.height, alt, _photo(frame, outline, use, keypoints))


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
) -> str:
    """Returns query and answer side by side at one height as SVG, matched points joined, outlines drawn.

    ShownKeypoints, where there are any, lie under the matches and are coloured by their rank in attention.
    """
    ratios = query.width / query.height + answer.width / answer.height
    height = min((_PAIR_WIDTH - _GAP) / ratios, _PAIR_MAX_HEIGHT)
    left = Frame(query, 0.0, height / query.height)
    right = Frame(answer, left.width + _GAP, height / answer.height)
    drawn = _spread(len(query_points))
    matches = _matches(left.place(query_points[drawn]), right.place(answer_points[drawn]))
    content = (
        _photo(left, box, use, query_keypoints) + _photo(right, region, None, answer_keypoints) + matches
    )
    return _svg(right.left + right.width, height, alt, content)


def _spread(count: int) -> list[int]:
    """Returns at most `MAX_LINES` indices spread evenly over ``count``."""
    return np.linspace(0, count - 1, min(count, MAX_LINES)).round().astype(int).tolist()


def _svg(width: float, height: float, alt: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.1f} {height:.1f}" role="img" style="--ratio:{width / height:.4f}">'
        f"<title>{escape(alt)}</title>{content}</svg>"
    )


def _photo(
    frame: Frame,
    outline: Float32[np.ndarray, "4 2"] | None,
    use: str | None,
    keypoints: ShownKeypoints | None,
) -> str:
    """Returns a photo in its own clipped viewport, what lies outside the outline dimmed."""
    inner = Frame(frame.photo, 0.0, frame.scale)
    content = f'<use href="#{escape(use)}" transform="scale({frame.scale:.6f})"/>' if use else _pixels(inner)
    if outline is not None:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in inner.place(outline))
        sheet = f"M-1,-1H{frame.width + 1:.1f}V{frame.height + 1:.1f}H-1Z"
        content += (
            f'<g class="outline"><path class="dim" fill-rule="evenodd" d="{sheet}M{corners}Z"/>'
            f'<polygon class="edge under" points="{corners}"/><polygon class="edge" points="{corners}"/></g>'
        )
    if keypoints is not None:
        content += _keypoints(inner, keypoints)
    return (
        f'<svg class="photo" x="{frame.left:.1f}" width="{frame.width:.1f}" height="{frame.height:.1f}">'
        f"{content}</svg>"
    )


def _keypoints(frame: Frame, keypoints: ShownKeypoints) -> str:
    """Returns a dot a keypoint, coloured by the share of the photo's others of lower attention; best on top.

    Not by attention itself: a single place of very high attention would leave one colour to all others.
    """
    lower = np.searchsorted(np.sort(keypoints.scores), keypoints.scores, side="left")
    level = lower * HEATS // max(len(lower), 1)
    dots = []
    for number in range(HEATS):
        places = frame.place(keypoints.positions[level == number])
        # A stroke of no length with round ends is a dot; one path for all of a colour keeps the sheet small.
        path = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in places)
        dots.append(f'<path class="a{number}" d="{path}"/>' if path else "")
    return f'<g class="keypoints">{"".join(dots)}</g>'


def _pixels(frame: Frame) -> str:
    width, height = frame.width, frame.height
    if frame.photo.uri is not None:
        return (
            f'<image width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" '
            f'href="{frame.photo.uri}"/>'
        )
    size = min(width, height) / 14
    return (
        f'<g class="missing"><rect width="{width:.1f}" height="{height:.1f}"/>'
        f'<text x="{width / 2:.1f}" y="{height / 2 - size * 0.3:.1f}" font-size="{size * 1.2:.1f}">'
        f"no photo to show</text>"
        f'<text x="{width / 2:.1f}" y="{height / 2 + size * 1.3:.1f}" font-size="{size * 0.85:.1f}">'
        f"{escape(_shortened(frame.photo.reason))}</text></g>"
    )


def _shortened(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _matches(starts: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]]) -> str:
    """Returns a line a match with a dot at both ends, coloured from the top to the bottom of the query."""
    lines: list[str] = []
    dots: list[str] = []
    downwards = sorted(zip(starts, ends, strict=True), key=lambda match: match[0][1])
    for place, ((x0, y0), (x1, y1)) in enumerate(downwards):
        hue = place * _HUES // len(downwards)
        lines.append(f'<line class="h{hue}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>')
        for x, y in ((x0, y0), (x1, y1)):
            dots.append(f'<circle class="h{hue}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>')
    return f'<g class="matches">{"".join(lines)}{"".join(dots)}</g>'
