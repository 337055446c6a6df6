"""A decoded picture to the photo a model sees: the wanted part, reduced, upright."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from resight.errors import InvalidInput
from resight.features import Box
from resight.images.decode import Stored
from resight.images.orientation import stored_box, upright
from resight.images.photo import Photo
from resight.images.resize import fitted_size, reduce, shown_side

__all__ = ["check_side", "show"]


def check_side(max_side: int | None) -> None:
    """Checks a long side in pixels; ``None`` stands for full size.

    Raises:
        InvalidInput: It is below 1.
    """
    if max_side is not None and max_side < 1:
        raise InvalidInput(f"max_side must be at least 1 pixel, not {max_side}")


def show(stored: Stored, *, max_side: int | None, box: Box | None) -> Photo:
    """Returns the photo of a decoded picture, upright, RGB uint8.

    Args:
        stored: The picture.
        max_side: Long side at which the whole photo is shown, pixels; ``None``: full size. Never enlarges.
        box: The part wanted, in pixels of the whole upright photo at full size; ``None``: all of it.

    Raises:
        InvalidInput: The box lies outside the photo.
    """
    full, turned = stored.size, stored.orientation >= 5
    width, height = full[::-1] if turned else full
    region = _region(box, width, height)
    size = int(region.width), int(region.height)
    if max_side is not None:
        size = fitted_size(*size, shown_side(region, width, height, max_side))
    scales = (stored.extent[0] / full[0], stored.extent[1] / full[1])
    place = stored_box(region, width, height, stored.orientation)
    part = _part(stored.image, place, scales, size[::-1] if turned else size)
    pixels = np.array(upright(part, stored.orientation).convert("RGB"))
    return Photo(pixels, width, height, region, stored.warning)


def _region(box: Box | None, width: int, height: int) -> Box:
    """Returns the box in whole pixels inside the photo, rounded as Pillow's ``crop`` does but never empty."""
    if box is None:
        return Box(0.0, 0.0, float(width), float(height))
    x0, y0, x1, y1 = box.clipped(width, height).corners
    left, right = round(x0), round(x1)
    top, bottom = round(y0), round(y1)
    if left == right:
        left, right = math.floor(x0), math.floor(x0) + 1
    if top == bottom:
        top, bottom = math.floor(y0), math.floor(y0) + 1
    return Box(float(left), float(top), float(right), float(bottom))


def _part(image: Image.Image, box: Box, scales: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """Returns a box (in full-size stored pixels) of an image decoded at those scales, shown at ``size``."""
    x0, y0, x1, y1 = box.corners
    # The scales are 1, 1/2, 1/4 or 1/8, so that the products are exact and end where the image ends.
    corners = (x0 * scales[0], y0 * scales[1], x1 * scales[0], y1 * scales[1])
    whole_pixels = all(corner.is_integer() for corner in corners)
    if not whole_pixels or (corners[2] - corners[0], corners[3] - corners[1]) != size:
        return reduce(image, size, corners)
    whole = (0.0, 0.0, float(image.width), float(image.height))
    left, top, right, bottom = (round(corner) for corner in corners)
    return image if corners == whole else image.crop((left, top, right, bottom))
