"""TIFF files: which of their pictures is the photo, and who decodes it.

A TIFF file is a list of directories of tags, one a picture, and each may hold further ones: pages of a scan,
thumbnails, masks, the sensor's values of a raw photo. Pillow reads the usual layouts, and some others
wrongly without an error (Pillow 13 against tifffile: 16-bit planes one after another, 16-bit white-is-zero,
12 bits, signed integers, compressed big-endian floats, planes with alpha). Those are read by tifffile as far
as it goes without its codecs: without compression, with Deflate or with PackBits, in samples of whole bytes.
What is left is refused.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from resight.errors import UnreadableImage

__all__ = ["Layout", "full_picture"]

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_STRIPS, _ORIENTATION, _SAMPLES, _PLANAR, _TILES, _SUB_IFDS = 273, 274, 277, 284, 324, 330
_EXTRA, _FORMAT, _DNG_VERSION, _GREATEST = 338, 339, 50706, 281
_READ = frozenset(
    {_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES}
    | {_PLANAR, _SUB_IFDS, _EXTRA, _FORMAT, _DNG_VERSION, _GREATEST}
)
_SENSOR_VALUES = (32803, 34892)
_COLOURS = {0: "white-is-zero", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIELAB"}
_COMPRESSIONS = {
    1: "no",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    34712: "JPEG 2000",
    34925: "LZMA",
    34933: "PNG",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_BY_TIFFFILE = frozenset({1, 8, 32773, 32946})
_BY_PILLOW = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})

# Types of whole numbers by their letter in struct, and the size of each other type in bytes.
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_OTHER_SIZES = {2: 1, 5: 8, 10: 8, 11: 4, 12: 8}

_MOST_DIRECTORIES = 256
_MOST_VALUES = 256
_MOST_SEGMENTS = 1 << 17
"""Most strips or tiles of a picture: 225 million pixels in tiles of 48 by 48."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a picture of a TIFF file is stored.

    Attributes:
        offset: Where its directory begins, bytes.
        big_endian: Whether numbers begin with their high byte.
        big: Whether the file is a BigTIFF.
        reduced: Whether it says of itself that it is a reduced version of another, or a mask.
        width: Pixels, as stored.
        height: Pixels, as stored.
        bits: Of each sample of a pixel.
        formats: Of each sample: 1 unsigned, 2 signed, 3 float, 4 undefined.
        samples: Values a pixel.
        extra: What samples beyond the colours mean: 0 nothing said, 1 premultiplied alpha, 2 alpha.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 CIELAB.
        compression: The tag's number; 1 is none.
        planar: Whether each sample has a plane of its own.
        orientation: Of EXIF, 1 to 8; 1 where it is none of these.
        raw: Whether it is, or belongs to, a raw photo.
        depth: Bits in use of samples of 16 bits: those of the greatest value that the file names
            (MaxSampleValue), where that is all ones as 4095 is. Any other says what occurs, and not what is
            white.
    """

    offset: int
    big_endian: bool
    big: bool
    reduced: bool
    width: int
    height: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    samples: int
    extra: tuple[int, ...]
    photometric: int
    compression: int
    planar: bool
    orientation: int
    raw: bool
    depth: int = 16

    @property
    def by_pillow(self) -> bool:
        """Whether Pillow reads it, and rightly."""
        bits, kinds = set(self.bits), set(self.formats)
        if (self.big and self.big_endian) or len(bits) != 1 or len(kinds) != 1:
            return False
        if self.compression not in _BY_PILLOW:
            return False
        colours = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}.get(self.photometric, 0)
        grey = self.samples == 1 and self.photometric in (0, 1)
        if kinds <= {1, 4} and bits <= {1, 2, 4, 8}:
            if self.samples == 2:
                return self.extra == (2,) and not self.planar and self.photometric == 1
            plain_planes = self.samples == colours or (self.extra == (2,) and self.photometric == 2)
            return colours == 1 == self.samples or (
                bits == {8} and (plain_planes if self.planar else self.samples >= colours > 1)
            )
        if kinds <= {1, 4} and bits == {16}:
            if grey:
                return self.photometric == 1
            if self.depth < 16 and self.compression in _BY_TIFFFILE:
                # Pillow keeps their high bytes alone, and all 16 bits of grey.
                return False
            plain = self.samples == colours and self.compression != 1
            return self.photometric in (2, 5) and (plain if self.planar else self.samples >= colours)
        byte_order_known = not self.big_endian or self.compression == 1
        return grey and self.photometric == 1 and kinds <= {2, 3} and bits == {32} and byte_order_known

    @property
    def weight(self) -> float:
        """Memory a pixel takes while tifffile and numpy convert it, in units of an RGB pixel's four bytes."""
        return max(1.0, self.samples * (max(self.bits) / 8 + 10) / 4)

    @property
    def words(self) -> str:
        """The layout in words, for a reason."""
        kind = {2: " signed", 3: " float", 5: " complex", 6: " complex"}.get(self.formats[0], "")
        planes = " in planes" if self.planar and self.samples > 1 else ""
        bits = "/".join(str(bits) for bits in dict.fromkeys(self.bits))
        colours = _COLOURS.get(self.photometric, f"photometric {self.photometric}")
        packed = _COMPRESSIONS.get(self.compression, f"unknown ({self.compression})")
        return f"{self.samples} x {bits}-bit{kind} {colours}{planes}, {packed} compression"


