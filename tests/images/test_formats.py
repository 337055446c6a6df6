"""Formats beside JPEG, PNG and TIFF: variants by a second library or by hand, against what was written."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from resight.images import read

ROWS, COLUMNS = 50, 70
y, x = np.mgrid[0:ROWS, 0:COLUMNS]
RGB = np.stack([x * 255 // (COLUMNS - 1), y * 255 // (ROWS - 1), (x * 2 + y) % 256], axis=-1).astype(np.uint8)
GREY = RGB[..., 2]
ALPHA = ((x * 3) % 256).astype(np.uint8)
OVER_WHITE = (RGB * (ALPHA[..., None] / 255) + 255 * (1 - ALPHA[..., None] / 255)).round()


def assert_shows(data: bytes, expected: np.ndarray, *, mean: float = 0.0, most: int = 0) -> None:
    pixels = read(data).pixels
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.mean() <= mean or difference.max() <= most


# --- PPM, PGM, PBM


@pytest.mark.parametrize("top", [100, 255, 1023, 65_535])
@pytest.mark.parametrize("colour", [False, True])
def test_portable_maps_of_every_depth(top: int, colour: bool) -> None:
    pixels = RGB if colour else GREY
    values = np.round(pixels / 255 * top).astype(">u2" if top > 255 else "u1")
    head = b"P%d\n# a comment\n%d %d\n%d\n" % (6 if colour else 5, COLUMNS, ROWS, top)
    assert_shows(head + values.tobytes(), pixels, most=2)


def test_portable_bitmaps_and_texts() -> None:
    black = GREY < 128
    head = b"%d %d\n" % (COLUMNS, ROWS)
    assert_shows(b"P4\n" + head + np.packbits(black, axis=1).tobytes(), np.where(black, 0, 255))
    text = b" ".join(b"%d" % value for value in RGB.ravel())
    assert_shows(b"P3\n" + head + b"255\n" + text, RGB)


# --- BMP


def bmp(
    rows: list[bytes], bits: int, *, compression: int = 0, height: int = ROWS, masks: bytes = b""
) -> bytes:
    body = b"".join(row + bytes(-len(row) % 4) for row in rows)
    head = (
        struct.pack("<IiiHHIIiiII", 40, COLUMNS, height, 1, bits, compression, len(body), 0, 0, 0, 0) + masks
    )
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


def test_bitmaps() -> None:
    for pixels in (RGB[..., ::-1], GREY):
        assert_shows(cv2.imencode(".bmp", pixels)[1].tobytes(), RGB if pixels.ndim == 3 else GREY)
    four = cv2.imencode(".bmp", np.dstack([RGB[..., ::-1], ALPHA]))[1].tobytes()
    # OpenCV 4.10 writes four channels under a header that knows three.
    assert_shows(four, OVER_WHITE if four[14] == 124 else RGB, most=1)
    from_top = [row.tobytes() for row in RGB[..., ::-1]]
    assert_shows(bmp(from_top, 24, height=-ROWS), RGB)


@pytest.mark.parametrize(("compression", "greens"), [(0, 5), (3, 6)])
def test_bitmaps_of_sixteen_bits(compression: int, greens: int) -> None:
    red, green, blue = (RGB[..., channel].astype(int) for channel in range(3))
    values = (red >> 3) << (greens + 5) | (green >> (8 - greens)) << 5 | blue >> 3
    rows = [row.astype("<u2").tobytes() for row in values[::-1]]
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F) if greens == 6 else b""
    assert_shows(bmp(rows, 16, compression=compression, masks=masks), RGB, most=8)


# --- WebP, AVIF, HEIC, MPO


@pytest.mark.parametrize("alpha", [False, True])
def test_webp_by_opencv(alpha: bool) -> None:
    pixels = np.dstack([RGB[..., ::-1], ALPHA]) if alpha else RGB[..., ::-1]
    exact = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert_shows(exact, OVER_WHITE if alpha else RGB, most=1)
    lossy = cv2.imencode(".webp", RGB[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 95])[1].tobytes()
    second = cv2.imdecode(np.frombuffer(lossy, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert_shows(lossy, second, most=1)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_avif(subsampling: str) -> None:
    for image, expected in (
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(np.dstack([RGB, ALPHA])), OVER_WHITE),
        (Image.fromarray(GREY), GREY),
    ):
        stream = io.BytesIO()
        image.save(stream, "AVIF", quality=95, subsampling=subsampling)
        assert_shows(stream.getvalue(), expected, mean=3.0)


@pytest.mark.parametrize(
    ("mode", "pixels", "expected"),
    [
        ("RGB", RGB, RGB),
        ("RGBA", np.dstack([RGB, ALPHA]), OVER_WHITE),
        ("L", GREY, GREY),
        ("RGB;16", RGB.astype(np.uint16) * 257, RGB),
        ("I;16", GREY.astype(np.uint16) * 257, GREY),
    ],
)
def test_heic_of_eight_and_more_bits(mode: str, pixels: np.ndarray, expected: np.ndarray) -> None:
    stream = io.BytesIO()
    file = pillow_heif.from_bytes(mode, (COLUMNS, ROWS), pixels.tobytes())
    file.save(stream, quality=95)
    assert_shows(stream.getvalue(), expected, mean=3.0)


def test_of_a_stereo_photo_the_first() -> None:
    stream = io.BytesIO()
    other = Image.fromarray(255 - RGB)
    Image.fromarray(RGB).save(stream, "MPO", save_all=True, append_images=[other], quality=97)
    assert_shows(stream.getvalue(), RGB, mean=2.5)


# --- GIF


def test_frames_that_do_not_fill_their_canvas() -> None:
    palette = bytes([200, 10, 10, 10, 200, 10])
    head = b"GIF89a" + struct.pack("<HHBBB", 4, 3, 0xF0, 0, 0) + palette
    # Two by one pixels of the second colour, at column 1, row 1.
    frame = b"," + struct.pack("<HHHHB", 1, 1, 2, 1, 0) + b"\x02\x02\x4c\x0a\x00"
    pixels = read(head + frame + b";").pixels
    assert pixels.shape == (3, 4, 3)
    assert (pixels[1, 1:3] == (10, 200, 10)).all()
