"""A model's attention drawn over photos."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import InvalidInput
from resight.features import Box, ReceptiveField
from resight.images import Photo
from resight.reports.attention import attention_over, contact_sheet


def test_colours_lie_over_the_pixels_their_cell_is_centred_on():
    pixels = np.full((40, 60, 3), 90, dtype=np.uint8)
    attention = np.zeros((5, 8), dtype=np.float32)
    attention[2, 5] = 3.0
    drawn = attention_over(Photo(pixels, 60, 40, Box(0, 0, 60, 40)), attention, ReceptiveField(9, 8, 4))
    assert drawn.shape == pixels.shape
    # Blue goes as attention comes: dark red at its highest, dark blue at its lowest.
    blue = drawn[..., 2].astype(int)
    assert (blue == blue.min()).nonzero() == (np.array([16]), np.array([40]))
    # Eight pixels off lies the next cell, which has none.
    assert blue[16, 48] == blue[8, 40] == blue[0, 0] > blue.min() + 30
    # Cells of a field without padding are centred half of it further in.
    moved = attention_over(Photo(pixels, 60, 40, Box(0, 0, 60, 40)), attention, ReceptiveField(9, 8, 0))
    blue = moved[..., 2].astype(int)
    assert (blue == blue.min()).nonzero() == (np.array([20]), np.array([44]))


def test_several_pictures_stand_side_by_side_in_lines():
    tall, wide = np.zeros((100, 50, 3), dtype=np.uint8), np.full((50, 150, 3), 9, dtype=np.uint8)
    assert contact_sheet([tall]) is tall
    sheet = contact_sheet([tall, wide, wide])
    assert sheet.shape == (420 + 8 + 420, 210 + 8 + 1260, 3)
    assert (sheet[:420, :210] == 0).all()
    assert (sheet[428:, :1260] == 9).all()
    with pytest.raises(InvalidInput, match="no picture"):
        contact_sheet([])