def full_picture(name: str, stream: BinaryIO) -> tuple[Layout, BinaryIO]:
    """Returns the layout of the picture that is the photo, and a TIFF file whose first picture it is.

    That is the first picture, unless it says of itself that it is a reduced version of another, as the first
    of raw photos and of some scans does: then the largest that is none.

    Raises:
        UnreadableImage: It holds a raw photo and no full picture beside it, or its directories are broken.
    """
    try:
        directories = _directories(name, stream)
    except (struct.error, OverflowError) as error:
        raise UnreadableImage(name, f"its TIFF data are broken or cut off ({error})") from None
    photo = _photo(name, directories)
    if min(photo.width, photo.height, photo.samples, *photo.bits) < 1:
        raise UnreadableImage(name, "its TIFF data are broken or cut off (a picture without a size)")
    return photo, stream if photo is directories[0] else _beginning_with(stream, photo)


def _photo(name: str, directories: Sequence[Layout]) -> Layout:
    first = directories[0]
    if not first.reduced and not first.raw:
        return first
    full = [page for page in directories if not page.reduced and page.photometric not in _SENSOR_VALUES]
    if not full:
        if any(page.raw for page in directories):
            raise UnreadableImage(
                name,
                "it is a raw photo, whose pixels need a raw developer, with no full picture but a preview "
                f"of {first.width} x {first.height} pixels; export it as JPEG or TIFF",
            )
        full = list(directories)
    return max(full, key=lambda page: page.width * page.height)


def _beginning_with(stream: BinaryIO, picture: Layout) -> BinaryIO:
    """Returns a TIFF file whose first directory is that of a picture: only its head is another."""
    stream.seek(0)
    content = bytearray(stream.read())
    order = ">" if picture.big_endian else "<"
    struct.pack_into(order + ("Q" if picture.big else "I"), content, 8 if picture.big else 4, picture.offset)
    return io.BytesIO(bytes(content))


