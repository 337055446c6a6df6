"""How many pixels a HEIC or AVIF file has coded: a picture of tiles may be made of many more than it shows.

The decoder decodes each tile in full, whatever is left of it, and one tile may be named a thousand times. So
tiles are counted before (ISO/IEC 23008-12, sections 6.6.2 and 9.3; boxes are those of ISO/IEC 14496-12).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["coded_pixels"]

_MOST_DEPTH = 8


def coded_pixels(data: bytes) -> int:
    """Returns the pixels that are decoded for a file's primary picture; 0 where that is no picture of others.

    Raises:
        ValueError: Boxes are damaged, or pictures are made of themselves.
    """
    if b"dimg" not in data:
        return 0
    try:
        # A version and flags, four bytes, begin the boxes of which the content is read.
        start, end = _only(b"meta", data, 0, len(data))
        parts = _parts(data, *_only(b"iref", data, start + 4, end))
        sizes = _sizes(data, *_only(b"iprp", data, start + 4, end))
        place, _ = _only(b"pitm", data, start + 4, end)
        primary = int.from_bytes(data[place + 4 : place + (8 if data[place] else 6)], "big")
        return _pixels(primary, parts, sizes, {}, 0) if primary in parts else 0
    except (struct.error, KeyError, IndexError) as error:
        raise ValueError(f"its boxes are damaged ({error})") from None


def _only(wanted: bytes, data: bytes, start: int, end: int) -> tuple[int, int]:
    """Returns start and end of the content of the one box of a kind."""
    ((at, stop),) = [(at, stop) for kind, at, stop in _boxes(data, start, end) if kind == wanted]
    return at, stop


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields kind, start and end of the content of each box."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        size = end - at if size == 0 else size
        if size < head or at + size > end:
            raise KeyError(kind.decode("latin-1"))
        yield kind, at + head, at + size
        at += size


def _parts(data: bytes, start: int, end: int) -> Mapping[int, Sequence[int]]:
    """Returns of which pictures a picture is made, by its number."""
    form, width = (">I", 4) if data[start] else (">H", 2)
    parts: dict[int, list[int]] = {}
    for kind, at, _ in _boxes(data, start + 4, end):
        if kind == b"dimg":
            (number,) = struct.unpack_from(form, data, at)
            (count,) = struct.unpack_from(">H", data, at + width)
            others = struct.unpack_from(f">{count}{form[1]}", data, at + width + 2)
            parts.setdefault(number, []).extend(others)
    return parts


def _sizes(data: bytes, start: int, end: int) -> Mapping[int, int]:
    """Returns the pixels of each picture by its number, as declared, which the decoder holds it to."""
    declared = [
        struct.unpack_from(">II", data, at + 4) if kind == b"ispe" else (0, 0)
        for kind, at, _ in _boxes(data, *_only(b"ipco", data, start, end))
    ]
    sizes: dict[int, int] = {}
    for box in (at for kind, at, _ in _boxes(data, start, end) if kind == b"ipma"):
        form, width = (">I", 4) if data[box] else (">H", 2)
        step = 1 + (data[box + 3] & 1)
        (count,) = struct.unpack_from(">I", data, box + 4)
        at = box + 8
        for _ in range(count):
            (number,) = struct.unpack_from(form, data, at)
            many, at = data[at + width], at + width + 1
            for _ in range(many):
                # The first bit says whether a reader must know the property.
                which = int.from_bytes(data[at : at + step], "big") & (0x7FFF if step == 2 else 0x7F)
                at += step
                if 0 < which <= len(declared):
                    wide, high = declared[which - 1]
                    sizes[number] = max(sizes.get(number, 0), wide * high)
    return sizes


def _pixels(
    number: int,
    parts: Mapping[int, Sequence[int]],
    sizes: Mapping[int, int],
    known: dict[int, int],
    depth: int,
) -> int:
    """Returns the pixels that are decoded for a picture: of parts, each as many times as it is named."""
    if number not in known:
        if depth == _MOST_DEPTH:
            raise ValueError("pictures are made of one another without an end")
        counts = Counter(parts.get(number, ()))
        known[number] = sum(
            count * _pixels(other, parts, sizes, known, depth + 1) for other, count in counts.items()
        )
        if not counts:
            known[number] = sizes[number]
    return known[number]
