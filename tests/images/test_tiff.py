"""TIFF layouts, written by tifffile or here by hand, against the values that were written."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from resight.errors import UnreadableImage
from resight.images import read

ROWS, COLUMNS = 50, 70
y, x = np.mgrid[0:ROWS, 0:COLUMNS]
RGB = np.stack([x * 255 // (COLUMNS - 1), y * 255 // (ROWS - 1), (x * 5 + y * 3) % 256], axis=-1).astype(
    np.uint8
)
GREY = RGB[..., 2]


def as_type(pixels: np.ndarray, kind: str) -> np.ndarray:
    """Bytes as another type of number: its full range, for floats 0 to 1."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return (pixels / 255).astype(dtype)
    top = int(np.iinfo(dtype).max)
    return (pixels.astype(np.float64) * (top / 255)).clip(0, top).astype(dtype)


def written(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, metadata=None, **options)
    return stream.getvalue()


def by_hand(tags: dict[int, tuple[str, list[int]]], piece: bytes, *, order: str = "<") -> bytes:
    """A TIFF file of one strip, for what tifffile does not write; types by their letter in struct."""
    tags = {**tags, 273: ("I", [0]), 279: ("I", [len(piece)])}
    start = 8 + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    outside = sum(len(v) * struct.calcsize(k) for k, v in tags.values() if len(v) * struct.calcsize(k) > 4)
    tags[273] = ("I", [start + outside])
    for tag, (letter, numbers) in sorted(tags.items()):
        content = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        entries += struct.pack(f"{order}HHI", tag, {"B": 1, "H": 3, "I": 4}[letter], len(numbers))
        if len(content) > 4:
            entries += struct.pack(f"{order}I", start + len(values))
            values += content
        else:
            entries += content.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + values + piece


