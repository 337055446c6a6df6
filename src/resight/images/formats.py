"""Which file formats are photos, and the decoder of each.

The decoders are Pillow's, one class a format, reached by the file's first bytes: the dozens of other
formats that ``Image.open`` would try, and its process-wide limit on pixels, stay out of play.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

from PIL.ImageFile import ImageFile

__all__ = [
    "ACCEPTED",
    "HEAD",
    "PHOTO_SUFFIXES",
    "detect",
    "open_image",
    "pillow_warnings_unseen",
    "what_else",
]

ACCEPTED = "JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, AVIF and HEIC"
"""The formats that are read, in words."""

PHOTO_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("apng", "avif", "bmp", "gif", "heic", "heif", "hif", "jfif", "jpe", "jpeg", "jpg", "mpo"),
        *("pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
"""Lower-case file name endings taken for photos when a folder is walked."""

HEAD = 64
"""First bytes that are looked at: enough to know a text, and for the brands of an ISO media file."""

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_RAW = "a raw photo of a camera, to be exported as JPEG or TIFF"
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"II\xbc", "a JPEG XR image"),
    (b"v/1\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance image"),
    (b"#?RGBE", "a Radiance image"),
    (b"qoif", "a QOI image"),
    (b"SIMPLE  =", "a FITS image"),
    (b"gimp xcf", "a GIMP document"),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"MMOR", _RAW),
    (b"IIU\0", _RAW),
    (b"\0MRM", _RAW),
    (b"FOVb", _RAW),
    (b"\0\0\x01\0", "an icon"),
)


def detect(head: bytes) -> str | None:
    """Returns the name of the format that a file's first bytes show; ``None`` for no accepted one."""
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    if head[4:8] == b"ftyp":
        # The major brand, then (after four bytes of version) the compatible ones, inside the box's own
        # length.
        size = int.from_bytes(head[:4], "big")
        brands = [head[at : at + 4] for at in (8, *range(16, min(size, len(head)), 4))]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if _HEIC_BRANDS.intersection(brands):
            return "HEIC"
    return None


def what_else(head: bytes) -> str:
    """Returns in words what a file seems to be that is of no accepted format."""
    for start, name in _FOREIGN:
        if head.startswith(start):
            return name
    if head[4:12] == b"ftypcrx ":
        return _RAW
    if head[4:8] == b"ftyp":
        return "a film or another ISO media file"
    if head[:4] == b"RIFF":
        return "a sound, a film or another RIFF file"
    if head.count(0) == len(head):
        return "a file of zeros, as a copy or download that was cut short leaves"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, in whose place `git lfs pull` puts the file"
    if head.lstrip(b"\xef\xbb\xbf\t\n\r ").lower().startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page, as a server sends in place of a photo"
    if all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in head) and 0x7F not in head:
        return "a text"
    return "no image of a known format"


def open_image(name: str, stream: BinaryIO) -> ImageFile:
    """Returns Pillow's image of a stream: header read, pixels not yet.

    Args:
        name: Of the format, as `detect` gives it.
        stream: At its start, seekable; stays open and is needed until the pixels are loaded.

    Raises:
        ImportError: HEIC, and its decoder is not installed.
    """
    # Imported where used: each costs a few milliseconds, and a folder usually holds one or two formats.
    if name == "JPEG":
        from PIL.JpegImagePlugin import JpegImageFile

        return JpegImageFile(stream)
    if name == "PNG":
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile(stream)
    if name == "GIF":
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile(stream)
    if name == "BMP":
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile(stream)
    if name == "PPM":
        from PIL.PpmImagePlugin import PpmImageFile

        return PpmImageFile(stream)
    if name == "TIFF":
        from PIL.TiffImagePlugin import TiffImageFile

        return TiffImageFile(stream)
    if name == "WebP":
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile(stream)
    if name == "AVIF":
        from PIL.AvifImagePlugin import AvifImageFile

        return AvifImageFile(stream)
    from pillow_heif import HeifImageFile

    # Its constructor carries no annotations.
    heic: ImageFile = HeifImageFile(stream)  # type: ignore[no-untyped-call]
    return heic


@contextmanager
def pillow_warnings_unseen() -> Iterator[None]:
    """Hides the warnings of Pillow's own modules (odd metadata, large pictures) for the time of the block.

    ``warnings.catch_warnings`` replaces the process's whole list of filters and puts the old one back,
    which undoes what other threads do to it in between. This puts in one entry that concerns Pillow alone,
    and takes it out again.
    """
    entry = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
    # Typed as read-only, yet the list that the interpreter itself consults; insert and remove are atomic.
    filters = cast("list[object]", warnings.filters)
    filters.insert(0, entry)
    try:
        yield
    finally:
        # Somebody's catch_warnings may have put a copy of the list in place meanwhile, and may put this one
        # back.
        current = cast("list[object]", warnings.filters)
        for place in [filters] if current is filters else [filters, current]:
            with suppress(ValueError):
                place.remove(entry)
