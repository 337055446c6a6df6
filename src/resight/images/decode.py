"""From a file of a known format to its picture, grey or RGB with 8 bits a channel, as it is stored.

A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, straight from its cosine coefficients, when at most
half of that is asked for: what is left is a reduction by at least two, so that the filter that photos are
reduced with decides what they look like. benchmarks/decode.py measures the gain, and what a decode at just
the wanted size would save and change.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from resight.errors import UnreadableImage
from resight.images import jpeg, png
from resight.images.budget import Limit
from resight.images.colour import grey_or_rgb, high_bits
from resight.images.formats import open_image
from resight.images.heif import coded_pixels
from resight.images.orientation import orientation_in
from resight.images.tiff import full_picture
from resight.images.tiff_samples import read_samples

__all__ = ["Stored", "decode"]

_FINER = 2
"""A JPEG is decoded at this many times the wanted side, or more."""

_IN_PLACE = frozenset({"TIFF", "BMP", "PPM", "GIF"})
_MOST_PACKED = 400_000_000
"""Most bytes of a file of the formats that are held in memory while they are decoded."""

_PPM_HEADER = 1 << 16
_PPM_SIDES = re.compile(rb"P\d(?:(?:\s|#[^\r\n]*[\r\n])+\d{1,9}){2}\s")

_ITEM_OF_EXIF = re.compile(rb"(infe[\2\3]\0\0.(?:..|....)\0\0)Exif", re.DOTALL)

# Memory a pixel takes while it is decoded, in units of the four bytes of an RGB pixel (benchmarks/bombs.py).
_WEIGHTS = {"WEBP": 4.0, "AVIF": 4.0, "HEIF": 4.0}
_PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "I;16", "I;16B", "I;16L"})


@dataclass(frozen=True, slots=True)
class Stored:
    """A decoded picture as its file stores it.

    Attributes:
        image: Grey or RGB (mode L or RGB), loaded, possibly at a fraction of its size.
        orientation: Of EXIF, 1 to 8.
        size: Width and height of the stored picture at full size.
        extent: What of ``image`` the full size covers, pixels: of a JPEG decoded at a fraction of its size,
            the last column may stand for less than a whole one.
        warning: What is wrong with the file though its pixels could be read; None for nothing.
    """

    image: Image.Image
    orientation: int
    size: tuple[int, int]
    extent: tuple[float, float]
    warning: str | None = None


def decode(name: str, kind: str, stream: BinaryIO, max_side: int | None, limit: Limit) -> Stored:
    """Returns the picture of a file; of several the first, in TIFF files the full one.

    Args:
        name: Of the file, for errors.
        kind: Its format, as ``formats.detect`` says.
        stream: At its start, seekable.
        max_side: Long side at which the whole photo will be shown, pixels; ``None``: full size.
        limit: What the picture may take.

    Raises:
        UnreadableImage: It is too large, or of a layout that is not read.
        Exception: Whatever the decoder raises on a broken file.
    """
    if kind not in _IN_PLACE:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        if size > _MOST_PACKED:
            raise UnreadableImage(
                name, f"its {size:,} bytes are more than the limit of {_MOST_PACKED:,} for compressed formats"
            )
    if kind == "JPEG":
        return _jpeg(name, stream.read(), max_side, limit)
    if kind == "PNG":
        return _png(name, stream.read(), limit)
    if kind == "TIFF":
        return _tiff(name, stream, limit)
    if kind == "PPM":
        _check_ppm(stream)
    if kind == "AVIF":
        # Its turns are of its own; Pillow reads EXIF data all the same, and those of a few kilobytes can
        # claim gigabytes.
        stream = io.BytesIO(_ITEM_OF_EXIF.sub(rb"\1Exi_", stream.read()))
    coded = 0
    if kind in ("HEIC", "AVIF"):
        data = stream.read()
        stream, coded = io.BytesIO(data), coded_pixels(data)
    image = open_image(kind, stream)
    limit.admit(name, image.size, max(_pixels(image), _WEIGHTS["HEIF"] * coded))
    image.load()
    value = orientation_in(image.info.get("exif") or b"", image.info.get("xmp") or b"")
    if kind == "AVIF":
        value = image.getexif().get(0x0112, 1)
    return _whole(grey_or_rgb(image), value)


def _check_ppm(stream: BinaryIO) -> None:
    """Refuses a header of megabytes, which Pillow reads byte by byte."""
    if not _PPM_SIDES.match(stream.read(_PPM_HEADER)):
        raise ValueError(f"no sides in its first {_PPM_HEADER:,} bytes")
    stream.seek(0)


def _whole(image: Image.Image, orientation: int, warning: str | None = None) -> Stored:
    return Stored(image, orientation, image.size, image.size, warning)


def _jpeg(name: str, data: bytes, max_side: int | None, limit: Limit) -> Stored:
    file = jpeg.parse(name, data)
    max_side = max_side if file.scalable else None
    # Its content is held once more in `file`.
    del data
    image, extent = _opened_jpeg(file.content, max_side)
    full = image.info["full"]
    coefficients = 0.0 if file.at_once else full[0] * full[1] * file.bytes_per_pixel / 4
    limit.admit(name, image.size if file.at_once else full, _pixels(image) + coefficients)
    warning = None
    try:
        image.load()
    except OSError:
        if not _is_nearly_whole(image, file, extent[1] / full[1]):
            raise
        image, extent = _opened_jpeg(file.content + jpeg.END, max_side)
        image.load()
        warning = "its end is missing, and with it at most its last rows"
    if _ends_in_filling(image):
        _check_rows(file, max_side)
    if not file.refined:
        warning = "its last scans are missing, and with them fine detail"
    return Stored(grey_or_rgb(image), orientation_in(file.exif, file.xmp), full, extent, warning)


def _opened_jpeg(content: bytes, max_side: int | None) -> tuple[ImageFile, tuple[float, float]]:
    """Returns a JPEG image set to be decoded at a fraction of its size, and what of that is its full size.

    Neither a box nor the orientation matters: a crop is shown at the scale of the whole.
    """
    image = open_image("JPEG", io.BytesIO(content))
    full = image.info["full"] = image.size
    if max_side is None or _FINER * max_side >= max(full):
        return image, full
    side = _FINER * max_side
    # The long side decides: the short one of a thin panorama may be shown at less than its reduced size.
    drafted = image.draft(None, (side, 1) if full[0] >= full[1] else (1, side))
    return image, drafted[1][2:] if drafted else full


def _is_nearly_whole(image: ImageFile, file: jpeg.Jpeg, scale: float) -> bool:
    """Returns whether all that a cut-off JPEG lacks is its last row of blocks, or a part of the last bits."""
    if not file.at_once:
        return file.refined
    # Rows that the decoder has not reached are zero; it holds one row of blocks back to smooth its edges.
    bounds = image.im.getbbox()
    lacking = image.height if bounds is None else image.height - bounds[3]
    return lacking <= 2 * math.ceil(file.rows * scale)


def _ends_in_filling(image: ImageFile) -> bool:
    """Returns whether the last row is of the grey that the decoder makes of what a file lacks."""
    row = image.crop((0, image.height - 1, image.width, image.height))
    # Of inverted inks the grey is 127.
    return all(set(band.tobytes()) <= {127, 128} for band in row.split())


def _check_rows(file: jpeg.Jpeg, max_side: int | None) -> None:
    """Refuses a file whose end marker stands before its last rows: without it the decoder stops there.

    Raises:
        ValueError: It lacks more than its last row of blocks.
    """
    image, extent = _opened_jpeg(file.content.removesuffix(jpeg.END), max_side)
    try:
        image.load()
    except OSError:
        if not _is_nearly_whole(image, file, extent[1] / image.info["full"][1]):
            raise ValueError("its end comes before its last rows") from None


def _png(name: str, data: bytes, limit: Limit) -> Stored:
    file = png.parse(name, data)
    del data
    image = open_image("PNG", io.BytesIO(file.content))
    limit.admit(name, image.size, _pixels(image))
    image.load()
    return _whole(grey_or_rgb(image), orientation_in(file.exif, file.xmp), file.warning)


def _tiff(name: str, stream: BinaryIO, limit: Limit) -> Stored:
    layout, stream = full_picture(name, stream)
    if not layout.by_pillow:
        size = (layout.width, layout.height)
        limit.admit(name, size, size[0] * size[1] * layout.weight)
        return _whole(read_samples(name, stream, layout), layout.orientation)
    stream.seek(0)
    image = open_image("TIFF", stream)
    limit.admit(name, image.size, _pixels(image))
    # Where Pillow makes the image itself, it refuses more than 178,956,970 pixels.
    image.im = Image.new(image.mode, (layout.width, layout.height)).im
    # It turns TIFF upright while it loads.
    image.load()
    if layout.depth < 16 and image.mode.startswith("I;16"):
        return _whole(Image.fromarray(high_bits(np.asarray(image), layout.depth)), 1)
    return _whole(grey_or_rgb(image), 1)


def _pixels(image: ImageFile) -> float:
    """Returns as how many RGB pixels those of an image count, by the memory that decoding them takes."""
    converted = image.mode not in _PLAIN_MODES or (image.mode == "RGB" and image.has_transparency_data)
    weight = _WEIGHTS.get(image.format or "", 2.0 if converted else 1.0)
    return image.width * image.height * weight
