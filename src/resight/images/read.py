"""Reads a photo: any of the accepted formats, upright, RGB, at the size that is asked for."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box
from resight.images import formats
from resight.images.budget import Limit, PixelBudget
from resight.images.colour import grey_or_rgb
from resight.images.decode import decode
from resight.images.opening import open_file, opened, reasons
from resight.images.photo import Photo
from resight.images.show import check_side, show

__all__ = ["MAX_PIXELS", "decoded", "is_photo", "read"]

MAX_PIXELS = 225_000_000
"""Most pixels that are decoded: a panorama of 25,000 by 9,000; as RGB they take 0.9 GB of memory.

What takes more than the four bytes of an RGB pixel while it is decoded (alpha, CMYK, wide samples, the
coefficients of a progressive JPEG, the buffers of WebP, AVIF and HEIC) counts by its memory.
"""


def read(
    source: str | Path | bytes | BinaryIO,
    *,
    max_side: int | None = None,
    box: Box | None = None,
    max_pixels: int = MAX_PIXELS,
    budget: PixelBudget | None = None,
) -> Photo:
    """Returns the photo of a file, upright, as RGB uint8.

    Read are JPEG, PNG, WebP, TIFF (first page), BMP, GIF, AVIF and HEIC; of an animation the first
    frame. What the file is, its bytes say, not its name. The orientation of the EXIF
    data (or, without them, of the XMP data) is applied in every format; other colours become RGB as
    ``colour.grey_or_rgb`` says: alpha over white, 16 bits by their high byte, no colour profiles.

    Safe to call from several threads; decoding runs outside the interpreter's lock.

    Args:
        source: A path, a file's bytes, or a binary stream (read from its start, left open).
        max_side: Long side at which the whole photo is shown, pixels; ``None``: full size. Never enlarges.
        box: The part wanted, in pixels of the whole upright photo; rounded to whole pixels and clipped to
            the photo. It is shown at the scale the whole photo has at ``max_side``, not at ``max_side``
            itself.
        max_pixels: Most pixels to decode, against decompression bombs. What counts is the size decoded at,
            so a larger JPEG can be read with a ``max_side`` that lets it be decoded reduced.
        budget: Shared with others that read at once; None: they do not wait for each other.

    Raises:
        UnreadableImage: The file is missing, broken, foreign or too large.
        InvalidInput: The box lies outside the photo, or ``max_side`` or ``max_pixels`` is below 1.
    """
    check_side(max_side)
    if max_pixels < 1:
        raise InvalidInput(f"max_pixels must be at least 1, not {max_pixels}")
    with opened(source) as (name, stream), ExitStack() as held, formats.pillow_warnings_unseen():
        with reasons(name):
            head = "" if isinstance(stream, io.TextIOBase) else stream.read(formats.HEAD)
        if not isinstance(head, bytes):
            kind = "text: open(path, 'rb') gives bytes" if isinstance(head, str) else type(head).__name__
            raise InvalidInput(f"a photo is read from a binary stream, and {name} gives {kind}")
        if not head:
            raise UnreadableImage(name, "the file is empty")
        format_ = formats.detect(head)
        if format_ is None:
            raise UnreadableImage(name, f"it is {formats.what_else(head)}; accepted are {formats.ACCEPTED}")
        with reasons(name, format_):
            stream.seek(0)
            stored = decode(name, format_, stream, max_side, Limit(max_pixels, budget, held))
        photo = show(stored, max_side=max_side, box=box)
        # Before its pixels are given back to the budget.
        del stored
        return photo


def decoded(image: Image.Image) -> Image.Image:
    """Returns a PIL image, loaded and made grey or RGB, as stored: not turned upright.

    Raises:
        UnreadableImage: Its pixels are loaded only now, and the file behind it is broken or gone.
    """
    with reasons("the PIL image", image.format or "pixel"), formats.pillow_warnings_unseen():
        image.load()
        # Pillow makes nothing but the same with plain alpha of it.
        return grey_or_rgb(image.convert("LA") if image.mode == "La" else image)


def is_photo(path: str | Path) -> bool:
    """Returns whether there is a file that begins as photos do, whatever its name."""
    try:
        with open_file(path) as stream:
            return formats.detect(stream.read(formats.HEAD)) is not None
    except (OSError, ValueError, UnreadableImage):
        return False
