"""JPEG files: their variants, damage that costs nothing, and scans that cost minutes."""

from __future__ import annotations

import io
import re
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from resight.errors import UnreadableImage
from resight.images import jpeg, read
from resight.images.resize import fit

y, x = np.mgrid[0:120, 0:160]
PIXELS = np.stack([x * 1.5, y * 2, 120 + 90 * np.sin(x / 9) * np.cos(y / 6)], axis=-1).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray = PIXELS, **options: object) -> bytes:
    stream = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(stream, "JPEG", **({"quality": 95} | options))
    return stream.getvalue()


def reason(data: bytes, **options: int) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(data, **options)
    return caught.value.reason


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def scan_of_nothing(component: int, coefficient: int) -> bytes:
    """A scan of one coefficient of one component in which every block ends at once."""
    return segment(0xDA, bytes([1, component, 0, coefficient, coefficient, 0])) + b"\x00"


# --- variants, against OpenCV


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_variants_are_read_as_opencv_reads_them(options: dict, subsampling: str) -> None:
    data = encoded(subsampling=subsampling, **options)
    second = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(read(data).pixels.astype(int) - second).max() <= 2
    assert read(data).warning is None


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_cmyk_and_ycck(options: dict) -> None:
    ink = Image.fromarray(PIXELS).convert("CMYK")
    assert np.abs(read(encoded(ink, **options)).pixels.astype(int) - PIXELS).mean() < 3


def test_samples_of_twelve_bits_are_refused_by_name() -> None:
    data = bytearray(encoded())
    data[data.index(b"\xff\xc0") + 4] = 12
    assert reason(bytes(data)) == "its JPEG samples have 12 bits, and those of 8 are read; save it so"


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        (0xF7, "it is a JPEG-LS image"),
        (0xC5, "it is a hierarchical JPEG"),
        (0xCE, "it is a hierarchical JPEG"),
    ],
)
def test_kinds_that_are_not_read_are_named(marker: int, words: str) -> None:
    assert reason(encoded().replace(b"\xff\xc0", bytes([0xFF, marker]), 1)).startswith(words)


def lossless(pixels: np.ndarray) -> bytes:
    """A grey JPEG without loss (process 14, predictor 1), each difference with a code of eight bits."""
    rows, columns = pixels.shape
    # Sixteen codes of length 8: the categories 0 to 15 by their number.
    table = bytes([0] + [0] * 7 + [16] + [0] * 8) + bytes(range(16))
    bits = []
    for row in range(rows):
        for column in range(columns):
            beside = (row, column - 1) if column else (row - 1, 0)
            step = int(pixels[row, column]) - (int(pixels[beside]) if row or column else 128)
            length = abs(step).bit_length()
            low = step if step > 0 else step + (1 << length) - 1
            bits.append(f"{length:08b}" + (f"{low:0{length}b}" if length else ""))
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    coded = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\0")
    frame = segment(0xC3, struct.pack(">BHHB", 8, rows, columns, 1) + bytes([1, 0x11, 0]))
    start = segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
    return b"\xff\xd8" + segment(0xC4, table) + frame + start + coded + b"\xff\xd9"


@pytest.mark.parametrize("max_side", [None, 20])
def test_without_loss(max_side: int | None) -> None:
    photo = read(lossless(PIXELS[..., 2]), max_side=max_side)
    expected = np.repeat(PIXELS[..., 2:], 3, axis=2)
    assert np.array_equal(photo.pixels, expected if max_side is None else fit(expected, max_side))


# --- a reduced decode


@pytest.mark.parametrize("max_side", [100, 150, 200, 399])
def test_a_reduced_decode_is_filtered_as_a_whole_one(max_side: int) -> None:
    random = np.random.default_rng(0)
    data = encoded(random.integers(0, 256, (600, 800, 3), dtype=np.uint8))
    expected = fit(read(data).pixels, max_side)
    # Decoded at just the wanted side, noise differs by 3.5 to 14 levels.
    assert np.abs(read(data, max_side=max_side).pixels.astype(int) - expected).mean() < 2.5


# --- metadata and damage


@pytest.mark.parametrize(
    "noise",
    [
        segment(0xE1, b"Exif\0\0MM\0*" + b"\xff" * 60_000),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<" * 60_000) * 30,
        segment(0xE2, b"ICC_PROFILE\0\1\1" + b"\0" * 60_000) * 200,
        segment(0xED, b"Photoshop 3.0\x008BIM" + b"\xff" * 900),
        segment(0xE2, b"MPF\0" + b"\xff" * 90),
        segment(0xFE, b"a comment") * 500,
        segment(0xE0, b"JFXX\0\x10" + b"\xff\xd8\xff\xda" * 9),
        b"\xff" * 9,
    ],
)
def test_metadata_never_cost_a_photo(noise: bytes) -> None:
    data = encoded()
    assert np.array_equal(read(data[:2] + noise + data[2:]).pixels, read(data).pixels)


