"""Makes small files that ask for much: pixels, scans, pieces, frames, metadata.

Each is made by hand or by changing a header, so that making it takes neither the time nor the memory that
reading it was meant to take.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

from PIL import Image

__all__ = ["BOMBS"]

SIDE = 14_000


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


# --- JPEG


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(width: int, height: int, *, scans: int = 0, size: int = 64, **options: object) -> bytes:
    """A JPEG of a flat picture that declares other sides, with further scans of nothing behind its own."""
    data = saved(Image.new("RGB", (size, size), (90, 120, 150)), "JPEG", **options)
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    data = data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 : -2]
    return data + scans_of_nothing(width, height, scans) + b"\xff\xd9"


def scans_of_nothing(width: int, height: int, count: int) -> bytes:
    """Scans that refine all coefficients of the first component, and in which no block has any.

    Their code has one symbol, a run of 32,767 blocks without anything: 15 bits, for which the decoder looks
    at two million coefficients.
    """
    table = segment(0xC4, bytes([0x13, 1, *[0] * 15, 0xE0]))
    runs = width * height // 64 // 32_767 + 1
    bits = ("0" + "1" * 14) * runs
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return table + (segment(0xDA, bytes([1, 1, 0x03, 1, 63, 0x10])) + coded) * count


def jpeg_of_separate_scans(width: int, height: int) -> bytes:
    """Baseline with one scan for each component: all coefficients are held at once."""
    data = jpeg(width, height, subsampling="4:4:4")
    start = data.index(b"\xff\xda")
    one_by_one = b"".join(
        segment(0xDA, bytes([1, number, 0 if number == 1 else 0x11, 0, 63, 0])) for number in (1, 2, 3)
    )
    return data[:start] + one_by_one + b"\xff\xd9"


def jpeg_by_arithmetic(width: int, height: int) -> bytes:
    data = jpeg(width, height)
    return data.replace(b"\xff\xc0", b"\xff\xc9", 1)


def jpeg_with(noise: bytes) -> bytes:
    data = jpeg(64, 64)
    return data[:2] + noise + data[2:]


def jpeg_of_restarts(count: int) -> bytes:
    """A restart marker after every block, and many more behind the last."""
    data = jpeg(64, 64)
    start = data.index(b"\xff\xda")
    markers = b"".join(bytes([0xFF, 0xD0 + number % 8]) for number in range(count))
    return data[:start] + segment(0xDD, b"\0\1") + data[start:-2] + markers + b"\xff\xd9"


def jpeg_of_unknown_height() -> bytes:
    """The height stands behind the picture (marker DNL)."""
    return jpeg(64, 0)[:-2] + segment(0xDC, struct.pack(">H", 65_500)) + b"\xff\xd9"


def greedy_exif(size: int, entries: int = 65_000) -> bytes:
    """EXIF data with entries of different tags that all claim half of them."""
    table = b"".join(struct.pack("<HHII", tag, 7, size // 2, 0) for tag in range(entries))
    return (b"II*\0" + struct.pack("<IH", 8, entries) + table).ljust(size, b"\0")


# --- PNG


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@cache
def zeros(count: int) -> bytes:
    """So many zero bytes, packed by Deflate."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    packed = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join(packed) + packer.compress(bytes(count & ((1 << 20) - 1))) + packer.flush()


def png(
    width: int,
    height: int,
    bits: int,
    colour: int,
    *,
    extra: bytes = b"",
    interlaced: int = 0,
    rows: int = -1,
) -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = 1 + (width * channels * bits + 7) // 8
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    pixels = zeros(row * (height if rows < 0 else rows) + (8 * height if interlaced else 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animated_png(frames: int) -> bytes:
    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0))

    body = zlib.compress(bytes(8 * 25))
    more = b"".join(
        control(1 + 2 * n) + chunk(b"fdAT", struct.pack(">I", 2 + 2 * n) + body) for n in range(frames)
    )
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    head += chunk(b"acTL", struct.pack(">II", frames + 1, 0)) + control(0)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + more + chunk(b"IEND", b"")


# --- GIF, WebP, AVIF, HEIC


def gif(width: int, height: int, *, frames: int = 1, full: bool = False) -> bytes:
    """A canvas of those sides, with frames of one pixel, or of all of it and next to no data."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    sides = (width, height) if full else (1, 1)
    frame = b"," + struct.pack("<HHHHB", 0, 0, *sides, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b";"


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of one colour: no pixel of it takes a bit, so that any sides can be declared."""
    data = bytearray(saved(Image.new("RGB", (64, 64), (90, 120, 150)), "WEBP", lossless=True, method=0))
    at = data.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, (bits & 0xF0000000) | (width - 1) | ((height - 1) << 14))
    return bytes(data)


