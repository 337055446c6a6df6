"""Pages of other words on the same lines agree by these: what is left without lines tells them apart."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32

__all__ = ["SAME_WORDS", "between_lines"]

WINDOW = 9
"""Pixels of a side of a window."""
LEFT = 0.25
"""Share of a window's variance that is left without its lines, below which it shows lines."""
LINED = 0.3
"""Share of the windows that show lines from which these are asked: on photos of buildings most do, too."""
AGREES = 0.6
"""Correlation from which what is left of two windows agrees."""
SAME_WORDS = 0.23
"""Share of agreeing windows below which the words are others. Of 18 pairs of pages with one picture and font
none had more than .16, of 1200 pairs of copies none less than .31."""


def between_lines(
    one: Float32[np.ndarray, "rows columns"],
    other: Float32[np.ndarray, "rows columns"],
    visible: Bool[np.ndarray, "rows columns"],
) -> float:
    """Returns the share of the windows showing lines in which both photos agree without these, or 1.

    It is 1 where too few windows show lines.

    Lines along rows or columns are taken out by subtracting the mean along them, of the more frequent kind.

    Args:
        one: Grey levels of a photo.
        other: Those of another, laid over it.
        visible: Centres of the windows in which there is anything to be seen.
    """
    size, greys = (WINDOW, WINDOW), (one, other)
    spreads = [cv2.blur(grey * grey, size) - cv2.blur(grey, size) ** 2 for grey in greys]
    most, agreeing = LINED * float(np.count_nonzero(visible)), 1.0
    for along in ((WINDOW, 1), (1, WINDOW)):
        rest = [grey - cv2.blur(grey, along) for grey in greys]
        left = [cv2.blur(values * values, size) for values in rest]
        lined = visible & (left[0] < LEFT * spreads[0]) & (left[1] < LEFT * spreads[1])
        count = float(np.count_nonzero(lined))
        if count > most:
            correlation = cv2.blur(rest[0] * rest[1], size) / np.sqrt(left[0] * left[1] + 1e-3)
            most, agreeing = count, float(np.mean(correlation[lined] > AGREES))
    return agreeing
