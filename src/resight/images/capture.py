"""When, where and through which lens a photo was taken: EXIF data (CIPA DC-008-2023, 4.6.5 and 4.6.6)."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from numbers import Rational
from typing import BinaryIO, cast, final

from PIL import ExifTags, Image

from resight.errors import UnreadableImage
from resight.images import formats
from resight.images.opening import reasons

__all__ = ["Capture", "capture_of", "focal_of"]

_MOMENT = re.compile(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?")

_MOST_BYTES = 1 << 16
"""EXIF data in a JPEG file have 64 KiB at most; what is longer elsewhere is not read."""


_MOST_READ = 1 << 24
"""Bytes read of a file that is a photo in the first place."""

_MILLIMETRES: Mapping[object, float] = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Of the units in which pixels of a sensor are counted: inch, centimetre, millimetre, micrometre."""

_SHORTEST, _LONGEST = 0.2, 50.0
"""Focal lengths that a lens can have, as a share of the long side: a fisheye's and a telescope's."""


@dataclass(frozen=True, slots=True)
class Capture:
    """When and where a photo was taken.

    Attributes:
        taken: ISO 8601 to the second, by the camera's clock, without a zone; None if not said.
        latitude: Degrees, positive to the north; None if not said.
        longitude: Degrees, positive to the east; None if not said.
    """

    taken: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def capture_of(stream: BinaryIO) -> Capture:
    """Returns when and where a photo was taken; nothing where its EXIF data are missing or damaged.

    Reads the file's head alone and decodes no pixels.

    Args:
        stream: The photo's file; left at any place.
    """
    exif = Image.Exif()
    # Whatever is wrong with metadata costs the metadata alone.
    with suppress(UnreadableImage), formats.pillow_warnings_unseen(), reasons("the photo"):
        exif = _exif(stream)
        latitude, longitude = _place(exif)
        return Capture(_moment(exif), latitude, longitude)
    return Capture()


def focal_of(stream: BinaryIO) -> float | None:
    """Returns the focal length as a share of the photo's long side, by its EXIF data; None if not said.

    Taken from the length that a camera of 35 mm film would have, whose picture is 36 mm wide; or else from
    the lens's own length and the pixels that the sensor has on a millimetre. Reads the file's head alone.

    Args:
        stream: The photo's file; left at any place.
    """
    with suppress(UnreadableImage), formats.pillow_warnings_unseen(), reasons("the photo"):
        values = _exif(stream).get_ifd(ExifTags.IFD.Exif)
        for share in (_number(values, ExifTags.Base.FocalLengthIn35mmFilm) / 36, _on_sensor(values)):
            if _SHORTEST <= share <= _LONGEST:
                return share
    return None


def _on_sensor(values: Mapping[int, object]) -> float:
    """Returns the lens's focal length as a share of the sensor's long side; nan if not said."""
    sides = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
    known = [count for count in (_number(values, side) for side in sides) if count > 0]
    pixels = max(known, default=math.nan)
    # A camera that does not name the unit counts in inches (CIPA DC-008-2023, section 4.6.5).
    unit = _MILLIMETRES.get(values.get(ExifTags.Base.FocalPlaneResolutionUnit, 2), math.nan)
    resolution = _number(values, ExifTags.Base.FocalPlaneXResolution) / unit
    return _number(values, ExifTags.Base.FocalLength) * resolution / pixels


def _number(values: Mapping[int, object], tag: int) -> float:
    """Returns a tag's value; nan where it is missing or no number."""
    value = values.get(tag)
    return float(value) if isinstance(value, float | Rational) else math.nan


def _exif(stream: BinaryIO) -> Image.Exif:
    stream.seek(0)
    format_ = formats.detect(stream.read(formats.HEAD))
    stream.seek(0)
    exif = Image.Exif()
    data: object = None
    if format_ == "TIFF":
        return formats.open_image(format_, cast(BinaryIO, _Head(stream))).getexif()
    if format_ == "WebP":
        data = _webp_exif(cast(BinaryIO, _Head(stream)))
    elif format_ == "PNG":
        data = _png_exif(cast(BinaryIO, _Head(stream)))
    elif format_ == "JPEG":
        data = formats.open_image(format_, cast(BinaryIO, _Head(stream))).info.get("exif")
    elif format_ in ("AVIF", "HEIC"):
        data = formats.open_image(format_, stream).info.get("exif")
    if isinstance(data, bytes) and len(data) <= _MOST_BYTES:
        exif.load(data)
    return exif


def _webp_exif(stream: BinaryIO) -> bytes | None:
    """Returns the EXIF chunk of a WebP file; Pillow would make room for its pixels first."""
    at = 12
    while len(head := _at(stream, at, 8)) == 8:
        (size,) = struct.unpack("<I", head[4:])
        if head[:4] == b"EXIF":
            return _at(stream, at + 8, min(size, _MOST_BYTES))
        at += 8 + size + size % 2
    return None


def _png_exif(stream: BinaryIO) -> bytes | None:
    """Returns the EXIF chunk of a PNG file, which may follow the pixels."""
    at = 8
    while len(head := _at(stream, at, 8)) == 8:
        (size,) = struct.unpack(">I", head[:4])
        if head[4:] == b"eXIf":
            return _at(stream, at + 8, min(size, _MOST_BYTES))
        at += 12 + size
    return None


def _at(stream: BinaryIO, place: int, size: int) -> bytes:
    stream.seek(place)
    return stream.read(size)


@final
class _Head(io.RawIOBase):
    """A file of which a bounded number of bytes is read: metadata may claim any size."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = _MOST_READ

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._left:
            raise OSError("more metadata than are read")
        self._left -= size
        return self._stream.read(size)


def _moment(exif: Image.Exif) -> str | None:
    """Returns when the picture was taken, or else when it was digitised."""
    values = exif.get_ifd(ExifTags.IFD.Exif)
    for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized):
        match = _MOMENT.match(str(values.get(tag, "")))
        if match is not None:
            # Clocks that were never set give 0000:00:00.
            with suppress(ValueError):
                return datetime(*(int(number or 0) for number in match.groups())).isoformat()  # type: ignore[arg-type]
    return None


def _place(exif: Image.Exif) -> tuple[float, float] | tuple[None, None]:
    """Returns latitude and longitude, both or none."""
    values = exif.get_ifd(ExifTags.IFD.GPSInfo)
    degrees: list[float] = []
    for sign, value, limit, letters in (
        (ExifTags.GPS.GPSLatitudeRef, ExifTags.GPS.GPSLatitude, 90, "NS"),
        (ExifTags.GPS.GPSLongitudeRef, ExifTags.GPS.GPSLongitude, 180, "EW"),
    ):
        reference, parts = values.get(sign), values.get(value)
        if not isinstance(reference, str) or not isinstance(parts, tuple) or len(parts) != 3:
            return None, None
        size = math.fsum(float(part) / scale for part, scale in zip(parts, (1, 60, 3600), strict=True))
        # Some programs write the word; without a letter nobody knows the hemisphere.
        hemisphere = reference.strip("\0 ").upper()[:1]
        if not 0 <= size <= limit or not hemisphere or hemisphere not in letters:
            return None, None
        degrees.append(-size if hemisphere == letters[1] else size)
    # Receivers without a fix write zeros; the point itself lies in the sea.
    return (degrees[0], degrees[1]) if any(degrees) else (None, None)