def webp_canvas(width: int, height: int, frames: int) -> bytes:
    """An animation whose frames are of 64 by 64 pixels on a canvas of those sides."""
    picture = saved(Image.new("RGB", (64, 64), (90, 120, 150)), "WEBP", lossless=True)[12:]
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    inner = bytes(6) + struct.pack("<I", 63)[:3] * 2 + struct.pack("<I", 50)[:3] + b"\0" + picture
    frame = b"ANMF" + struct.pack("<I", len(inner)) + inner
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides
    body += b"ANIM" + struct.pack("<IIH", 6, 0, 0) + frame * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif(side: int, **options: object) -> bytes:
    return saved(Image.new("RGB", (side, side), (90, 120, 150)), "AVIF", speed=10, **options)


def avif_with_greedy_exif() -> bytes:
    # Pillow reads EXIF data before it writes them: these are put in place afterwards.
    greedy = greedy_exif(1 << 20)
    harmless = (b"II*\0" + struct.pack("<IH", 8, 0)).ljust(len(greedy), b"x")
    return avif(64, exif=b"Exif\0\0" + harmless).replace(harmless, greedy)


def heic(side: int) -> bytes:
    from pillow_heif import from_pillow

    stream = io.BytesIO()
    from_pillow(Image.new("RGB", (side, side), (90, 120, 150))).save(stream, quality=10)
    return stream.getvalue()


def with_sides(data: bytes, side: int) -> bytes:
    """An AVIF or HEIC file that declares other sides (box ``ispe``)."""
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", side, side) + data[place + 8 :]