def test_the_orientation_of_xmp_counts_where_exif_names_none() -> None:
    data = encoded()
    xmp = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>')
    assert read(data[:2] + xmp + data[2:]).pixels.shape == (160, 120, 3)
    exif = Image.Exif()
    exif[0x0112] = 3
    both = encoded(exif=exif)
    assert read(both[:2] + xmp + both[2:]).pixels.shape == (120, 160, 3)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("max_side", [None, 40])
@pytest.mark.parametrize("lacking", [1, 2, 12])
def test_a_missing_end_is_read_with_a_warning(lacking: int, max_side: int | None, progressive: bool) -> None:
    random = np.random.default_rng(0)
    scene = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))
    data = encoded(scene, progressive=progressive)
    whole = read(data, max_side=max_side)
    cut = read(data[:-lacking], max_side=max_side)
    assert cut.warning == "its end is missing, and with it at most its last rows"
    assert cut.pixels.shape == whole.pixels.shape
    rows = len(whole.pixels) - max(1, len(whole.pixels) // 30)
    assert np.abs(cut.pixels[:rows].astype(int) - whole.pixels[:rows]).mean() < 2


# The last tenth of a progressive file can be the last bits of its coefficients alone.
@pytest.mark.parametrize(
    ("share", "progressive"), [(0.3, False), (0.6, False), (0.9, False), (0.3, True), (0.6, True)]
)
def test_a_file_that_lacks_rows_is_refused(share: float, progressive: bool) -> None:
    random = np.random.default_rng(0)
    scene = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))
    data = encoded(scene, progressive=progressive)
    assert reason(data[: int(len(data) * share)]).startswith("its JPEG data are broken or cut off (")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("max_side", [None, 80])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}])
def test_an_end_marker_before_the_last_rows_does_not_make_a_file_whole(
    mode: str, max_side: int | None, options: dict
) -> None:
    random = np.random.default_rng(0)
    scene = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))
    data = encoded(scene.convert(mode), **options)
    for behind in (b"", b"\x12\xff\xd9\x34"):
        early = data[: len(data) // 2] + jpeg.END + behind
        words = "its JPEG data are broken or cut off (its end comes before its last rows)"
        assert reason(early, **({} if max_side is None else {"max_side": max_side})) == words


def test_a_file_that_ends_in_zeros_is_cut_off_and_padding_is_not() -> None:
    random = np.random.default_rng(0)
    scene = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))
    for options in ({}, {"restart_marker_rows": 1}, {"progressive": True}):
        data = encoded(scene, **options)
        half = len(data) // 2
        assert reason(data[:half] + bytes(half)).startswith("its JPEG data are broken or cut off (")
        padded = read(data + bytes(4096))
        assert padded.warning is None
        assert np.array_equal(padded.pixels, read(data).pixels)


def test_grey_rows_that_are_there_are_no_damage() -> None:
    grey = PIXELS.copy()
    grey[60:] = 128
    for options in ({}, {"progressive": True}, {"quality": 30}):
        assert read(encoded(grey, **options)).warning is None
        assert read(encoded(np.full((64, 64), 128, np.uint8), **options)).warning is None


def test_lacking_scans_are_told() -> None:
    data = encoded(progressive=True)
    starts = [match.start() for match in re.finditer(b"\xff\xda", data)]
    first = data[: starts[1]] + jpeg.END
    assert read(first).warning == "its last scans are missing, and with them fine detail"
    # Cut within its first scan, there is nothing for the rows below.
    within = data[: (starts[0] + starts[1]) // 2] + jpeg.END
    assert reason(within).endswith("(its end comes before its last rows)")


# --- what decoding costs


def test_a_progressive_file_says_what_it_holds() -> None:
    file = jpeg.parse("a", encoded(progressive=True, subsampling="4:2:0"))
    assert (file.at_once, file.refined, file.rows, file.bytes_per_pixel) == (False, True, 16, 3.0)
    file = jpeg.parse("a", encoded(subsampling="4:4:4"))
    assert (file.at_once, file.refined, file.rows, file.bytes_per_pixel) == (True, True, 8, 6.0)


def test_scans_are_counted_before_they_are_paid() -> None:
    data = encoded(progressive=True)
    refused = reason(data[:-2] + scan_of_nothing(1, 5) * 600 + data[-2:])
    assert refused.endswith("scans of 160 x 120 pixels would take too long to decode; save it again")
    # As large as a panorama, fewer are too many.
    at = data.index(b"\xff\xc2")
    large = data[: at + 5] + struct.pack(">HH", 12_000, 16_000) + data[at + 9 : -2]
    assert "scans of 16000 x 12000 pixels" in reason(large + scan_of_nothing(1, 5) * 10 + data[-2:])


def test_coefficients_of_a_progressive_file_count() -> None:
    data = encoded(progressive=True, subsampling="4:4:4")
    assert "160 x 120 pixels are more than the limit of 20000" in reason(data, max_side=10, max_pixels=20_000)
    assert read(data, max_side=10, max_pixels=30_000).pixels.shape == (8, 10, 3)
