"""The picture that a page or a screen shows: the words around it take the strongest features."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

from resight.features import Box

__all__ = ["inset_of"]

SIDE = 256
"""Long side in pixels at which it is looked for."""
RIM = 4
"""Pixels of the rim that show the page."""
PLAIN = 8
"""Levels of 256 within which a pixel has the colour of the page."""
AROUND = 0.05
"""Share of the photo from which a colour is that of a page."""
LINES = 24
"""What is thinner than one in so many of the short side is a line, or words."""
LEAST, MOST = 0.02, 0.9
"""Share of the photo that a picture takes at least and at most."""
SOLID = 0.8
"""Share of its bounding box that a picture fills at least."""


def inset_of(pixels: UInt8[np.ndarray, "rows columns 3"]) -> Box | None:
    """Returns the picture that a photo shows with a page around it, in its pixels; None where there is none.

    The colour that most pixels of the rim have is that of the page. Of the rest, with lines and words taken
    out by an opening, the largest connected part is the picture, if it is a solid rectangle.
    """
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    size = [max(round(side * scale), 1) for side in pixels.shape[1::-1]]
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    codes = np.right_shift(small, 4) @ np.array([256, 16, 1], dtype=np.int32)
    rim = np.ones(codes.shape, dtype=bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    page = np.median(small[codes == np.bincount(codes[rim]).argmax()], axis=0)
    rest = np.abs(small - page).max(axis=2) > PLAIN
    if rest.mean() > 1 - AROUND:
        return None
    rows, columns = rest.shape
    line = np.ones((max(min(rows, columns) // LINES, 3),) * 2, np.uint8)
    solid = cv2.morphologyEx(rest.astype(np.uint8), cv2.MORPH_OPEN, line)
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return None
    largest = max(outlines, key=cv2.contourArea)
    x, y, width, height = cv2.boundingRect(largest)
    # A contour runs through the centres of the outermost pixels.
    filled = cv2.contourArea(largest) / max((width - 1) * (height - 1), 1)
    if filled < SOLID or not LEAST <= width * height / (rows * columns) <= MOST:
        return None
    across, down = pixels.shape[1] / columns, pixels.shape[0] / rows
    return Box(x * across, y * down, (x + width) * across, (y + height) * down)
