"""JPEG files: what their pixels need of them, and what decoding them costs, before it is paid.

A progressive file is decoded scan after scan over all its blocks, held at full size, and a scan over empty
blocks takes a few bytes: half a megabyte of them costs minutes (djpeg's option -maxscans is there for that).
Metadata are left out: they can be large, broken, or both.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from resight.errors import UnreadableImage

__all__ = ["END", "Jpeg", "parse"]

END = b"\xff\xd9"

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB})
_LOSSLESS = frozenset({0xC3, 0xCB})
_LAYERED = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
_JPEG_LS = 0xF7
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_SCAN, _FILE_END, _ADOBE, _JFIF, _EXIF_OR_XMP = 0xDA, 0xD9, 0xEE, 0xE0, 0xE1
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
# Within the entropy-coded data of a scan, 0xFF is followed by 0 or a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")

_NEXT = re.compile(rb"\xff[^\xff]")

_MOST_SCANS = 500
_MOST_SCANNED = 2_000_000_000
"""Most pixels times scans: 200 million in ten scans, some six seconds."""

_MOST_BY_ARITHMETIC = 1_000_000_000
"""Most pixels in arithmetic coding, which takes no bytes for flat pictures: some six seconds."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG file as far as it matters.

    Attributes:
        content: A JPEG file of the same pixels without metadata, and without what follows them.
        exif: The TIFF structure of its EXIF data; empty without.
        xmp: Its XMP data; empty without.
        scalable: Whether it can be decoded at a fraction of its size; without loss coded ones cannot.
        at_once: Whether all components come in one scan, so that it can be decoded row by row.
        bytes_per_pixel: Memory for the coefficients of a file that is not.
        rows: Rows of pixels of a row of blocks, 8 to 32.
        refined: Whether a scan of the last bit of every coefficient has begun (in files of several scans;
            true of others).
    """

    content: bytes
    exif: bytes
    xmp: bytes
    scalable: bool
    at_once: bool
    bytes_per_pixel: float
    rows: int
    refined: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    marker: int
    width: int
    height: int
    components: dict[int, tuple[int, int]]


def parse(name: str, data: bytes) -> Jpeg:
    """Returns what a JPEG file holds.

    Raises:
        UnreadableImage: It is of a kind that is not read, its samples have more than 8 bits, or it would take
            minutes to decode.
        ValueError: It ends before its pixels begin.
    """
    kept, exif, xmp = bytearray(data[:2]), b"", b""
    frame: _Frame | None = None
    scan = 0
    for marker, at, end in _segments(data):
        content = data[at + 4 : end]
        if marker == _SCAN:
            scan = at
        elif marker == _JPEG_LS:
            raise UnreadableImage(name, "it is a JPEG-LS image; save it as PNG or as a usual JPEG")
        elif marker in _START_OF_FRAME:
            frame = _frame(name, marker, content)
            kept += data[at:end]
        elif marker in _TABLES or (marker, content[:5]) in ((_ADOBE, b"Adobe"), (_JFIF, b"JFIF\0")):
            kept += data[at:end]
        elif marker == _EXIF_OR_XMP and content.startswith(_EXIF) and not exif:
            exif = content[len(_EXIF) :]
        elif marker == _EXIF_OR_XMP and content.startswith(_XMP) and not xmp:
            xmp = content[len(_XMP) :]
    if frame is None:
        raise ValueError("its pixels have no size")
    components = frame.components.values()
    across, down = max((h for h, _ in components), default=1), max((v for _, v in components), default=1)
    at_once = frame.marker not in _PROGRESSIVE and data[scan + 4 : scan + 5] == bytes([len(components)])
    end = data.find(END, scan) + len(END) if at_once else 0
    # Zeros at a file's end are no codes: of a download that was cut short, or padding.
    kept += data[scan : end if end >= len(END) else None].rstrip(b"\0")
    return Jpeg(
        content=bytes(kept),
        exif=exif,
        xmp=xmp,
        scalable=frame.marker not in _LOSSLESS,
        at_once=at_once,
        # Coefficients have two bytes each.
        bytes_per_pixel=2 * sum(h * v for h, v in components) / max(1, across * down),
        rows=8 * down,
        refined=at_once or _check_scans(name, data, scan, frame),
    )


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields the marker, the place and the end of each segment up to the head of the first scan.

    Raises:
        ValueError: There is no scan.
    """
    at, marker = 2, 0
    while marker != _SCAN:
        # Any number of fill bytes may stand before a marker.
        match = _NEXT.search(data, at)
        if match is None or match.group()[1] == _FILE_END:
            raise ValueError("it ends before its pixels begin")
        at, marker = match.start(), match.group()[1]
        if marker == 0 or marker in _ALONE:
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at, end
        at = end


def _frame(name: str, marker: int, content: bytes) -> _Frame:
    if len(content) < 6:
        raise ValueError("its header is cut off")
    bits, height, width, count = struct.unpack_from(">BHHB", content)
    if bits != 8:
        raise UnreadableImage(name, f"its JPEG samples have {bits} bits, and those of 8 are read; save it so")
    if marker in _LAYERED:
        raise UnreadableImage(name, "it is a hierarchical JPEG, which no usual decoder reads; save it again")
    if marker in _ARITHMETIC and width * height > _MOST_BY_ARITHMETIC:
        size = f"{width} x {height}"
        raise UnreadableImage(name, f"its {size} pixels in arithmetic coding would take too long to decode")
    parts = [content[at : at + 3] for at in range(6, 6 + 3 * count, 3)]
    components = {part[0]: (part[1] >> 4, part[1] & 15) for part in parts if len(part) == 3}
    return _Frame(marker, width, height, components)


def _check_scans(name: str, data: bytes, at: int, frame: _Frame) -> bool:
    """Returns whether the last bit of every coefficient has its scan, after refusing too many scans."""
    # Of each coefficient of each component: how many of its low bits are still to come.
    missing = {component: [99] * 64 for component in frame.components}
    scans = 0
    while match := _MARKER.search(data, at):
        at, marker = match.start(), match.group()[1]
        if marker == _FILE_END:
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN:
            scans += 1
            content = data[at + 4 : at + 2 + length]
            count = content[0] if content else 0
            if len(content) >= 4 + 2 * count:
                first, last, bit = content[1 + 2 * count], content[2 + 2 * count], content[3 + 2 * count] & 15
                for component in content[1 : 1 + 2 * count : 2]:
                    if component in missing:
                        missing[component][first : last + 1] = [bit] * (min(last, 63) + 1 - first)
        at += 2 + length
    if scans > _MOST_SCANS or scans * frame.width * frame.height > _MOST_SCANNED:
        raise UnreadableImage(
            name,
            f"its {scans:,} scans of {frame.width} x {frame.height} pixels would take too long to decode; "
            "save it again",
        )
    return all(bit == 0 for bits in missing.values() for bit in bits)
