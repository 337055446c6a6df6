"""Sizes photos are shown at, and the one filter that brings them there.

Pillow's Lanczos is what the field's published descriptors were computed with (cirtorch's ``imresize``).
Against it OpenCV's area average is two to three times as fast but differs by up to 24 of 255 levels at the
ratios between 1 and 2 that are left after a reduced JPEG decode, because it takes neighbouring pixels into
account unevenly there.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["fit", "fitted_size", "reduce", "shown_side"]

# Above twice the wanted size Pillow first averages whole blocks: from 12 megapixels to 640 pixels 24 ms
# instead of 100, with at most 5 of 255 levels of difference (0.2 on average).
_REDUCING_GAP = 2.0


def fitted_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Returns width and height scaled so that the longer one is ``max_side``, in pixels.

    A size that fits already comes back unchanged: nothing is ever enlarged. The shorter side is rounded to
    the nearest pixel and is at least 1, however thin the panorama. Pillow's ``thumbnail``, by which the
    authors reduce, gives the same size in 998 of 1000 cases since Pillow 7, which weighs the two nearest
    sizes by their shape. Before, when the published descriptors were computed, it cut off: one pixel less
    in 43 of 100 cases (640 by 480 at 362: 271, not 272).

    Raises:
        InvalidInput: ``max_side`` is below 1.
    """
    if max_side < 1:
        raise InvalidInput(f"max_side must be at least 1 pixel, not {max_side}")
    long = max(width, height)
    if long <= max_side:
        return width, height
    return max(1, round(width * max_side / long)), max(1, round(height * max_side / long))


def shown_side(box: Box, width: int, height: int, max_side: int) -> int:
    """Returns the long side at which a crop is shown to have the pixel scale of the database, in pixels.

    A query box is shown as large as it is in the whole photo when that is shown at ``max_side``:
    ``max_side * max(crop) / max(photo)`` (Radenović et al., cirtorch ``datahelpers.py`` since v1.2),
    rounded where Pillow's ``thumbnail`` cuts off; at least 1, and never more than the crop has.

    Args:
        box: The crop, in pixels of the whole photo.
        width: Width of the whole photo, pixels.
        height: Height of the whole photo, pixels.
        max_side: The long side at which whole photos of the database are shown, pixels.

    Raises:
        InvalidInput: ``max_side`` is below 1.
    """
    if max_side < 1:
        raise InvalidInput(f"max_side must be at least 1 pixel, not {max_side}")
    long = max(box.width, box.height)
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(long * scale))


def reduce(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    """Returns the part ``box`` (along pixel edges, may be fractions) at ``size`` (width, height)."""
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=_REDUCING_GAP)


def fit(pixels: UInt8[np.ndarray, "rows columns 3"], max_side: int) -> UInt8[np.ndarray, "rows_ columns_ 3"]:
    """Returns the photo with its long side at most ``max_side`` pixels, never enlarged.

    A photo that fits already comes back itself, not a copy.

    Args:
        pixels: RGB uint8.
        max_side: Upper limit of the longer side, pixels.

    Raises:
        InvalidInput: ``max_side`` is below 1.
    """
    height, width = pixels.shape[:2]
    size = fitted_size(width, height, max_side)
    if size == (width, height):
        return pixels
    return np.array(reduce(Image.fromarray(pixels), size, (0, 0, width, height)))
