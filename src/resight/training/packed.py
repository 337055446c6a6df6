"""Photos decoded and resized once, in one file that is mapped into memory.

The file, all numbers little-endian:

======================  ===========================================================================
bytes                   content
======================  ===========================================================================
0 to 7                  ``RSPACK1`` and a zero byte
8 to 15                 length of the header, unsigned
16 to 47                SHA-256 of the header
48 to ...               header: JSON in UTF-8 with the keys ``photos`` (how many), ``side``, ``rule``,
                        ``paths``, ``boxes`` (null, or for each photo null or ``[x0, y0, x1, y1]``),
                        ``pixels_sha256`` and ``digests`` (SHA-256 of each photo's file; missing in files of
                        version 0.1)
next multiple of 4096   pixels: uint8 ``(photos, side, side, 3)``, RGB, row after row, to the file's end
======================  ===========================================================================
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Int64, UInt8

from resight.datasets.dataset import LabelledImages
from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box
from resight.files import Progress, in_threads, parse_json, reading, whole_file
from resight.images.augment import CentreCrop, Stretch

__all__ = ["PackedImages", "Rule", "file_digests", "pack", "photo_digests"]

Rule = Literal["stretch", "crop"]
"""``stretch``: the whole photo, its proportions lost; ``crop``: short side at ``side``, the middle of it."""

_MAGIC = b"RSPACK1\0"
_START = struct.Struct("<8sQ32s")
_PAGE = 4096
_MOST_NAMED = 3

_Key = tuple[str, tuple[float, float, float, float] | None]


@dataclass(frozen=True, slots=True)
class _Header:
    photos: int
    side: int
    rule: str
    paths: list[str]
    boxes: list[tuple[float, float, float, float] | None] | None
    pixels_sha256: str
    digests: list[str] | None = None

    def to_bytes(self) -> bytes:
        content = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(content, separators=(",", ":")).encode()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.photos, self.side, self.side, 3


@final
class PackedImages:
    """Photos of one size in a file, read as they are needed.

    Attributes:
        path: The file.
        pixels: RGB uint8 ``(photos, side, side, 3)``, mapped read-only.
        side: Rows and columns of each photo, pixels.
        rule: How photos were brought to that size.
        fingerprint: 64 hexadecimal digits that change with any path, box, setting, pixel or photo's byte.
    """

    __slots__ = ("_digests", "_rows", "fingerprint", "path", "pixels", "rule", "side")

    def __init__(self, path: str | Path, *, verify: bool = False) -> None:
        """Opens a file that ``pack`` wrote.

        Args:
            path: The file.
            verify: Whether to read all pixels and compare them with their hash (1 GB a second or so); length
                and header are always checked.

        Raises:
            InvalidInput: The file is missing, cut off, altered or no such file.
        """
        self.path = Path(path)
        header, start, self.fingerprint = _read_header(self.path)
        self.side, self.rule, self._digests = header.side, header.rule, header.digests
        # As a plain array: what is taken out of it shall not be a memmap.
        self.pixels: UInt8[np.ndarray, "photos side side 3"] = np.asarray(
            np.memmap(self.path, dtype=np.uint8, mode="r", offset=start, shape=header.shape)
        )
        boxes = header.boxes or [None] * header.photos
        self._rows = {key: row for row, key in enumerate(zip(header.paths, boxes, strict=True))}
        if verify and _digest(self.pixels) != header.pixels_sha256:
            raise InvalidInput(
                f"the pixels in {self.path} have been altered: delete it and pack the photos anew"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def is_of(self, images: LabelledImages, digests: Sequence[str], *, side: int, rule: Rule) -> bool:
        """Returns whether the file holds every photo of a set, made of these very bytes by this rule.

        Args:
            images: The set.
            digests: SHA-256 of each photo's file, as `photo_digests` gives them.
            side: Rows and columns of a packed photo.
            rule: How photos are brought to that size.
        """
        if (self.side, self.rule) != (side, rule) or self._digests is None:
            return False
        rows = [self._rows.get(key) for key in _keys(images)]
        return all(
            row is not None and self._digests[row] == digest
            for row, digest in zip(rows, digests, strict=True)
        )

    def rows(self, images: LabelledImages) -> Int64[np.ndarray, " n"]:
        """Returns where each photo of a set lies in ``pixels``: of the packed set or of any part of it.

        Raises:
            InvalidInput: A photo, with the same box, is not in the file.
        """
        keys = _keys(images)
        missing = [key for key in keys if key not in self._rows]
        if missing:
            name, box = missing[0]
            raise InvalidInput(
                f"{self.path} lacks {len(missing)} of {len(keys)} photos of {images.name}, such as {name} "
                f"{'whole' if box is None else f'in the box {Box(*box)}'}: pack that set"
            )
        return np.array([self._rows[key] for key in keys], dtype=np.int64)


def photo_digests(images: LabelledImages, *, workers: int | None = None) -> tuple[str, ...]:
    """Returns SHA-256 of the file of each photo of a set, in hexadecimal digits.

    Names, sizes and times do not tell two photos apart for certain; all bytes are read.

    Args:
        images: The set.
        workers: Threads that read; by default the processors available.

    Raises:
        InvalidInput: Files cannot be read; the first of them are named.
    """
    return file_digests(images.root, images.paths, name=images.name, workers=workers)


def file_digests(
    root: Path, paths: Sequence[str], *, name: str, workers: int | None = None
) -> tuple[str, ...]:
    """Returns what `photo_digests` returns, for paths relative to a root.

    Args:
        root: The folder.
        paths: The files.
        name: What messages call them.
        workers: Threads that read; by default the processors available.

    Raises:
        InvalidInput: Files cannot be read; the first of them are named.
    """

    def digest(path: str) -> str | UnreadableImage:
        try:
            return _file_digest(root / path)
        except UnreadableImage as error:
            return error

    distinct = list(dict.fromkeys(paths))
    digests = dict(zip(distinct, in_threads(digest, distinct, workers=workers), strict=True))
    broken = [str(each) for each in digests.values() if isinstance(each, UnreadableImage)]
    _refuse_broken(name, len(paths), broken, "read")
    return tuple(str(digests[path]) for path in paths)


def pack(
    images: LabelledImages,
    path: str | Path,
    *,
    side: int,
    rule: Rule = "stretch",
    workers: int | None = None,
    progress: Progress | None = None,
) -> PackedImages:
    """Returns the photos of a set, written to a file of one size each: all of them, or no file at all.

    Photos are cropped to their boxes where the set has boxes. The resizing is that of ``images.augment``.

    Args:
        images: The set.
        path: Where to write; a file that is there is replaced when the new one is whole.
        side: Rows and columns of each photo, pixels.
        rule: How a photo is brought to that size.
        workers: Threads that decode; by default the processors available.
        progress: Called with how many photos are done and how many there are.

    Raises:
        InvalidInput: Photos cannot be read (the first of them are named), or a setting is out of range.
        OSError: The file cannot be written.
    """
    if rule not in ("stretch", "crop"):
        raise InvalidInput(f"photos are packed by the rule stretch or crop, not {rule!r}")
    transform = Stretch(side) if rule == "stretch" else CentreCrop(side, side)
    path = Path(path)
    nothing = np.empty(0)

    def shown(index: int) -> tuple[UInt8[np.ndarray, "side side 3"], str] | str:
        try:
            pixels = transform.apply(images.photo(index).pixels, nothing)
            return pixels, _file_digest(images.root / images.paths[index])
        except UnreadableImage as error:
            return str(error)

    photos = in_threads(shown, range(len(images)), workers=workers)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, device=False) as stream:
        # Hashes have a fixed length, so that the opening can be written over when they are known.
        stream.write(_opening(_header(images, side, rule, ["0" * 64] * len(images), pixels_sha256="0" * 64)))
        digest = hashlib.sha256()
        broken, digests = [], []
        for done, photo in enumerate(photos, 1):
            if isinstance(photo, str):
                broken.append(photo)
            else:
                content = photo[0].tobytes()
                digests.append(photo[1])
                digest.update(content)
                stream.write(content)
            if progress is not None:
                progress(done, len(images))
        _refuse_broken(images.name, len(images), broken, "packed")
        stream.seek(0)
        stream.write(_opening(_header(images, side, rule, digests, pixels_sha256=digest.hexdigest())))
    return PackedImages(path)


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableImage(path, error.strerror or str(error)) from None


def _refuse_broken(name: str, count: int, broken: list[str], done: str) -> None:
    if broken:
        more = f" and {len(broken) - _MOST_NAMED:,} more" if len(broken) > _MOST_NAMED else ""
        raise InvalidInput(
            f"{len(broken):,} of {count:,} photos of {name} cannot be {done}: "
            f"{'; '.join(broken[:_MOST_NAMED])}{more} (resight doctor --json lists them all)"
        )


def _keys(images: LabelledImages) -> list[_Key]:
    boxes = images.boxes or (None,) * len(images)
    return [
        (path, None if box is None else box.corners) for path, box in zip(images.paths, boxes, strict=True)
    ]


def _header(
    images: LabelledImages, side: int, rule: str, digests: list[str], *, pixels_sha256: str
) -> _Header:
    boxes = None if images.boxes is None else [box for _, box in _keys(images)]
    return _Header(len(images), side, rule, list(images.paths), boxes, pixels_sha256, digests)


def _opening(header: _Header) -> bytes:
    """Returns all that comes before the pixels."""
    content = header.to_bytes()
    opening = _START.pack(_MAGIC, len(content), hashlib.sha256(content).digest()) + content
    return opening.ljust(_pixels_start(len(content)), b"\0")


def _pixels_start(header_length: int) -> int:
    return -(-(_START.size + header_length) // _PAGE) * _PAGE


def _read_header(path: Path) -> tuple[_Header, int, str]:
    """Returns the header, where the pixels start, and the header's hash."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            opening = stream.read(_START.size)
            if len(opening) < _START.size or not opening.startswith(_MAGIC):
                raise InvalidInput(f"{path} is no file of packed photos")
            _, length, digest = _START.unpack(opening)
            content = stream.read(length) if length < size else b""
    except OSError as error:
        raise InvalidInput(f"cannot read the packed photos {path}: {error.strerror}") from None
    if hashlib.sha256(content).digest() != digest:
        raise InvalidInput(f"the header of {path} is cut off or altered: delete it and pack the photos anew")
    start = _pixels_start(length)
    with reading(path, f"the header of {path} is no header of packed photos"):
        fields: Any = parse_json(content)
        boxes = fields["boxes"]
        fields["boxes"] = boxes and [box and tuple(box) for box in boxes]
        header = _Header(**fields)
        whole = start + math.prod(header.shape)
        if any(each and len(each) != header.photos for each in (header.paths, header.boxes, header.digests)):
            raise ValueError("its lists are not as long as it has photos")
    if size != whole:
        raise InvalidInput(
            f"{path} has {size:,} bytes instead of {whole:,}: delete it and pack the photos anew"
        )
    return header, start, digest.hex()


def _digest(pixels: UInt8[np.ndarray, "photos side side 3"]) -> str:
    digest = hashlib.sha256()
    for photo in pixels:
        digest.update(photo.data)
    return digest.hexdigest()
