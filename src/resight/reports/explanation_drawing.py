"""The picture of an explanation: both photos, warm where they raise the score, the best regions joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8

if TYPE_CHECKING:
    from PIL import Image

    from resight.images import Photo
    from resight.models.explain.explanation import Explanation, Link

__all__ = ["draw", "draw_plain", "heat"]

_HEIGHT, _WIDEST, _GAP = 560, 1500, 18
_GROUND = (246, 245, 241)
# From nothing over red and orange to a light yellow: shares below zero stay without colour.
_COLOURS = np.array(
    [[60, 10, 60], [150, 20, 80], [214, 62, 48], [249, 142, 20], [252, 206, 60], [255, 250, 190]],
    dtype=np.float32,
)
_STRONGEST = 0.72
"""Opacity of the largest share."""

_CONTRAST = 0.75
_DARKENED = 0.55
"""Brightness that is left of a photo where nothing is shared."""

_LINE = (40, 215, 235)
_SMOOTH = 2
"""Lines are drawn at this size and reduced, for Pillow draws them without smooth edges."""


Pixels: TypeAlias = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a photo stands in the picture, pixels."""

    left: int
    width: int
    height: int


def draw(explanation: Explanation, query: Photo, answer: Photo) -> Image.Image:
    """Returns both photos side by side with their heat and the links between them."""
    top = max(_top(explanation.query_map), _top(explanation.answer_map))
    pair = _side_by_side(
        heat(query.pixels, explanation.query_map, top), heat(answer.pixels, explanation.answer_map, top)
    )
    return _linked(pair, explanation.links, _frames(query.pixels, answer.pixels))


def draw_plain(query: Photo, answer: Photo) -> Image.Image:
    """Returns both photos side by side, as large as `draw` shows them."""
    return _side_by_side(query.pixels, answer.pixels)


def heat(
    pixels: UInt8[np.ndarray, "height width 3"], shares: Float32[np.ndarray, "rows columns"], top: float
) -> Pixels:
    """Returns a photo coloured by what its regions add to a score.

    Args:
        pixels: The photo, RGB.
        shares: What each cell of a grid over it adds.
        top: The share shown in the lightest colour; what is at or below zero is darkened alone.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    level = np.clip(shares / top, 0, 1) if top > 0 else np.zeros_like(shares)
    smooth = Image.fromarray(level.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    # Below one, so that middling shares are seen beside one that is much larger.
    strength = np.clip(np.asarray(smooth), 0, 1) ** _CONTRAST
    place = strength * (len(_COLOURS) - 1)
    lower = np.minimum(place.astype(np.intp), len(_COLOURS) - 2)
    part = (place - lower)[..., None]
    colours = _COLOURS[lower] * (1 - part) + _COLOURS[lower + 1] * part
    opacity = (_STRONGEST * strength)[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    darkened = (0.5 * pixels + 0.5 * grey) * _DARKENED
    lit = darkened + (pixels - darkened) * np.minimum(1, 2 * strength[..., None])
    return np.rint(lit * (1 - opacity) + colours * opacity).astype(np.uint8)


def _top(shares: Float32[np.ndarray, "rows columns"]) -> float:
    return float(shares.max(initial=0))


def _frames(query: Pixels, answer: Pixels) -> tuple[_Frame, _Frame]:
    """Returns where both photos stand beside one another, at one height."""
    ratios = [pixels.shape[1] / pixels.shape[0] for pixels in (query, answer)]
    height = max(1, round(min(_HEIGHT, (_WIDEST - _GAP) / sum(ratios))))
    widths = [max(1, round(height * ratio)) for ratio in ratios]
    return _Frame(0, widths[0], height), _Frame(widths[0] + _GAP, widths[1], height)


def _side_by_side(query: Pixels, answer: Pixels) -> Image.Image:
    from PIL import Image

    frames = _frames(query, answer)
    picture = Image.new("RGB", (frames[1].left + frames[1].width, frames[0].height), _GROUND)
    for pixels, frame in zip((query, answer), frames, strict=True):
        shown = Image.fromarray(pixels).resize((frame.width, frame.height), Image.Resampling.LANCZOS)
        picture.paste(shown, (frame.left, 0))
    return picture


def _linked(picture: Image.Image, links: Sequence[Link], frames: tuple[_Frame, _Frame]) -> Image.Image:
    """Returns the picture with a line for each link, the thicker the more it adds."""
    from PIL import Image, ImageDraw

    large = picture.resize((picture.width * _SMOOTH, picture.height * _SMOOTH), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(large)
    for link in reversed(links):
        thick = 1 + 3 * (link.share / links[0].share)
        ends = [
            ((frame.left + x * frame.width) * _SMOOTH, y * frame.height * _SMOOTH)
            for (x, y), frame in zip((link.query, link.answer), frames, strict=True)
        ]
        for colour, wider in (((0, 0, 0), 1.5), (_LINE, 0.0)):
            pen.line(ends, fill=colour, width=round((thick + wider) * _SMOOTH))
            for x, y in ends:
                radius = (thick + 2.5 + wider / 2) * _SMOOTH
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return large.resize(picture.size, Image.Resampling.LANCZOS)
