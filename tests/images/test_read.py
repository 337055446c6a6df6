from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box
from resight.images import MAX_PIXELS, PHOTO_SUFFIXES, read
from resight.images.resize import fit

KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "HEIF"]
# Largest mean difference that the format's own compression (or GIF's 256 colours) makes on the picture.
LOSS = {"JPEG": 3.0, "WEBP": 4.0, "GIF": 9.0, "AVIF": 4.0, "HEIF": 3.0}
"""Levels of 255; formats without an entry are lossless."""


def made_picture() -> Image.Image:
    """A smooth picture of 96 by 64 pixels without any symmetry, RGB."""
    y, x = np.mgrid[0:64, 0:96].astype(float)
    blue = 127 + 80 * np.sin(x / 11) * np.cos(y / 7)
    return Image.fromarray(np.stack([255 * x / 95, 255 * y / 63, blue], axis=-1).round().astype(np.uint8))


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return made_picture()


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as the bytes of a file."""
    stream = io.BytesIO()
    if kind == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        heif = pillow_heif.from_pillow(image)
        heif[0].info.update(options)
        heif.save(stream, quality=90)
    else:
        image.save(stream, kind, **options)
    return stream.getvalue()


def made_png(width: int, height: int, bits: int, colour: int, row: bytes) -> bytes:
    """A PNG file whose rows are all alike, without the memory that a picture of its size takes."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def made_files() -> dict[str, bytes]:
    """Small files of every format and of the variants that take their own way through the decoders."""
    picture = made_picture().resize((48, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A maker whose name is longer than four bytes"
    palette = picture.quantize(32)
    frames = {"save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)], "duration": 50}
    deep = Image.fromarray(np.arange(48 * 32, dtype=np.uint16).reshape(32, 48) * 40)
    return {
        "jpeg": encoded(picture, "JPEG", exif=exif),
        "jpeg progressive": encoded(picture, "JPEG", progressive=True),
        "jpeg cmyk": encoded(picture.convert("CMYK"), "JPEG"),
        "png": encoded(picture, "PNG", exif=exif),
        "png palette": encoded(palette, "PNG", transparency=bytes(range(32))),
        "png animated": encoded(picture, "PNG", **frames),
        "png deep": encoded(deep, "PNG", transparency=40),
        "webp": encoded(picture, "WEBP", exif=exif),
        "webp animated": encoded(picture, "WEBP", **frames),
        "tiff": encoded(picture, "TIFF", exif=exif),
        "tiff lzw": encoded(picture.convert("RGBA"), "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encoded(picture, "TIFF", compression="jpeg"),
        "tiff float": encoded(picture.convert("F"), "TIFF"),
        "tiff group4": encoded(picture.convert("1"), "TIFF", compression="group4"),
        "tiff planes": planes(np.asarray(picture).astype(np.uint16) * 257),
        "tiff float planes": planes(np.asarray(picture) / 255, compression="deflate", tile=(16, 16)),
        "bmp": encoded(picture, "BMP"),
        "ppm": encoded(picture, "PPM"),
        "ppm text": b"P3 3 2 255\n" + b" ".join(b"%d" % value for value in range(18)),
        "bmp palette": encoded(palette, "BMP"),
        "gif": encoded(palette, "GIF", transparency=3),
        "gif animated": encoded(picture, "GIF", disposal=2, **frames),
        "avif": encoded(picture, "AVIF", exif=exif),
        "heic": encoded(picture, "HEIF"),
    }


def planes(pixels: np.ndarray, **options: object) -> bytes:
    """A TIFF file with a plane for each channel."""
    stream = io.BytesIO()
    channels = np.moveaxis(pixels, 2, 0).copy()
    tifffile.imwrite(stream, channels, photometric="rgb", planarconfig="separate", metadata=None, **options)
    return stream.getvalue()


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


# --- formats and orientation


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_read(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    data = encoded(picture, kind)
    path = tmp_path / "no ending ü"
    path.write_bytes(data)
    for source in (path, str(path), data, io.BytesIO(data)):
        photo = read(source)
        assert (photo.width, photo.height, photo.region) == (96, 64, Box(0, 0, 96, 64))
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.flags.writeable
        assert photo.pixels.flags.c_contiguous
        assert difference(photo.pixels, np.array(picture)) <= LOSS.get(kind, 0.0)


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF packed", "AVIF", "HEIF"])
def test_orientation_is_applied_once(kind: str, value: int, picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"compression": "tiff_lzw"} if kind == "TIFF packed" else {}
    kind = kind.split()[0]
    data = encoded(picture, kind, exif=exif.tobytes(), **options)
    upright = TURNED[value](np.array(picture))
    photo = read(data)
    assert (photo.height, photo.width) == upright.shape[:2]
    assert difference(photo.pixels, upright) <= LOSS.get(kind, 0.0)
    # The same part of the upright photo, whichever way it is stored, reduced or not.
    box = Box(10, 5, 50, 37)
    part = read(data, box=box)
    assert part.region == box
    assert np.array_equal(part.pixels, photo.pixels[5:37, 10:50])
    small = read(data, box=box, max_side=24)
    assert small.pixels.shape == (8, 10, 3)
    assert difference(small.pixels, fit(np.ascontiguousarray(part.pixels), 10)) <= 2.0


def test_orientation_behind_the_pixels_of_a_png_counts(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture, "PNG", exif=exif)
    at = data.index(b"eXIf") - 4
    length = int.from_bytes(data[at : at + 4], "big") + 12
    chunk, rest = data[at : at + length], data[:at] + data[at + length :]
    assert read(rest[:-12] + chunk + rest[-12:]).pixels.shape == (96, 64, 3)


@pytest.mark.parametrize(
    "broken", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12", b"Exif\0\0" + b"\xff" * 40]
)
def test_a_broken_exif_costs_the_orientation_only(broken: bytes, picture: Image.Image) -> None:
    assert read(encoded(picture, "JPEG", exif=broken)).pixels.shape == (64, 96, 3)


# --- modes


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (5, 4), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (5, 4), 1), "PNG", (255, 255, 255)),
        (Image.new("1", (5, 4), 0), "TIFF", (0, 0, 0)),
        (Image.new("RGBA", (5, 4), (200, 100, 0, 51)), "PNG", (244, 224, 204)),
        (Image.new("RGBA", (5, 4), (9, 9, 9, 0)), "TIFF", (255, 255, 255)),
        (Image.new("LA", (5, 4), (0, 51)), "PNG", (204, 204, 204)),
        (Image.new("LA", (5, 4), (0, 51)), "TIFF", (204, 204, 204)),
        (Image.new("CMYK", (5, 4), (0, 255, 51, 51)), "TIFF", (204, 0, 163)),
        (Image.new("LAB", (5, 4), (255, 128, 128)), "TIFF", (255, 255, 255)),
        (Image.new("YCbCr", (5, 4), (128, 128, 128)), "TIFF", (128, 128, 128)),
        (Image.fromarray(np.full((4, 5), 300, np.uint16)), "PNG", (1, 1, 1)),
        (Image.fromarray(np.full((4, 5), 65535, np.uint16)), "TIFF", (255, 255, 255)),
        (Image.fromarray(np.full((4, 5), 0x8000, np.uint16)), "PNG", (128, 128, 128)),
        (Image.fromarray(np.full((4, 5), 40, np.int32)), "TIFF", (40, 40, 40)),
        (Image.fromarray(np.full((4, 5), 32896, np.int32)), "TIFF", (128, 128, 128)),
        (Image.fromarray(np.full((4, 5), -7, np.int32)), "TIFF", (0, 0, 0)),
        (Image.fromarray(np.full((4, 5), 0.2, np.float32)), "TIFF", (51, 51, 51)),
        (Image.fromarray(np.full((4, 5), 51.0, np.float32)), "TIFF", (51, 51, 51)),
        (Image.fromarray(np.full((4, 5), 1e30, np.float32)), "TIFF", (255, 255, 255)),
        (Image.fromarray(np.full((4, 5), np.nan, np.float32)), "TIFF", (0, 0, 0)),
    ],
)
def test_modes_become_rgb_by_the_stated_rule(
    image: Image.Image, kind: str, expected: tuple[int, int, int]
) -> None:
    pixels = read(encoded(image, kind)).pixels
    assert pixels.shape == (4, 5, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_sixteen_bit_grey_keeps_its_steps() -> None:
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(
            read(encoded(Image.fromarray(values), kind)).pixels[..., 1].ravel(), np.arange(256)
        )


def test_sixteen_bit_colour_keeps_its_high_byte() -> None:
    row = b"\0" + struct.pack(">6H", 0x1234, 0xFFFF, 0, 0x80FF, 0x00FF, 0x0100)
    data = made_png(2, 2, 16, 2, row)
    assert read(data).pixels.tolist() == [[[0x12, 255, 0], [0x80, 0, 1]]] * 2


def test_floats_are_scaled_and_what_is_no_number_is_told_apart() -> None:
    values = np.array([[0.0, 1000.0, 2e6], [np.nan, np.inf, -np.inf]], np.float32)
    pixels = read(encoded(Image.fromarray(values), "TIFF")).pixels
    assert pixels[..., 0].tolist() == [[0, 0, 255], [0, 255, 0]]


def test_palettes_with_and_without_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    assert read(encoded(image, "PNG")).pixels.tolist() == [[[10, 20, 30], [200, 100, 0], [0, 0, 255]]]
    for transparency in (b"\xff\x33\x00", 2):
        pixels = read(encoded(image, "PNG", transparency=transparency)).pixels[0].tolist()
        assert pixels[0] == [10, 20, 30]
        assert pixels[1] == ([244, 224, 204] if isinstance(transparency, bytes) else [200, 100, 0])
        assert pixels[2] == [255, 255, 255]


def test_one_transparent_colour_becomes_white() -> None:
    rgb = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert read(encoded(rgb, "PNG", transparency=(1, 2, 3))).pixels.tolist() == [[[255] * 3, [4, 5, 6]]]
    grey = Image.fromarray(np.array([[7, 9]], np.uint8))
    assert read(encoded(grey, "PNG", transparency=9)).pixels[0, :, 0].tolist() == [7, 255]
    deep = Image.fromarray(np.array([[700, 0x900]], np.uint16))
    assert read(encoded(deep, "PNG", transparency=700)).pixels[0, :, 0].tolist() == [255, 9]


def test_cmyk_jpeg_plain_and_inverted(picture: Image.Image) -> None:
    red = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    data = encoded(red, "JPEG", quality=95)
    # Pillow writes it as Adobe does, inverted, with a marker that names Adobe; without it it means the same.
    assert difference(read(data).pixels, np.full((32, 32, 3), (255, 0, 0))) < 4
    at = data.index(b"\xff\xee")
    length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
    plain = data[:at] + data[at + length :]
    assert b"Adobe" in data
    assert b"Adobe" not in plain
    assert difference(read(plain).pixels, np.full((32, 32, 3), (255, 0, 0))) < 4
    assert read(encoded(picture.convert("CMYK").resize((960, 640)), "JPEG"), max_side=60).pixels.shape == (
        40,
        60,
        3,
    )


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(kind: str, picture: Image.Image) -> None:
    others = [Image.new("RGB", picture.size, colour) for colour in ("black", "white")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(picture, kind, save_all=True, append_images=others, duration=50, **lossless)
    assert difference(read(data).pixels, np.array(picture)) <= (9.0 if kind == "GIF" else 0.0)


# --- sizes and boxes


@pytest.fixture(scope="module")
def large(picture: Image.Image) -> Image.Image:
    """1601 by 1203: sizes that no reduction divides."""
    return picture.resize((1601, 1203), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("max_side", [1601, 1600, 801, 800, 400, 201, 100, 7, 1])
@pytest.mark.parametrize("value", [1, 2, 3, 6])
def test_a_reduced_decode_shows_what_a_full_one_shows(max_side: int, value: int, large: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    data = encoded(large, "JPEG", quality=95, exif=exif)
    whole = read(data)
    photo = read(data, max_side=max_side)
    expected = fit(whole.pixels, max_side)
    assert photo.pixels.shape == expected.shape
    assert (photo.width, photo.height, photo.region) == (whole.width, whole.height, whole.region)
    if max_side >= 100:
        assert difference(photo.pixels, expected) < 0.8


@pytest.mark.parametrize("value", [1, 3])
def test_a_reduced_decode_keeps_positions(value: int) -> None:
    # 809 by 609 pixels at an eighth are 101.125 by 76.125, which fill 102 by 77 pixels.
    y, x = np.mgrid[0:609, 0:809] + 0.5
    spot = 250 * np.exp(-((x - 730) ** 2 + (y - 550) ** 2) / 900)
    exif = Image.Exif()
    exif[0x0112] = value
    photo = read(encoded(Image.fromarray(spot.round().astype(np.uint8)), "JPEG", exif=exif), max_side=100)
    shown = photo.pixels[..., 0].astype(float) ** 2
    rows, columns = np.mgrid[0 : shown.shape[0], 0 : shown.shape[1]]
    mean = np.array([[(shown * columns).sum(), (shown * rows).sum()]]) / shown.sum()
    expected = [730, 550] if value == 1 else [809 - 730, 609 - 550]
    assert np.allclose(photo.in_full_pixels(mean.astype(np.float32)) + 0.5, [expected], atol=1.0)


def test_a_jpeg_is_decoded_reduced(large: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    load = JpegImageFile.load
    monkeypatch.setattr(JpegImageFile, "load", lambda image: sizes.append(image.size) or load(image))
    data = encoded(large, "JPEG")
    for max_side, size in {None: (1601, 1203), 401: (1601, 1203), 400: (801, 602), 200: (401, 301)}.items():
        sizes.clear()
        read(data, max_side=max_side)
        assert set(sizes) == {size}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_box_is_shown_at_the_scale_of_the_database(kind: str, large: Image.Image) -> None:
    data = encoded(large, kind)
    box = Box(200.4, 300.6, 1000.4, 700.6)
    photo = read(data, max_side=400, box=box)
    assert photo.region == Box(200, 301, 1000, 701)
    assert photo.pixels.shape == (100, 200, 3)
    assert (photo.width, photo.height) == (1601, 1203)
    whole = read(data, max_side=400).pixels
    assert difference(photo.pixels, whole[75:175, 50:250]) < 1.5
    corner = photo.in_full_pixels(np.array([[-0.5, -0.5], [199.5, 99.5]], np.float32))
    assert np.allclose(corner, [[199.5, 300.5], [999.5, 700.5]])


@pytest.mark.parametrize(
    ("box", "region"),
    [
        (Box(-50, -50, 10, 10), Box(0, 0, 10, 10)),
        (Box(90, 60, 1e9, 1e9), Box(90, 60, 96, 64)),
        (Box(10.2, 10.2, 10.3, 10.3), Box(10, 10, 11, 11)),
        (Box(95.7, 63.7, 95.9, 63.9), Box(95, 63, 96, 64)),
        (Box(0, 0, 96, 64), Box(0, 0, 96, 64)),
    ],
)
def test_a_box_is_clipped_and_never_empty(box: Box, region: Box, picture: Image.Image) -> None:
    photo = read(encoded(picture, "PNG"), box=box)
    assert photo.region == region
    x0, y0, x1, y1 = (int(value) for value in region.corners)
    assert np.array_equal(photo.pixels, np.array(picture)[y0:y1, x0:x1])


@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    corner=st.tuples(st.floats(-9, 69), st.floats(-9, 69)),
    extent=st.tuples(st.floats(0.01, 80), st.floats(0.01, 80)),
    max_side=st.none() | st.integers(1, 80),
    value=st.integers(1, 8),
)
@settings(max_examples=150, deadline=None)
def test_any_box_of_any_photo(
    width: int,
    height: int,
    corner: tuple[float, float],
    extent: tuple[float, float],
    max_side: int | None,
    value: int,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    data = encoded(Image.new("RGB", (width, height), (9, 99, 199)), "JPEG", exif=exif, quality=95)
    width, height = (height, width) if value >= 5 else (width, height)
    box = Box(*corner, corner[0] + extent[0], corner[1] + extent[1])
    if corner[0] >= width or corner[1] >= height or box.x1 <= 0 or box.y1 <= 0:
        with pytest.raises(InvalidInput):
            read(data, box=box, max_side=max_side)
        return
    photo = read(data, box=box, max_side=max_side)
    assert (photo.width, photo.height) == (width, height)
    assert photo.region == photo.region.clipped(width, height)
    assert np.abs(np.array(photo.region.corners) - box.clipped(width, height).corners).max() <= 1
    scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height))
    expected = max(1, round(max(photo.region.width, photo.region.height) * scale))
    assert max(photo.pixels.shape[:2]) == expected
    assert np.abs(photo.pixels.astype(int) - (9, 99, 199)).max() <= 4


def test_a_box_outside_is_refused(picture: Image.Image) -> None:
    for kind in ("PNG", "JPEG"):
        with pytest.raises(
            InvalidInput, match=r"the box 96,0,120,9 lies outside the photo of 96 x 64 pixels"
        ):
            read(encoded(picture, kind), box=Box(96, 0, 120, 9), max_side=20)


def test_nothing_is_enlarged(picture: Image.Image) -> None:
    assert np.array_equal(read(encoded(picture, "PNG"), max_side=5000).pixels, np.array(picture))


def test_limits_below_one_are_refused(picture: Image.Image) -> None:
    with pytest.raises(InvalidInput, match="max_side must be at least 1 pixel, not 0"):
        read(encoded(picture, "PNG"), max_side=0)
    with pytest.raises(InvalidInput, match="max_pixels must be at least 1, not 0"):
        read(encoded(picture, "PNG"), max_pixels=0)


# --- what cannot be read


def reason(source: str | Path | bytes | io.BufferedIOBase, **options: int) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(source, **options)
    return caught.value.reason


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    data = made_png(30_000, 30_000, 1, 0, bytes(1 + 3750))
    assert len(data) < 1_000_000
    assert "30000 x 30000 pixels are more than the limit of 225000000" in reason(data)


@pytest.mark.parametrize("kind", ["TIFF", "GIF"])
def test_large_pictures_are_read_without_a_warning(kind: str) -> None:
    # Between Pillow's limit for warnings, 89 million, and ours.
    options = {"compression": "group4"} if kind == "TIFF" else {}
    data = encoded(Image.new("1", (20_000, 4_500)), kind, **options)
    before = list(warnings.filters)
    assert read(data, max_side=200).pixels.shape == (45, 200, 3)
    assert list(warnings.filters) == before


def test_a_wide_panorama_is_read() -> None:
    data = encoded(Image.new("L", (20_000, 600), 99), "JPEG")
    assert read(data, max_side=1024).pixels.shape == (31, 1024, 3)
    assert read(encoded(Image.new("L", (20_000, 2), 99), "PNG"), max_side=1024).pixels.shape == (1, 1024, 3)


def test_of_a_jpeg_the_decoded_size_counts(large: Image.Image) -> None:
    assert read(encoded(large, "JPEG"), max_side=100, max_pixels=40_000).pixels.shape == (75, 100, 3)
    assert "1601 x 1203 pixels are more than" in reason(encoded(large, "JPEG"), max_pixels=40_000)
    progressive = encoded(large, "JPEG", progressive=True)
    assert "1601 x 1203 pixels are more than" in reason(progressive, max_side=100, max_pixels=40_000)


def test_files_that_are_no_photos(tmp_path: Path) -> None:
    cases = {
        b"": "the file is empty",
        b"Dear diary, today\n": "it is a text; accepted are JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, AVIF",
        b"%PDF-1.7": "it is a PDF document; accepted",
        b"FUJIFILMCCD-RAW 0201": "it is a raw photo of a camera, to be exported as JPEG or TIFF; accepted",
        b"IIU\0\x08\0\0\0": "it is a raw photo of a camera, to be",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom": "it is a raw photo of a camera, to be",
        b"v/1\x01": "it is an OpenEXR image; accepted",
        b"II\xbc\x01": "it is a JPEG XR image; accepted",
        b"\0\0\0\x18ftypmp42\0\0\0\0isomiso2": "it is a film or another ISO media file; accepted",
        b"RIFF\0\0\0\0WAVE": "it is a sound, a film or another RIFF file; accepted",
        bytes(5000): "it is a file of zeros, as a copy or download that was cut short leaves; accepted",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "it is a pointer of Git LFS, in whose",
        b"\n<!DOCTYPE html><title>404</title>": "it is a web page, as a server sends in place of a photo",
        b"\xef\xbb\xbf<HTML>\0": "it is a web page",
        b"\0\x01\x02\x03": "it is no image of a known format; accepted",
    }
    for data, start in cases.items():
        path = tmp_path / "holiday.jpg"
        path.write_bytes(data)
        assert reason(path).startswith(start)
        assert reason(data).startswith(start)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert reason(tmp_path) == "it is a directory"
    assert reason(tmp_path / "none.jpg") == "there is no such file"
    assert reason(tmp_path / "none.jpg" / "deeper.jpg") == "there is no such file"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "it is a pipe, a socket or a device, not a file"
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    assert reason(tmp_path / "loop.jpg").startswith("the system refuses it (")
    assert reason("x" * 5000).startswith("the system refuses it (")
    assert "null" in reason("a\0b")


def test_a_file_that_became_a_pipe_meanwhile_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    before = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: before)
    pool = ThreadPoolExecutor(1)
    try:
        refused = pool.submit(reason, tmp_path / "pipe.jpg").result(timeout=20)
    finally:
        # A writer lets go whoever waits for one.
        os.close(os.open(tmp_path / "pipe.jpg", os.O_RDWR | os.O_NONBLOCK))
        pool.shutdown()
    assert refused == "it is a pipe, a socket or a device, not a file"


def test_a_file_without_permission(
    tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encoded(picture, "PNG"))

    # The super-user may read everything, so the system's refusal is played.
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert reason(path) == "there is no permission to read it"


def test_a_text_stream_is_a_wrong_argument() -> None:
    with pytest.raises(InvalidInput, match="binary stream"):
        read(io.StringIO("text"))  # type: ignore[arg-type]


def test_a_photo_opened_as_text_is_a_wrong_argument(picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.jpg")
    for encoding in ("utf-8", "latin-1", "utf-16"):
        with (
            (tmp_path / "a.jpg").open(encoding=encoding) as stream,
            pytest.raises(InvalidInput, match=r"a.jpg gives text: open\(path, 'rb'\) gives bytes"),
        ):
            read(stream)  # type: ignore[arg-type]


def test_streams_are_read_from_their_start_and_left_open(picture: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture, "PNG"))
    with path.open("rb") as stream:
        stream.seek(11)
        assert read(stream).width == 96
        assert not stream.closed
    with tempfile.TemporaryFile() as stream:
        stream.write(b"GIF89a")
        assert "GIF data are broken" in reason(stream)

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = io.BytesIO(path.read_bytes())

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return False

        def readall(self) -> bytes:
            return self.rest.read()

    assert read(Pipe()).width == 96  # type: ignore[arg-type]


def test_the_error_names_the_file_and_survives_pickling(tmp_path: Path) -> None:
    path = tmp_path / "ein Bild ü.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UnreadableImage, match="JPEG data are broken or cut off") as caught:
        read(path)
    assert caught.value.path == str(path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_a_reason_or_a_photo(kind: str, large: Image.Image) -> None:
    data = encoded(large.resize((160, 120)), kind)
    half = reason(data[: len(data) // 2])
    name = {"WEBP": "WebP", "HEIF": "HEIC"}.get(kind, kind)
    assert half.startswith(f"its {name} data are broken or cut off (")
    for length in range(1, len(data), max(1, len(data) // 60)):
        read_or_reason(data[:length])


def read_or_reason(data: bytes) -> bool:
    """True where bytes are read; no error but ours may escape, and no warning: they are errors here."""
    try:
        photo = read(data, max_side=32, max_pixels=1_000_000)
    except UnreadableImage as error:
        found = error.reason
    else:
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.ndim == 3
        assert max(photo.pixels.shape[:2]) <= 32
        return True
    assert found
    assert "\n" not in found
    return False


@pytest.mark.parametrize("name", sorted(made_files()))
def test_corrupted_bytes_never_raise_anything_else(name: str) -> None:
    data = made_files()[name]
    assert read_or_reason(data)
    random = np.random.default_rng(zlib.crc32(name.encode()))
    survived = 0
    rounds = int(os.environ.get("RESIGHT_TEST_FUZZ", "150"))
    for _ in range(rounds):
        broken = bytearray(data)
        # Headers decide most, so that half of the changes go there.
        reach = len(data) if random.random() < 0.5 else min(len(data), 200)
        for at in random.integers(4, reach, size=random.integers(1, 6)):
            broken[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.integers(256)])
        survived += read_or_reason(bytes(broken))
    assert survived < rounds


def test_random_bytes_behind_a_right_start() -> None:
    random = np.random.default_rng(7)
    for start in (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0+",
        b"RIFF\0\0\0\0WEBP",
    ):
        for length in (0, 1, 9, 100, 1000):
            assert not read_or_reason(start + random.bytes(length))


def test_odd_metadata_do_not_warn_and_leave_the_filters_alone(picture: Image.Image) -> None:
    # A TIFF that gives two numbers of samples a pixel, and a PNG that says twice that it is animated.
    tiff = bytearray(encoded(picture, "TIFF"))
    samples = tiff.index(struct.pack("<HHI", 277, 3, 1))
    tiff[samples + 4] = 2
    control = b"acTL" + struct.pack(">II", 1, 0)
    control = struct.pack(">I", 8) + control + struct.pack(">I", zlib.crc32(control))
    png = encoded(picture, "PNG")
    png = png[:33] + control + control + png[33:]
    before = list(warnings.filters)
    for data, words in ((bytes(tiff), "too many entries"), (png, "Invalid APNG")):
        with pytest.warns(UserWarning, match=words):
            Image.open(io.BytesIO(data)).load()
        assert np.array_equal(read(data).pixels, np.array(picture))
    assert list(warnings.filters) == before


def test_other_warnings_are_still_seen_while_photos_are_read(picture: Image.Image) -> None:
    from resight.images.formats import pillow_warnings_unseen

    with pillow_warnings_unseen(), pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)
    with pillow_warnings_unseen(), warnings.catch_warnings():
        inner = list(warnings.filters)
    assert inner[0] not in warnings.filters


def test_many_threads_read_the_same(large: Image.Image) -> None:
    data = [encoded(large, kind) for kind in ("JPEG", "PNG", "GIF")]
    alone = [read(item, max_side=200).pixels for item in data]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: read(data[number % 3], max_side=200).pixels, range(48)))
    assert all(np.array_equal(pixels, alone[number % 3]) for number, pixels in enumerate(together))
    assert list(warnings.filters) == before


def test_importing_registers_nothing_and_needs_no_opencv() -> None:
    code = (
        "import sys, PIL.Image; before = dict(PIL.Image.OPEN); import resight.images; "
        "assert PIL.Image.OPEN == before; "
        "print([name for name in ('cv2', 'torch', 'pillow_heif') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_suffixes_are_lower_case() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PHOTO_SUFFIXES)
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".avif",
        ".heic",
    } <= PHOTO_SUFFIXES
    assert MAX_PIXELS >= 20_000 * 8_000


@pytest.mark.data
def test_real_photos_are_read_as_pillow_reads_them(data: Path) -> None:
    for path in sorted((data / "oxford" / "jpg").glob("*.jpg"))[:20]:
        with Image.open(path) as image:
            assert np.array_equal(read(path).pixels, np.array(image.convert("RGB")))
