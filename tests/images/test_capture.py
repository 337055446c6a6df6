"""When and where a photo was taken, in every format; damaged metadata are no metadata."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from resight.images import Capture, capture_of, focal_of, read

EXIF, GPS = 0x8769, 0x8825
RIGHT = Capture("2024-05-31T18:30:05", 48.5, -(2 + 15 / 60 + 36 / 3600))


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def exif_of(when="2024:05:31 18:30:05", place=("N", (48.0, 30.0, 0.0), "W", (2.0, 15.0, 36.0))) -> bytes:
    exif = Image.Exif()
    if when is not None:
        exif.get_ifd(EXIF)[0x9003] = when
    if place is not None:
        exif.get_ifd(GPS).update(dict(enumerate(place, 1)))
    return exif.tobytes()


def saved(format_: str, exif: bytes, **options) -> io.BytesIO:
    stream = io.BytesIO()
    if format_ == "HEIF":
        import pillow_heif

        pillow_heif.from_pillow(picture()).save(stream, exif=exif or None, **options)
    else:
        picture().save(stream, format_, exif=exif, **options)
    return stream


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_every_format_says_when_and_where(format_):
    stream = saved(format_, exif_of())
    assert capture_of(stream) == RIGHT
    assert capture_of(saved(format_, b"")) == Capture()
    # The photo can be read afterwards.
    assert read(stream).width == 64


@pytest.mark.parametrize(
    ("when", "right"),
    [
        ("2024:05:31 18:30:05\0", "2024-05-31T18:30:05"),
        ("2024-05-31T18:30", "2024-05-31T18:30:00"),
        ("1968:01:02 03:04:05", "1968-01-02T03:04:05"),
        ("0000:00:00 00:00:00", None),
        ("2024:13:31 18:30:05", None),
        ("    :  :     :  :  ", None),
        ("yesterday", None),
        (b"\xff\xfe", None),
    ],
)
def test_moments_are_dates_that_exist(when, right):
    assert capture_of(saved("JPEG", exif_of(when, None))) == Capture(right)


@pytest.mark.parametrize(
    "place",
    [
        ("N", (48.0, 30.0, 0.0)),
        ("N", (0.0, 0.0, 0.0), "E", (0.0, 0.0, 0.0)),
        ("N", (91.0, 0.0, 0.0), "E", (1.0, 0.0, 0.0)),
        ("N", (48.0, 30.0), "E", (1.0, 0.0, 0.0)),
    ],
)
def test_a_place_is_whole_or_none(place):
    capture = capture_of(saved("JPEG", exif_of(place=place)))
    assert (capture.latitude, capture.longitude) == (None, None)
    assert capture.taken == RIGHT.taken


def test_signs_are_those_of_the_hemispheres():
    place = ("S", (33.0, 0.0, 0.0), "E", (151.0, 30.0, 0.0))
    capture = capture_of(saved("JPEG", exif_of(place=place)))
    assert (capture.latitude, capture.longitude) == (-33.0, 151.5)


@pytest.mark.parametrize(
    ("place", "right"),
    [
        (("s", (33.0, 0.0, 0.0), "w", (151.0, 30.0, 0.0)), (-33.0, -151.5)),
        (("South", (33.0, 0.0, 0.0), "West\0", (151.0, 30.0, 0.0)), (-33.0, -151.5)),
        (("S", (33.0, 0.0, 0.0), "X", (151.0, 30.0, 0.0)), (None, None)),
        ((" ", (33.0, 0.0, 0.0), "E", (151.0, 30.0, 0.0)), (None, None)),
        # Zero denominators: of all numbers, and of the seconds alone.
        (("N", (IFDRational(0, 0),) * 3, "E", (IFDRational(1, 0),) * 3), (None, None)),
        (("N", (48.0, 30.0, IFDRational(0, 0)), "E", (1.0, 0.0, 0.0)), (None, None)),
        (("N", (48.0, 30.0, 0.0), "E", (179.0, 59.0, 60.0)), (48.5, 180.0)),
    ],
)
def test_hemispheres_and_numbers_as_programs_write_them(place, right):
    capture = capture_of(saved("JPEG", exif_of(place=place)))
    assert (capture.latitude, capture.longitude) == right


@pytest.mark.parametrize(
    "when",
    [
        "2024:05:31 18:30:05.123",
        "2024:05:31 18:30:05+02:00",
        "2024:05:31T18:30:05Z",
        "2024:05:31 18:30:05 \0",
    ],
)
def test_parts_of_a_second_and_zones_are_left_out(when):
    assert capture_of(saved("JPEG", exif_of(when, None))).taken == "2024-05-31T18:30:05"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_damaged_metadata_are_none_at_all(format_):
    data = saved(format_, exif_of()).getvalue()
    at = max(data.find(struct.pack("<H", EXIF)), data.find(struct.pack(">H", EXIF)))
    random = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(data)
        for place in random.integers(max(0, at - 40), min(len(data), at + 120), 3):
            damaged[place] = random.integers(256)
        # Anything but an error.
        assert isinstance(capture_of(io.BytesIO(damaged)), Capture)
    for length in range(0, len(data), 37):
        assert isinstance(capture_of(io.BytesIO(data[:length])), Capture)
    assert capture_of(io.BytesIO(b"no photo")) == Capture()


def test_metadata_after_the_pixels_of_a_png_are_read():
    data = saved("PNG", b"").getvalue()
    chunk = b"eXIf" + exif_of().removeprefix(b"Exif\0\0")
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert capture_of(io.BytesIO(data[:-12] + whole + data[-12:])) == RIGHT


def test_metadata_that_claim_gigabytes_are_not_read():
    head = struct.pack("<2sHIH", b"II", 42, 8, 1)
    claim = struct.pack("<HHII", 270, 2, 1 << 30, 26)

    class Counting(io.BytesIO):
        largest = 0

        def read(self, size=-1):
            self.largest = max(self.largest, size)
            return super().read(size)

    stream = Counting(head + claim + bytes(4))
    assert capture_of(stream) == Capture()
    assert stream.largest < 1 << 20


FILM, LENGTH, WIDTH, HEIGHT, RESOLUTION, UNIT = 0xA405, 0x920A, 0xA002, 0xA003, 0xA20E, 0xA210


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ({FILM: 27}, 27 / 36),
        # 3000 pixels on 25.4 mm, so that 4000 of them are 33.87 mm.
        ({LENGTH: IFDRational(50), WIDTH: 4000, HEIGHT: 3000, RESOLUTION: IFDRational(3000)}, 1.4764),
        ({LENGTH: IFDRational(50), WIDTH: 30, HEIGHT: 4000, RESOLUTION: IFDRational(3000), UNIT: 2}, 1.4764),
        ({LENGTH: IFDRational(5), WIDTH: 4000, RESOLUTION: IFDRational(8000), UNIT: 3}, 1.0),
        ({LENGTH: IFDRational(5), HEIGHT: 4000, RESOLUTION: IFDRational(8000), UNIT: 3}, 1.0),
        ({LENGTH: IFDRational(5), WIDTH: 4000, RESOLUTION: IFDRational(800), UNIT: 4}, 1.0),
        # Zero is how a camera says that it does not know.
        ({FILM: 0, LENGTH: IFDRational(5), WIDTH: 4000, RESOLUTION: IFDRational(800), UNIT: 4}, 1.0),
        ({FILM: 0}, None),
        ({LENGTH: IFDRational(50)}, None),
        ({LENGTH: IFDRational(50), WIDTH: 4000, RESOLUTION: IFDRational(0, 0)}, None),
        ({LENGTH: IFDRational(50), WIDTH: 0, RESOLUTION: IFDRational(3000)}, None),
        ({LENGTH: IFDRational(50), WIDTH: 4000, RESOLUTION: IFDRational(3000), UNIT: 9}, None),
        ({FILM: 65535}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_the_focal_length_is_a_share_of_the_long_side(values, share, format_):
    exif = Image.Exif()
    exif.get_ifd(EXIF).update(values)
    found = focal_of(saved(format_, exif.tobytes()))
    assert found == (None if share is None else pytest.approx(share, abs=1e-4))
