"""A decoded picture to the photo a model sees: the wanted part, reduced, upright."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from resight.errors import InvalidInput
from resight.features import Box
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


def show(
    image: Image.Image,
    orientation: int,
    *,
    max_side: int | None,
    box: Box | None,
    full: tuple[int, int] | None = None,
    extent: tuple[float, float] | None = None,
) -> Photo:
    """Returns the photo of a decoded picture, upright, RGB uint8.

    Args:
        image: Grey or RGB (mode L or RGB), loaded, as stored: not turned yet.
        orientation: The EXIF orientation of the stored picture, 1 to 8.
        max_side: Long side at which the whole photo is shown, pixels; ``None``: full size. Never enlarges.
        box: The part wanted, in pixels of the whole upright photo at full size; ``None``: all of it.
        full: Width and height of the stored picture at full size; those of ``image`` by default.
        extent: What of ``image`` the full size covers, pixels. Of a JPEG decoded at a fraction of its size,
            the last column may stand for less than a whole one. All of ``image`` by default.

    Raises:
        InvalidInput: The box lies outside the photo.
    """
    full = full or image.size
    extent = extent or image.size
    width, height = full[::-1] if orientation >= 5 else full
    region = _region(box, width, height)
    size = int(region.width), int(region.height)
    if max_side is not None:
        size = fitted_size(*size, shown_side(region, width, height, max_side))
    stored = stored_box(region, width, height, orientation)
    scales = (extent[0] / full[0], extent[1] / full[1])
    part = _part(image, stored, scales, size[::-1] if orientation >= 5 else size)
    return Photo(np.array(upright(part, orientation).convert("RGB")), width, height, region)


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