def _directories(name: str, stream: BinaryIO) -> list[Layout]:
    """Returns every picture's layout: the chain from the head, each followed by those it holds."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(16)
    big_endian, big = head[:2] == b"MM", 43 in (head[2], head[3])
    order = ">" if big_endian else "<"
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    raw = head[8:10] == b"CR"
    waiting, visited, directories = [offset], set[int](), list[tuple[int, dict[int, tuple[int, ...]]]]()
    while waiting:
        offset = waiting.pop()
        if offset == 0 or offset in visited:
            continue
        if len(visited) == _MOST_DIRECTORIES:
            break
        visited.add(offset)
        try:
            tags, following = _tags(name, stream, offset, size, order, big=big)
        except struct.error:
            # A damaged end of the chain costs no picture before it.
            if not directories:
                raise
            continue
        directories.append((offset, tags))
        # Taken from the end: first those it holds, then the next of the chain.
        waiting += [following, *reversed(tags.get(_SUB_IFDS, ()))]
    if not directories:
        raise UnreadableImage(name, "its TIFF data are broken or cut off (it holds no picture)")
    raw = raw or any(
        _DNG_VERSION in tags or tags.get(_PHOTOMETRIC, (0,))[0] in _SENSOR_VALUES for _, tags in directories
    )
    return [_layout(offset, tags, big_endian=big_endian, big=big, raw=raw) for offset, tags in directories]


def _tags(
    name: str, stream: BinaryIO, offset: int, size: int, order: str, *, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    """Returns the whole numbers of the tags that matter of one directory, and where the next begins.

    Raises:
        UnreadableImage: Its tags are larger than the file, or it is cut into too many pieces.
        struct.error: It is cut off.
    """
    stream.seek(offset)
    (entries,) = struct.unpack(order + ("Q" if big else "H"), stream.read(8 if big else 2))
    length, form = (20, "HHQ") if big else (12, "HHI")
    if entries * length > size:
        raise struct.error("a directory is larger than the file")
    table = stream.read(entries * length)
    (following,) = struct.unpack(order + ("Q" if big else "I"), stream.read(8 if big else 4))
    room, total = (8, 0) if big else (4, 0)
    tags: dict[int, tuple[int, ...]] = {}
    for at in range(0, len(table), length):
        tag, kind, count = struct.unpack_from(order + form, table, at)
        taken = count * (struct.calcsize(_TYPES[kind]) if kind in _TYPES else _OTHER_SIZES.get(kind, 1))
        total += taken if taken > room else 0
        if tag in (_STRIPS, _TILES) and count > _MOST_SEGMENTS:
            raise UnreadableImage(
                name, f"its picture is cut into {count:,} pieces, more than the limit of {_MOST_SEGMENTS:,}"
            )
        if tag not in _READ or kind not in _TYPES or not 0 < count <= _MOST_VALUES:
            continue
        place = at + (12 if big else 8)
        content = table[place : place + taken]
        if taken > room:
            stream.seek(struct.unpack_from(order + ("Q" if big else "I"), table, place)[0])
            content = stream.read(taken)
        if len(content) == taken:
            tags[tag] = struct.unpack(f"{order}{count}{_TYPES[kind]}", content)
    # Entries may all point at the same bytes, and decoders read every one.
    if total > 4 * size + (1 << 20):
        raise UnreadableImage(name, f"its tags claim {total:,} bytes, and the file has {size:,}")
    return tags, following


def _layout(
    offset: int, tags: Mapping[int, tuple[int, ...]], *, big_endian: bool, big: bool, raw: bool
) -> Layout:
    def first(tag: int, default: int) -> int:
        return tags.get(tag, (default,))[0]

    compression = first(_COMPRESSION, 1)
    photometric = first(_PHOTOMETRIC, 0)
    samples = first(_SAMPLES, 3 if compression in (6, 7) and photometric in (2, 6) else 1)
    return Layout(
        offset=offset,
        big_endian=big_endian,
        big=big,
        reduced=bool(first(_SUBFILE, 0) & 5) or first(_OLD_SUBFILE, 0) == 2,
        width=first(_WIDTH, 0),
        height=first(_HEIGHT, 0),
        bits=tags.get(_BITS, (1,)),
        formats=tags.get(_FORMAT, (1,)),
        samples=samples,
        extra=tags.get(_EXTRA, ()),
        photometric=photometric,
        compression=compression,
        planar=first(_PLANAR, 1) == 2,
        orientation=first(_ORIENTATION, 1) if 1 <= first(_ORIENTATION, 1) <= 8 else 1,
        raw=raw,
        depth=_depth(first(_GREATEST, 0)),
    )


def _depth(greatest: int) -> int:
    """Returns the bits of a greatest value that is all ones; 16 of any other."""
    bits = greatest.bit_length()
    return bits if 8 < bits < 16 and greatest == (1 << bits) - 1 else 16