def heic_of_tiles(rows: int, columns: int, side: int) -> bytes:
    """A HEIC file of that side: item 1, a grid of tiles of 512 by 512 pixels that share their bytes."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    def full(kind: bytes, content: bytes, version: int = 0) -> bytes:
        return box(kind, struct.pack(">I", version << 24) + content)

    def about(number: int, kind: bytes) -> bytes:
        return full(b"infe", struct.pack(">HH", number, 0) + kind + b"\0", 2)

    tile = heic(512)
    at = tile.index(b"hvcC") - 4
    decoder = tile[at : at + struct.unpack_from(">I", tile, at)[0]]
    pixels = tile[tile.index(b"mdat") + 4 :]
    ispe = [full(b"ispe", struct.pack(">II", each, each)) for each in (512, side)]
    properties = box(b"ipco", decoder + ispe[0] + ispe[1] + full(b"pixi", b"\3\10\10\10"))
    tiles = range(2, 2 + rows * columns)
    of_items = struct.pack(">IHB2s", 1 + len(tiles), 1, 2, b"\3\4")
    of_items += b"".join(struct.pack(">HB3s", each, 3, b"\x81\2\4") for each in tiles)
    items = about(1, b"grid") + b"".join(about(each, b"hvc1") for each in tiles)
    items = full(b"iinf", struct.pack(">H", 1 + len(tiles)) + items)
    named = box(b"dimg", struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *tiles))
    grid = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, side, side)
    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(start: int) -> bytes:
        places = ((1, start + len(pixels), len(grid)), *((each, start, len(pixels)) for each in tiles))
        where = b"".join(struct.pack(">HHHHII", number, 0, 0, 1, *place) for number, *place in places)
        return full(
            b"meta",
            full(b"hdlr", b"\0\0\0\0pict" + bytes(13))
            + full(b"pitm", struct.pack(">H", 1))
            + full(b"iloc", b"\x44\0" + struct.pack(">H", len(places)) + where, 1)
            + items
            + box(b"iprp", properties + full(b"ipma", of_items))
            + full(b"iref", named),
        )

    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", pixels + grid)


# --- TIFF


def tiff(tags: dict[int, tuple[int, int, int]], tail: bytes = b"", following: int = 0) -> bytes:
    """A TIFF of one directory, of (type, count, value or place) by tag, and whatever comes behind it."""
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + tail


def tiff_of(width: int, height: int, bits: int, compression: int, tail: bytes, **more: int) -> bytes:
    place = 8 + 2 + 12 * 9 + 4
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, bits), 259: (3, 1, compression)}
    tags |= {262: (3, 1, 1), 277: (3, 1, 1), 278: (4, 1, height), 273: (4, 1, place), 279: (4, 1, len(tail))}
    if more:
        tags[262] = (3, 1, more["photometric"])
    return tiff(tags, tail)


def tiff_in_pieces(count: int) -> bytes:
    tags = {256: (4, 1, 1), 257: (4, 1, count), 258: (3, 1, 8), 262: (3, 1, 1), 277: (3, 1, 1)}
    tags |= {278: (4, 1, 1), 273: (4, count, 8), 279: (4, count, 8)}
    return tiff(tags, bytes(4 * count))


def tiff_of_tags(count: int) -> bytes:
    size = 14 + 12 * (count + 3) + (1 << 20)
    tags = {256: (4, 1, 4), 257: (4, 1, 4), 258: (3, 1, 8)}
    tags |= {1000 + number: (7, size, 0) for number in range(count)}
    return tiff(tags, bytes(1 << 20))


def tiff_of_directories(count: int) -> bytes:
    """A chain of directories that ends where it began."""
    one = struct.pack("<HHHIIHHII", 2, 256, 4, 1, 8, 257, 4, 1, 8)
    step = len(one) + 4
    chain = b"".join(one + struct.pack("<I", 8 + step * ((n + 1) % count)) for n in range(count))
    return b"II*\0" + struct.pack("<I", 8) + chain


def tiff_of_sub_directories(count: int) -> bytes:
    """A directory that lists itself as its own part, again and again."""
    tags = {256: (3, 1, 8), 257: (3, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    return tiff(
        tags | {273: (4, 1, 8), 278: (3, 1, 8), 279: (4, 1, 64), 330: (4, count, 8)}, b"\x08\0\0\0" * count
    )


def bmp(width: int, height: int, bits: int, compression: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 1078) + head + bytes(1024) + bytes([0, 1])


def icon() -> bytes:
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 1 << 30, 22)
    return struct.pack("<HHH", 0, 1, 65_535) + entry * 2_000


def jpeg_2000(side: int) -> bytes:
    size = struct.pack(">HHIIIIIIIIH", 41, 0, side, side, 0, 0, side, side, 0, 0, 1) + b"\x07\1\1"
    return b"\xff\x4f\xff\x51" + size + b"\xff\xd9"


BOMBS: dict[str, Callable[[], bytes]] = {
    "jpeg, 3000 scans of 4000 x 3000": lambda: jpeg(4000, 3000, scans=3000, progressive=True),
    "jpeg, 3000 scans of 500 x 500": lambda: jpeg(500, 500, scans=3000, progressive=True),
    "jpeg, 480 scans of 2000 x 2000": lambda: jpeg(2000, 2000, scans=480, progressive=True),
    "jpeg, baseline 65500 x 65500": lambda: jpeg(65_500, 65_500),
    "jpeg, progressive 65500 x 65500": lambda: jpeg(65_500, 65_500, progressive=True),
    "jpeg, progressive 4:4:4": lambda: jpeg(SIDE, SIDE, progressive=True, subsampling="4:4:4"),
    "jpeg, progressive 4:2:0": lambda: jpeg(SIDE, SIDE, progressive=True),
    "jpeg, a scan for each component": lambda: jpeg_of_separate_scans(SIDE, SIDE),
    "jpeg, arithmetic coding 65500 x 65500": lambda: jpeg_by_arithmetic(65_500, 65_500),
    "jpeg, 16 MB of EXIF": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 250),
    "jpeg, EXIF that claims itself": lambda: jpeg_with(
        segment(0xE1, b"Exif\0\0" + greedy_exif(65_000, 5_000))
    ),
    "jpeg, 16 MB of profile": lambda: jpeg_with(segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000)) * 250),
    "jpeg, a million comments": lambda: jpeg_with(segment(0xFE, b"") * 1_000_000),
    "jpeg, 10 MB of fill bytes": lambda: jpeg_with(b"\xff" * 10_000_000),
    "jpeg, a million restart markers": lambda: jpeg_of_restarts(1_000_000),
    "jpeg, height behind the picture": jpeg_of_unknown_height,
    "jpeg, 200,000 tables": lambda: jpeg_with(segment(0xDB, b"\0" + bytes(range(1, 65))) * 200_000),
    "jpeg, 16 MB of Photoshop data": lambda: jpeg_with(
        segment(0xED, b"Photoshop 3.0\0008BIM" + bytes(60_000)) * 260
    ),
    "png, 30000 x 30000 bits": lambda: png(30_000, 30_000, 1, 0),
    "png, RGB": lambda: png(SIDE, SIDE, 8, 2),
    "png, RGBA": lambda: png(10_000, 10_000, 8, 6),
    "png, RGBA of 16 bits": lambda: png(10_000, 10_000, 16, 6),
    "png, interlaced": lambda: png(SIDE, SIDE, 8, 0, interlaced=1),
    "png, 100 million rows": lambda: png(1, 100_000_000, 1, 0),
    "png, a row of two thousand million": lambda: png(2**31 - 1, 1, 1, 0, rows=0),
    "png, 20,000 palettes": lambda: png(8, 8, 8, 3, extra=chunk(b"PLTE", bytes(768)) * 20_000),
    "png, few rows of many": lambda: png(SIDE, SIDE, 8, 2, rows=2),
    "png, 128 MB of text": lambda: png(8, 8, 8, 2, extra=chunk(b"zTXt", b"Comment\0\0" + zeros(1 << 27))),
    "png, 128 MB of profile": lambda: png(8, 8, 8, 2, extra=chunk(b"iCCP", b"profile\0\0" + zeros(1 << 27))),
    "png, 128 MB of XMP": lambda: png(
        8, 8, 8, 2, extra=chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros(1 << 27))
    ),
    "png, EXIF that claims itself": lambda: png(8, 8, 8, 2, extra=chunk(b"eXIf", greedy_exif(1 << 20))),
    "png, 400,000 chunks": lambda: png(8, 8, 8, 2, extra=chunk(b"teXt", b"") * 400_000),
    "png, 20,000 frames": lambda: animated_png(20_000),
    "gif, canvas": lambda: gif(SIDE, SIDE),
    "gif, largest canvas": lambda: gif(65_535, 65_535),
    "gif, 100,000 frames": lambda: gif(64, 64, frames=100_000),
    "gif, a frame without its pixels": lambda: gif(SIDE, SIDE, full=True),
    "webp, 16383 x 16383": lambda: webp(16_383, 16_383),
    "webp, 7000 x 7000": lambda: webp(7_000, 7_000),
    "webp, animation on 16383 x 16383": lambda: webp_canvas(16_383, 16_383, 1),
    "webp, animation on 7000 x 7000": lambda: webp_canvas(7_000, 7_000, 1),
    "webp, 20,000 frames": lambda: webp_canvas(512, 512, 20_000),
    "avif, 6000 x 6000": lambda: avif(6_000),
    "avif, declares 14000 x 14000": lambda: with_sides(avif(64), SIDE),
    "avif, EXIF that claims itself": avif_with_greedy_exif,
    "heic, 6000 x 6000": lambda: heic(6_000),
    "heic, 900 equal tiles": lambda: heic_of_tiles(30, 30, 1024),
    "heic, declares 60000 x 60000": lambda: with_sides(heic(64), 60_000),
    "ppm, 10 MB of comments": lambda: b"P6 #" + b"x" * 10_000_000 + b"\n8 8 255\n" + bytes(192),
    "ppm, a number of 10 MB": lambda: b"P6 " + b"9" * 10_000_000 + b" 8 255\n",
    "ppm, few rows of many": lambda: b"P6 14000 14000 255\n" + bytes(9),
    "ppm, text": lambda: b"P3 5000 5000 255\n" + b"1 " * 5_000_000,
    "bmp, few rows of many": lambda: bmp(SIDE, SIDE, 24, 0),
    "bmp, run lengths": lambda: bmp(SIDE, SIDE, 8, 1),
    "tiff, a million pieces": lambda: tiff_in_pieces(1_000_000),
    "tiff, tags that claim the file": lambda: tiff_of_tags(4_000),
    "tiff, 100,000 directories in a circle": lambda: tiff_of_directories(100_000),
    "tiff, Deflate beyond its pixels": lambda: tiff_of(8, 8, 16, 8, zeros(1 << 27), photometric=0),
    "tiff, Deflate": lambda: tiff_of(12_000, 12_000, 8, 8, zeros(144_000_000)),
    "tiff, wide samples": lambda: tiff_of(12_000, 12_000, 64, 8, zeros(1 << 20)),
    "tiff, many scans inside": lambda: tiff_of(
        2_000, 2_000, 8, 7, jpeg(2_000, 2_000, scans=3_000, progressive=True), photometric=1
    ),
    "tiff, 100,000 parts that are itself": lambda: tiff_of_sub_directories(100_000),
    "tiff, LZW of nothing": lambda: tiff_of(SIDE, SIDE, 8, 5, bytes(9)),
    "ico, 65535 pictures": icon,
    "eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
    "psd, 30000 x 30000": lambda: b"8BPS\0\1" + struct.pack(">6xHIIHH", 4, 30_000, 30_000, 8, 3),
    "fits": lambda: b"SIMPLE  =                    T".ljust(2880),
    "dds": lambda: b"DDS |\0\0\0" + bytes(200),
    "svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>".ljust(99),
    "icns": lambda: b"icns" + struct.pack(">I", 100_000) + b"ic10" + bytes(99),
    "jpeg 2000, 65535 x 65535": lambda: jpeg_2000(65_535),
}
"""Functions that make a bomb, by its name."""
