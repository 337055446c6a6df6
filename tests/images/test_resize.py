from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight.errors import InvalidInput
from resight.features import Box
from resight.images.resize import fit, fitted_size, shown_side

sides = st.integers(1, 30_000)


@given(sides, sides, sides)
def test_a_fitted_size_never_grows_and_keeps_the_shape(width: int, height: int, max_side: int) -> None:
    new_width, new_height = fitted_size(width, height, max_side)
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert max(new_width, new_height) == min(max_side, max(width, height))
    # Within half a pixel of the exact shape, or the one pixel that is the least.
    scale = max(new_width, new_height) / max(width, height)
    assert abs(new_width - width * scale) <= 0.5 + 1e-9 or new_width == 1
    assert abs(new_height - height * scale) <= 0.5 + 1e-9 or new_height == 1


def test_fit_of_a_photo_that_fits_is_that_photo() -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    assert fit(pixels, 40) is pixels
    assert fit(pixels, 1000) is pixels


@pytest.mark.parametrize(
    ("shape", "max_side", "expected"),
    [((30, 40), 20, (15, 20)), ((40, 30), 20, (20, 15)), ((2, 3000), 100, (1, 100)), ((3000, 2), 1, (1, 1))],
)
def test_fit_gives_the_exact_size(shape: tuple[int, int], max_side: int, expected: tuple[int, int]) -> None:
    fitted = fit(np.full((*shape, 3), 77, np.uint8), max_side)
    assert fitted.shape == (*expected, 3)
    assert fitted.dtype == np.uint8
    assert (fitted == 77).all()


def test_fit_averages_instead_of_picking() -> None:
    # A checkerboard of black and white is grey from afar; nearest neighbours would keep it black and white.
    board = np.indices((240, 320)).sum(axis=0) % 2 * 255
    fitted = fit(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), 40)
    assert np.abs(fitted.astype(int) - 127).max() <= 2


def test_fit_keeps_positions() -> None:
    # The centre of mass of a bright spot moves with the scale, and not by half a pixel.
    y, x = np.mgrid[0:300, 0:400]
    spot = 250 * np.exp(-((x + 0.5 - 123) ** 2 + (y + 0.5 - 211) ** 2) / 800)
    fitted = fit(np.repeat(spot[..., None], 3, axis=2).round().astype(np.uint8), 150)[..., 0].astype(float)
    rows, columns = np.mgrid[0 : fitted.shape[0], 0 : fitted.shape[1]] + 0.5
    scale_x, scale_y = fitted.shape[1] / 400, fitted.shape[0] / 300
    assert (fitted * columns).sum() / fitted.sum() / scale_x == pytest.approx(123, abs=0.3)
    assert (fitted * rows).sum() / fitted.sum() / scale_y == pytest.approx(211, abs=0.3)


@pytest.mark.parametrize(
    ("box", "max_side", "side"),
    [
        (Box(0, 0, 2000, 1500), 1000, 1000),
        (Box(0, 0, 1000, 100), 1000, 500),
        (Box(100, 200, 300, 900), 1000, 350),
        (Box(100, 200, 300, 900), 4000, 700),
        (Box(0, 0, 1, 1), 100, 1),
    ],
)
def test_a_crop_is_shown_at_the_scale_of_the_whole(box: Box, max_side: int, side: int) -> None:
    assert shown_side(box, 2000, 1500, max_side) == side


def test_a_side_below_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match="max_side must be at least 1 pixel, not 0"):
        fit(np.zeros((4, 4, 3), np.uint8), 0)
    with pytest.raises(InvalidInput, match="max_side must be at least 1 pixel, not -3"):
        shown_side(Box(0, 0, 1, 1), 4, 4, -3)
