"""Hand-painted capitals: an alphabet of strokes, each sign in its own hand.

Letters are drawn here, not by a font, so that they look the same on every machine, and no two signs share the
exact shape of a letter: printed ones would tell local features that two places are one.
"""

from __future__ import annotations

import numpy as np

from resight.scenes.materials import Colour
from resight.scenes.sheet import Sheet

__all__ = ["paint_letters"]

# Strokes on a grid of 4 columns and 6 rows: points are column and row, strokes are separated by spaces.
_STROKES = {
    "A": "06-20-46 14-34",
    "B": "06-00-30-41-42-33-03 33-44-45-36-06",
    "C": "41-30-10-01-05-16-36-45",
    "D": "06-00-20-42-44-26-06",
    "E": "40-00-06-46 03-33",
    "F": "40-00-06 03-33",
    "G": "41-30-10-01-05-16-36-45-43-23",
    "H": "00-06 40-46 03-43",
    "I": "20-26",
    "K": "00-06 40-03-46",
    "L": "00-06-46",
    "M": "06-00-23-40-46",
    "N": "06-00-46-40",
    "O": "10-30-41-45-36-16-05-01-10",
    "P": "06-00-30-41-42-33-03",
    "R": "06-00-30-41-42-33-03 23-46",
    "S": "41-30-10-01-02-13-33-44-45-36-16-05",
    "T": "00-40 20-26",
    "U": "00-05-16-36-45-40",
    "V": "00-26-40",
    "W": "00-16-23-36-40",
    "X": "00-46 40-06",
    "Z": "00-40-06-46",
}


def paint_letters(
    rng: np.random.Generator,
    sheet: Sheet,
    text: str,
    x: float,
    y: float,
    width: float,
    height: float,
    ink: Colour,
) -> None:
    """Paints capitals into a rectangle given by its upper left corner and size; others leave a gap."""
    pitch = width / max(len(text), 1)
    slant, weight = float(rng.uniform(-0.25, 0.25)), float(rng.uniform(0.1, 0.2)) * height
    wide = float(rng.uniform(0.62, 0.78)) * pitch
    for place, letter in enumerate(text):
        lift, size = rng.normal(0, 0.04) * height, height * rng.uniform(0.86, 1.0)
        for stroke in _STROKES.get(letter, "").split():
            grid = np.array([[int(point[0]), int(point[1])] for point in stroke.split("-")], dtype=np.float64)
            grid += rng.normal(0, 0.24, grid.shape)
            right = x + place * pitch + wide * grid[:, 0] / 4 + slant * size * (1 - grid[:, 1] / 6) * 0.5
            sheet.line(np.column_stack([right, y + lift + size * grid[:, 1] / 6]), ink, weight)
