"""Which way up a stored picture belongs: the orientation of the EXIF standard (tag 274, values 1 to 8)."""

from __future__ import annotations

import struct

from PIL import ExifTags, Image

from resight.features import Box

__all__ = ["orientation", "stored_box", "upright"]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int:
    """Returns the orientation of a loaded image, 1 to 8; 1 (upright) where it has none or nonsense.

    It is taken from the EXIF data, or from the XMP data where the EXIF data name none. Pillow turns TIFF by
    itself on loading, as pillow-heif does HEIC, and both then drop the entry; AVIF's own rotation arrives as
    an EXIF orientation.
    """
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except (ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        # Broken metadata are no reason to lose a photo whose pixels are whole.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def stored_box(box: Box, width: float, height: float, value: int) -> Box:
    """Returns where a box of the upright picture lies in the stored one.

    Args:
        box: In the upright picture of ``width`` by ``height``.
        width: Width of the upright picture.
        height: Height of the upright picture.
        value: The orientation, 1 to 8.
    """
    x0, y0, x1, y1 = box.corners
    if value in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if value in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return Box(y0, x0, y1, x1) if value >= 5 else Box(x0, y0, x1, y1)


def upright(image: Image.Image, value: int) -> Image.Image:
    """Returns a stored picture (or a part of one) turned upright."""
    return image.transpose(_TURNS[value]) if value in _TURNS else image
