"""PNG files: the chunks that their pixels need, without those that may be large, broken, or both."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from resight.errors import UnreadableImage

__all__ = ["Png", "parse"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"IDAT")
_XMP = b"XML:com.adobe.xmp\0"
_OLD_EXIF = b"Raw profile type exif\0"
_END = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))

# Deflate makes at most 1032 bytes of one.
_MOST_GROWTH = 1032

# Metadata that are unpacked for the orientation: EXIF and XMP data seldom have a tenth of it.
_MOST_UNPACKED = 1 << 20


@dataclass(frozen=True, slots=True)
class Png:
    """A PNG file as far as it matters.

    Attributes:
        content: A PNG file of the same pixels (of an animation the default picture) without metadata.
        exif: The TIFF structure of its EXIF data; empty without.
        xmp: Its XMP data; empty without.
        warning: What is wrong with it that does not touch its pixels; None for nothing.
    """

    content: bytes
    exif: bytes
    xmp: bytes
    warning: str | None


def parse(name: str, data: bytes) -> Png:
    """Returns what a PNG file holds.

    Raises:
        UnreadableImage: It is of Apple's own kind, with pixels that no PNG decoder reads, or its pixels are
            damaged.
        ValueError: It declares more pixels than its bytes can hold.
    """
    # A stream gives its bytes without a copy: a file may have a hundred megabytes.
    kept = io.BytesIO()
    kept.write(_SIGNATURE)
    exif, xmp, warning, ended = b"", b"", None, False
    for kind, content, chunk, whole in _chunks(data):
        if kind in _PIXELS and not whole and len(chunk) == len(content) + 12:
            # Decoded all the same, what follows a flipped bit would be other pixels.
            raise UnreadableImage(
                name, f"its pixels are damaged: the checksum of a chunk {kind.decode()} is wrong"
            )
        if kind == b"CgBI":
            raise UnreadableImage(
                name, "it is a PNG of iPhone apps (CgBI), no usual PNG; save it as PNG again"
            )
        if kind in _PIXELS or (kind == b"tRNS" and whole):
            kept.write(chunk)
        elif kind == b"tRNS":
            warning = "its transparency is damaged and was left out"
        elif kind == b"eXIf" and not exif:
            exif = bytes(content).removeprefix(b"Exif\0\0")
        elif kind in (b"zTXt", b"tEXt") and content[: len(_OLD_EXIF)] == _OLD_EXIF and not exif:
            exif = _old_exif(bytes(content[len(_OLD_EXIF) :]), packed=kind == b"zTXt")
        elif kind == b"iTXt" and content[: len(_XMP)] == _XMP and not xmp:
            xmp = _international_text(bytes(content[len(_XMP) :]))
        ended = ended or (kind == b"IEND" and whole)
    if not ended:
        warning = "its end is missing"
    kept.write(_END)
    picture = kept.getvalue()
    _check_size(picture)
    return Png(picture, exif, xmp, warning)


def _check_size(content: bytes) -> None:
    """Refuses a file that declares more pixels than its bytes can hold, before memory is taken for them."""
    if len(content) >= 33 + len(_END):
        width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
        row = width * {2: 3, 4: 2, 6: 4}.get(colour, 1) * bits // 8
        if row * height > _MOST_GROWTH * len(content):
            raise ValueError("too few bytes for its pixels")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview, bool]]:
    """Yields of each chunk its kind, its content, all of it, and whether its checksum is right."""
    at, view = len(_SIGNATURE), memoryview(data)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content, chunk = view[at + 8 : at + 8 + length], view[at : at + 12 + length]
        yield kind, content, chunk, zlib.crc32(content, zlib.crc32(kind)) == int.from_bytes(chunk[-4:], "big")
        if kind == b"IEND":
            return
        at += 12 + length


def _old_exif(content: bytes, *, packed: bool) -> bytes:
    """Returns EXIF data as ImageMagick wrote them before PNG had a chunk for them: hexadecimal digits."""
    text = _unpacked(content[1:]) if packed else content
    # A line break, the name, the length, each on its line, then the digits.
    digits = b"".join(text.split(b"\n")[3:])
    try:
        return bytes.fromhex(digits.decode("ascii")).removeprefix(b"Exif\0\0")
    except ValueError:
        return b""


def _international_text(content: bytes) -> bytes:
    # Whether it is packed, how, a language, the keyword in that language, the text.
    rest = content[2:].split(b"\0", 2)
    if len(rest) < 3:
        return b""
    return _unpacked(rest[2]) if content[:1] == b"\1" else rest[2]


def _unpacked(content: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, _MOST_UNPACKED)
    except zlib.error:
        return b""