def bits_of(values: np.ndarray, bits: int) -> bytes:
    """Rows of values of so many bits, the high bit first, each row filled up to whole bytes."""
    flat = values.reshape(values.shape[0], -1)
    each = (flat[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(each.astype(np.uint8).reshape(len(flat), -1), axis=1).tobytes()


def assert_shows(data: bytes, expected: np.ndarray) -> None:
    pixels = read(data).pixels
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 2


def reason(data: bytes, **options: int) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(data, **options)
    return caught.value.reason


TYPES = ["u1", "u2", "u4", "i1", "i2", "f2", "f4", "f8"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", TYPES)
def test_colour_of_every_type_and_arrangement(kind: str, planar: str, compression: str, order: str) -> None:
    pixels = as_type(RGB, kind)
    if planar == "separate":
        pixels = np.moveaxis(pixels, 2, 0).copy()
    for pieces in ({"rowsperstrip": 16}, {"tile": (32, 32)}):
        options = {"planarconfig": planar, "compression": compression, "byteorder": order, **pieces}
        assert_shows(written(pixels, photometric="rgb", **options), RGB)
        if compression == "deflate" and kind[0] != "f":
            assert_shows(written(pixels, photometric="rgb", predictor=True, **options), RGB)


def test_every_way_to_a_file_leads_to_both_decoders(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    for kind in ("u1", "f4"):
        path.write_bytes(written(as_type(RGB, kind), photometric="rgb"))
        expected = read(path.read_bytes()).pixels
        assert np.array_equal(read(path).pixels, expected)
        # Its name is a number.
        with tempfile.TemporaryFile() as stream:
            stream.write(path.read_bytes())
            assert np.array_equal(read(stream).pixels, expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("kind", [*TYPES, "i4"])
def test_grey_of_every_type(kind: str, photometric: str, compression: str, order: str) -> None:
    data = written(as_type(GREY, kind), photometric=photometric, compression=compression, byteorder=order)
    assert_shows(data, GREY if photometric == "minisblack" else 255 - GREY)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "photometric"),
    [*[(bits, kind) for bits in (1, 2, 4, 8, 16) for kind in (0, 1)], *[(bits, 3) for bits in (1, 2, 4, 8)]],
)
def test_grey_and_palettes_of_any_number_of_bits(bits: int, photometric: int, order: str) -> None:
    top = (1 << bits) - 1
    values = GREY.astype(int) * top // 255
    tags = {256: ("H", [COLUMNS]), 257: ("H", [ROWS]), 258: ("H", [bits]), 262: ("H", [photometric])}
    tags |= {259: ("H", [8]), 277: ("H", [1]), 278: ("H", [ROWS])}
    expected = np.round(values * 255 / top).astype(np.uint8)
    if photometric == 0:
        expected = 255 - expected
    if photometric == 3:
        palette = np.random.default_rng(0).integers(0, 65536, (3, top + 1))
        tags[320] = ("H", palette.ravel().tolist())
        expected = np.moveaxis(palette >> 8, 0, -1)[values]
    raw = values.astype(f"{order}u2").tobytes() if bits == 16 else bits_of(values, bits)
    assert_shows(by_hand(tags, zlib.compress(raw), order=order), expected)


@pytest.mark.parametrize(("photometric", "samples"), [(0, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("bits", [6, 10, 12, 14])
def test_samples_that_begin_within_a_byte_are_refused(bits: int, photometric: int, samples: int) -> None:
    values = RGB[..., :samples].astype(int) * ((1 << bits) - 1) // 255
    tags = {
        256: ("H", [COLUMNS]),
        257: ("H", [ROWS]),
        258: ("H", [bits] * samples),
        262: ("H", [photometric]),
    }
    tags |= {259: ("H", [1]), 277: ("H", [samples]), 278: ("H", [ROWS])}
    colours = {0: "white-is-zero", 1: "grey", 2: "RGB"}[photometric]
    layout = f"{samples} x {bits}-bit {colours}, no compression"
    data = by_hand(tags, bits_of(values, bits))
    assert reason(data) == f"its TIFF layout ({layout}) is not read; save it as 8-bit RGB"


@pytest.mark.parametrize(("kind", "bits"), [(6, 64), (6, 128), (5, 32), (5, 16)])
def test_numbers_of_two_parts_are_refused_by_name(kind: int, bits: int) -> None:
    tags = {
        256: ("H", [COLUMNS]),
        257: ("H", [ROWS]),
        258: ("H", [bits]),
        262: ("H", [1]),
        339: ("H", [kind]),
    }
    data = by_hand(tags | {259: ("H", [1]), 278: ("H", [ROWS])}, bytes(ROWS * COLUMNS * bits // 8))
    words = f"its TIFF layout (1 x {bits}-bit complex grey, no compression) is not read; save it as 8-bit RGB"
    assert reason(data) == words


def test_packbits_of_signed_values() -> None:
    tags = {256: ("H", [COLUMNS]), 257: ("H", [ROWS]), 258: ("H", [8]), 262: ("H", [1]), 339: ("H", [2])}
    tags |= {259: ("H", [32773]), 277: ("H", [1]), 278: ("H", [ROWS])}
    # All of it as literal runs, one a row.
    packed = b"".join(bytes([COLUMNS - 1]) + row.tobytes() for row in as_type(GREY, "i1"))
    assert_shows(by_hand(tags, packed), GREY)


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_alpha_is_laid_over_white(photometric: str, kind: str, planar: str, extra: str) -> None:
    colour = (RGB if photometric == "rgb" else GREY[..., None]).astype(float)
    alpha = ((x * 3) % 256)[..., None] / 255
    stored = colour * alpha if extra == "assocalpha" else colour
    samples = as_type(np.concatenate([stored, alpha * 255], axis=2).round(), kind)
    if planar == "separate":
        samples = np.moveaxis(samples, 2, 0).copy()
    expected = colour if extra == "unspecified" else colour * alpha + 255 * (1 - alpha)
    data = written(samples, photometric=photometric, planarconfig=planar, extrasamples=[extra])
    shown = expected.round().astype(np.uint8)
    assert_shows(data, shown if photometric == "rgb" else shown[..., 0])


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_cmyk(kind: str, planar: str, compression: str) -> None:
    ink = np.concatenate([255 - RGB, np.full((ROWS, COLUMNS, 1), 40, np.uint8)], axis=2)
    samples = as_type(ink, kind)
    if planar == "separate":
        samples = np.moveaxis(samples, 2, 0).copy()
    data = written(samples, photometric="separated", planarconfig=planar, compression=compression)
    assert_shows(data, np.round(RGB.astype(float) * (255 - 40) / 255))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_bigtiff(kind: str, order: str) -> None:
    assert_shows(written(as_type(RGB, kind), photometric="rgb", bigtiff=True, byteorder=order), RGB)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"])
def test_compressions_of_usual_layouts(compression: str) -> None:
    stream = io.BytesIO()
    smooth = np.stack([x * 3, y * 5, x + y], axis=-1).astype(np.uint8)
    Image.fromarray(smooth).save(stream, "TIFF", compression=compression)
    if compression == "jpeg":
        assert np.abs(read(stream.getvalue()).pixels.astype(int) - smooth).mean() < 2
    else:
        assert_shows(stream.getvalue(), smooth)


@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_where_tifffile_decodes(value: int) -> None:
    stored = Image.fromarray(RGB)
    options = {"extratags": [(274, "H", 1, value, True)], "photometric": "rgb"}
    plain = read(written(np.asarray(stored), **options))
    planes = np.moveaxis(as_type(RGB, "u2"), 2, 0).copy()
    photo = read(written(planes, planarconfig="separate", **options))
    assert np.array_equal(photo.pixels, plain.pixels)
    assert (photo.width, photo.height) == (plain.width, plain.height)


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (as_type(RGB, "f4"), {"photometric": "rgb"}, "3 x 32-bit float RGB, LZW compression"),
        (as_type(GREY, "u2"), {"photometric": "miniswhite"}, "1 x 16-bit white-is-zero, LZW compression"),
    ],
)
def test_layouts_that_nobody_decodes_are_named(pixels: np.ndarray, options: dict, words: str) -> None:
    data = bytearray(written(pixels, **options))
    at = data.index(struct.pack("<HHI", 259, 3, 1))
    data[at + 8 : at + 10] = struct.pack("<H", 5)
    assert reason(bytes(data)) == (
        f"its TIFF layout ({words}) is not read; save it as 8-bit RGB, or with Deflate compression"
    )


def test_channels_that_are_no_colours_are_not_taken_for_grey() -> None:
    data = written(RGB, photometric="minisblack", planarconfig="contig")
    assert (
        reason(data) == "its TIFF layout (3 x 8-bit grey, no compression) is not read; save it as 8-bit RGB"
    )


# --- white of floats and wide integers


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("highest", [1.0, 1.004, 2.0, 1000.0, 1e30, float("inf")])
def test_few_values_above_white_do_not_darken_a_photo(highest: float, count: int) -> None:
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    values = ramp.copy()
    values[0, -5:] = highest
    if count == 1:
        pixels = read(written(values)).pixels
    else:
        pixels = read(written(np.stack([values] * 3, axis=-1), photometric="rgb")).pixels
    assert np.abs(pixels[1:].astype(int) - np.round(ramp * 255)[1:, :, None]).max() <= 1
    assert (pixels[0, -5:] == 255).all()


@pytest.mark.parametrize(
    ("kind", "scale", "brightest"),
    [
        ("f4", 255, 255),
        ("f4", 60, 60),
        ("f4", 65535, 255),
        ("u4", 255, 255),
        ("u4", 65535, 255),
        ("f4", 0.2, 51),
    ],
)
def test_the_usual_whites_keep_their_look(kind: str, scale: float, brightest: int) -> None:
    values = (np.tile(np.linspace(0, 1, 64), (48, 1)) * scale).astype(kind)
    assert abs(int(read(written(values)).pixels.max()) - brightest) <= 1


def test_values_of_twelve_bits_in_a_wide_type_are_not_black() -> None:
    values = np.tile(np.linspace(0, 1000, 64), (48, 1)).astype(np.uint32)
    assert read(written(values)).pixels.mean() > 100


# --- which picture is the photo


def pages(*each: tuple[np.ndarray, dict[str, object]], **options: object) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, **options) as file:
        for pixels, page in each:
            file.write(pixels, **({"photometric": "rgb", "metadata": None} | page))
    return stream.getvalue()


THUMBNAIL = RGB[::10, ::10].copy()


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
@pytest.mark.parametrize("inside", [0, 1])
def test_a_thumbnail_that_comes_first_is_not_the_photo(inside: int, options: dict) -> None:
    data = pages((THUMBNAIL, {"subfiletype": 1, "subifds": inside}), (RGB, {"subfiletype": 0}), **options)
    assert_shows(data, RGB)
    planes = np.moveaxis(as_type(RGB, "u2"), 2, 0).copy()
    assert_shows(
        pages((THUMBNAIL, {"subfiletype": 1}), (planes, {"planarconfig": "separate"}), **options), RGB
    )


def test_of_several_pages_the_first_and_no_mask() -> None:
    other = RGB[::-1].copy()
    assert_shows(pages((RGB, {}), (np.repeat(other, 2, axis=0), {})), RGB)
    assert_shows(pages((RGB, {}), (THUMBNAIL, {"subfiletype": 1})), RGB)
    mask = bytearray(pages((GREY, {"photometric": "minisblack", "subfiletype": 1}), (RGB, {})))
    mask[mask.index(struct.pack("<HHII", 254, 4, 1, 1)) + 8] = 4
    assert_shows(bytes(mask), RGB)
    # A picture that calls itself reduced, with no other: it is all there is.
    assert_shows(pages((RGB, {"subfiletype": 1})), RGB)


def test_a_raw_photo_without_a_full_picture_is_refused() -> None:
    sensor = as_type(GREY, "u2")
    for photometric, values in ((32803, sensor), (34892, as_type(RGB, "u2"))):
        photo = (values, {"photometric": photometric, "subfiletype": 0})
        data = pages((THUMBNAIL, {"subfiletype": 1, "subifds": 1}), photo)
        assert reason(data) == (
            "it is a raw photo, whose pixels need a raw developer, with no full picture but a preview "
            "of 7 x 5 pixels; export it as JPEG or TIFF"
        )
        assert "it is a raw photo" in reason(pages((values, {"photometric": photometric})))


# --- damage and bombs


def test_directories_in_a_circle_end() -> None:
    data = bytearray(written(RGB, photometric="rgb"))
    entries = struct.unpack_from("<H", data, 8)[0]
    struct.pack_into("<I", data, 8 + 2 + 12 * entries, 8)
    assert_shows(bytes(data), RGB)


def test_a_damaged_later_directory_costs_nothing() -> None:
    data = bytearray(written(RGB, photometric="rgb"))
    entries = struct.unpack_from("<H", data, 8)[0]
    struct.pack_into("<I", data, 8 + 2 + 12 * entries, len(data) - 1)
    assert_shows(bytes(data), RGB)


def test_tags_that_claim_more_than_the_file_are_refused() -> None:
    tags = {256: ("H", [4]), 257: ("H", [4]), 258: ("H", [8]), 262: ("H", [1])}
    tags |= {number: ("B", [7] * 9) for number in range(1000, 1100)}
    data = bytearray(by_hand(tags, bytes(1 << 20)))
    for number in range(1000, 1100):
        at = data.index(struct.pack("<HHI", number, 1, 9))
        struct.pack_into("<II", data, at + 4, 1 << 20, 8)
    assert reason(bytes(data)).startswith("its tags claim 104,")


def test_a_picture_in_a_million_pieces_is_refused() -> None:
    tags = {256: ("H", [1]), 257: ("I", [140_000]), 258: ("H", [8]), 262: ("H", [1]), 278: ("H", [1])}
    data = bytearray(by_hand(tags, bytes(700_000)))
    at = data.index(struct.pack("<HHI", 273, 4, 1))
    struct.pack_into("<II", data, at + 4, 140_000, 8)
    assert reason(bytes(data)) == "its picture is cut into 140,000 pieces, more than the limit of 131,072"


def test_pieces_that_unpack_beyond_their_pixels_are_refused() -> None:
    tags = {256: ("H", [8]), 257: ("H", [8]), 258: ("H", [16]), 262: ("H", [0]), 259: ("H", [8])}
    assert (
        reason(by_hand(tags, zlib.compress(bytes(1 << 24)))) == "its TIFF data unpack to more than its pixels"
    )


def test_missing_pieces_are_not_read_as_black() -> None:
    tags = {256: ("H", [COLUMNS]), 257: ("H", [ROWS]), 258: ("H", [8]), 262: ("H", [1]), 339: ("H", [2])}
    tags |= {259: ("H", [1]), 277: ("H", [1]), 278: ("H", [ROWS])}
    assert read(by_hand(tags, bytes(ROWS * COLUMNS))).width == COLUMNS
    tags[278] = ("H", [10])
    data = by_hand(tags, bytes(ROWS * COLUMNS))
    assert reason(data) == "its TIFF data are broken or cut off (pieces are missing)"


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("kind", ["i2", "f4"])
def test_planes_that_are_cut_off_are_refused(kind: str, compression: str | None) -> None:
    planes = np.moveaxis(as_type(RGB, kind), 2, 0).copy()
    data = written(planes, photometric="rgb", planarconfig="separate", compression=compression)
    assert reason(data[:-100]) == "its TIFF data are broken or cut off (a piece lies outside the file)"


def test_a_scan_of_two_hundred_megapixels_is_read() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    scan = Image.new("1", (16_320, 12_240), 1)
    scan.paste(0, (0, 0, 8_160, 12_240))
    scan.save(stream, "TIFF", compression="group4", exif=exif)
    photo = read(stream.getvalue(), max_side=8)
    assert (photo.width, photo.height, photo.pixels.shape) == (12_240, 16_320, (8, 6, 3))
    assert photo.pixels[0].max() < 5
    assert photo.pixels[-1].min() > 250


def test_wide_samples_count_by_their_memory() -> None:
    data = written(as_type(RGB, "f8"), photometric="rgb")
    refused = (
        "its 70 x 50 pixels are more than the limit of 20000, for they take the memory of 47250; save it"
    )
    assert reason(data, max_pixels=20_000).startswith(refused)
    assert read(data, max_pixels=50_000).width == 70


def test_twelve_bits_in_samples_of_sixteen_are_not_black():
    for pixels in (GREY, RGB):
        colours = "minisblack" if pixels is GREY else "rgb"
        twelve = (pixels.astype(np.uint16) << 4) | 7
        for compression in (None, "zlib"):
            for greatest, shown in (
                (4095, pixels),
                (16383, pixels >> 2),
                # What occurs, the range of the type, and bits of which there are too few for a picture.
                (4000, pixels >> 4),
                (65535, pixels >> 4),
                (255, pixels >> 4),
            ):
                data = written(
                    twelve,
                    photometric=colours,
                    compression=compression,
                    extratags=[(281, "H", 1, greatest, True)],
                )
                found = read(data).pixels
                assert np.array_equal(found if found.ndim == pixels.ndim else found[..., 0], shown), greatest


def test_a_value_beyond_the_greatest_is_white():
    for photometric, shown in (("minisblack", 255), ("miniswhite", 0)):
        values = np.full((4, 5), 9000, np.uint16)
        data = written(values, photometric=photometric, extratags=[(281, "H", 1, 4095, True)])
        assert (read(data).pixels == shown).all()
