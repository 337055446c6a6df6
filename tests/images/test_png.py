"""PNG files: every depth and colour type against a second reader, and metadata that never cost a photo."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from resight.errors import UnreadableImage
from resight.images import read

random = np.random.default_rng(0)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def made(
    width: int, height: int, bits: int, colour: int, *, palette: bytes = b"", extra: bytes = b""
) -> bytes:
    """A PNG file of random pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = (width * channels * bits + 7) // 8
    raw = b"".join(b"\0" + random.bytes(row) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + (chunk(b"PLTE", palette) if palette else b"") + extra)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def plain() -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").save(stream, "PNG")
    return stream.getvalue()


LARGE = zlib.compress(bytes(2 << 20))


@pytest.mark.parametrize(
    ("bits", "colour"),
    [
        *[(bits, 0) for bits in (1, 2, 4, 8, 16)],
        *[(bits, colour) for colour in (2, 4, 6) for bits in (8, 16)],
        *[(bits, 3) for bits in (1, 2, 4, 8)],
    ],
)
def test_depths_and_colours_are_read_as_opencv_reads_them(bits: int, colour: int) -> None:
    data = made(13, 9, bits, colour, palette=random.bytes(3 << bits) if colour == 3 else b"")
    flags = cv2.IMREAD_UNCHANGED if colour in (4, 6) else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    second = cv2.imdecode(np.frombuffer(data, np.uint8), flags).astype(float)
    top = 65535 if bits == 16 else 255
    if second.shape[2] == 4:
        alpha = second[..., 3:] / top
        second = second[..., :3] * alpha + top * (1 - alpha)
    # High bytes and alpha are rounded one after the other.
    assert np.abs(read(data).pixels - second[..., 2::-1] * 255 / top).max() < 2.5


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + LARGE),
        chunk(b"iCCP", b"profile\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + LARGE),
        chunk(b"tEXt", b"Raw profile type exif\0zz\n\n\n\nnot hexadecimal"),
        chunk(b"tEXt", b"a" * 3_000_000),
        chunk(b"zTXt", b"Comment\0\0damaged"),
        chunk(b"iCCP", b"no end of its name"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1"),
        chunk(b"eXIf", b"MM\0*" + b"\xff" * 70_000),
        chunk(b"gAMA", b"\0"),
        chunk(b"cHRM", b"short"),
        chunk(b"pHYs", b""),
        chunk(b"acTL", b"no animation"),
        chunk(b"fdAT", b""),
        chunk(b"caBX", bytes(9)) * 500,
        chunk(b"tIME", b"1234567")[:-4] + b"\0\0\0\0",
        chunk(b"IHdR", b"x"),
    ],
)
@pytest.mark.parametrize("behind", [False, True])
def test_metadata_never_cost_a_photo(extra: bytes, behind: bool) -> None:
    data = plain()
    at = len(data) - 12 if behind else 33
    photo = read(data[:at] + extra + data[at:])
    assert np.array_equal(photo.pixels, read(data).pixels)
    assert photo.warning is None


@pytest.mark.parametrize("packed", [False, True])
def test_the_orientation_of_xmp_and_of_old_exif_is_applied(packed: bool) -> None:
    image = Image.new("RGB", (5, 3))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    data = stream.getvalue()
    xmp = b'<x tiff:Orientation="6"/>'
    text = chunk(
        b"iTXt",
        b"XML:com.adobe.xmp\0" + bytes([packed]) + b"\0\0\0" + (zlib.compress(xmp) if packed else xmp),
    )
    assert read(data[:33] + text + data[33:]).pixels.shape == (5, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = 8
    digits = b"\nexif\n   40\n" + (b"Exif\0\0" + exif.tobytes()).hex().encode() + b"\n"
    old = (
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(digits))
        if packed
        else chunk(b"tEXt", b"Raw profile type exif\0" + digits)
    )
    assert read(data[:33] + old + data[33:]).pixels.shape == (5, 3, 3)


def test_damaged_transparency_is_left_out_with_a_warning() -> None:
    data = made(4, 4, 8, 2, extra=chunk(b"tRNS", bytes(6))[:-4] + b"\1\2\3\4")
    photo = read(data)
    assert photo.pixels.shape == (4, 4, 3)
    assert photo.warning == "its transparency is damaged and was left out"


def test_a_missing_end_is_read_with_a_warning() -> None:
    data = plain()
    for lacking in (1, 5, 12):
        photo = read(data[:-lacking])
        assert np.array_equal(photo.pixels, read(data).pixels)
        assert photo.warning == "its end is missing"
    with pytest.raises(UnreadableImage, match="its PNG data are broken or cut off"):
        read(data[: len(data) // 2])


def test_damaged_pixels_are_refused() -> None:
    data = made(40, 30, 8, 2)
    flipped = bytearray(data)
    flipped[data.index(b"IDAT") + 900] ^= 4
    palette = made(40, 30, 8, 3, palette=bytes(range(256)) * 3)
    colour = bytearray(palette)
    colour[palette.index(b"PLTE") + 20] ^= 4
    tail = data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    for damaged, kind in ((bytes(flipped), "IDAT"), (bytes(colour), "PLTE"), (tail, "IDAT")):
        with pytest.raises(UnreadableImage, match=f"the checksum of a chunk {kind} is wrong"):
            read(damaged)


def test_the_default_picture_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue")]
    for default in (False, True):
        stream = io.BytesIO()
        frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:], default_image=default)
        assert read(stream.getvalue()).pixels[0, 0].tolist() == [255, 0, 0]


def test_pngs_of_iphone_apps_are_named() -> None:
    data = plain()
    with pytest.raises(UnreadableImage, match=r"it is a PNG of iPhone apps \(CgBI\)"):
        read(data[:8] + chunk(b"CgBI", bytes(4)) + data[8:])


def test_pixels_that_cannot_be_in_so_few_bytes_are_refused() -> None:
    head = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99)))
    with pytest.raises(UnreadableImage, match="too few bytes for its pixels"):
        read(data + chunk(b"IEND", b""))
