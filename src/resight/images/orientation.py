"""Which way up a stored picture belongs: the orientation of the EXIF standard (tag 274, values 1 to 8)."""

from __future__ import annotations

import re
import struct

from PIL import ExifTags, Image

from resight.features import Box

__all__ = ["orientation", "orientation_in", "stored_box", "upright"]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_TAG = 0x0112
_IN_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([0-9])")


def orientation_in(exif: bytes, xmp: bytes) -> int:
    """Returns the orientation that a file's metadata name, 1 to 8; 1 (upright) where they name none.

    Only this one entry is read of the EXIF data, so that broken or huge ones cost nothing. Where they name
    none, the XMP data count.

    Args:
        exif: A TIFF structure, with or without ``Exif`` and two zero bytes before it; empty for none.
        xmp: A text; empty for none.
    """
    value = _tag_value(exif.removeprefix(b"Exif\0\0"))
    if value is None and (match := _IN_XMP.search(xmp)):
        value = int(match[1])
    return value if value is not None and 1 <= value <= 8 else 1


def _tag_value(exif: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, at)
            if tag == _TAG:
                (value,) = struct.unpack_from(order + {1: "B", 3: "H", 4: "I"}.get(kind, "H"), exif, at + 8)
                return int(value)
    except struct.error:
        # Cut off before the entry: the metadata name none.
        return None
    return None


def orientation(image: Image.Image) -> int:
    """Returns the orientation of a PIL image, 1 to 8; 1 (upright) where it has none or nonsense."""
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
