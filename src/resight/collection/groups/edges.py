"""What was found between the photos of a collection, kept beside its table.

Photos are known by the hash of their bytes: a renamed photo keeps what was found, a copied one shares it, and
of a photo that is gone nothing is used.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float64

from resight.files import write_whole
from resight.models.extract import HASH_BYTES

__all__ = ["FOLDER", "Edge", "EdgeStore", "GroupConfig", "Looked"]

FOLDER = "groups"
"""Name of the folder in a collection's directory."""

FORMAT = 1
_NAME = re.compile(r"(\d{8})\.edges")


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """What decides which pairs are looked at, and how. Other settings: everything is looked at anew.

    Attributes:
        neighbours: How many of the most similar photos are candidates.
        turned: How many are of the photo turned by a quarter, a half and three, and of its mirrored picture
            turned by none to three, each.
        similarity: Least similarity of a candidate: other views of a thing have little.
        turned_similarity: Least similarity of a candidate turned or mirrored: a copy has more.
    """

    neighbours: int = 16
    turned: int = 4
    similarity: float = 0.1
    turned_similarity: float = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Two photos of which geometry says that they show the same, and what their pixels say.

    Attributes:
        first: Hash of the bytes of the one photo.
        second: Hash of those of the other.
        mirrored: One shows the other with left and right exchanged.
        inliers: Matches that agree on the transform.
        confirmed: The verdict on the pair is ``confirmed`` (`resight.search.verdict`).
        transform: float64 ``(3, 3)``, pixels of the first photo to those of the second.
        agreement: Share of what is to be seen in the overlap in which the pixels agree; NaN where a file was
            not there to be compared, -1 where the photo had copies enough.
        exactness: Share of that in which they are the same but for noise.
        covered: Share of the overlap in which they do not agree.
        recoloured: Root mean square of the difference of mean colours, 0 to 1.
        faded: Contrast of the second photo, that of the first being 1.
        first_framed: Share of the first photo's rim, on its two smoothest sides, at which the second shows
            a step; NaN where it goes on beyond fewer than three sides.
        second_framed: The same of the second photo's rim.
    """

    first: bytes
    second: bytes
    mirrored: bool
    inliers: int
    confirmed: bool
    transform: Float64[np.ndarray, "3 3"]
    agreement: float = float("nan")
    exactness: float = float("nan")
    covered: float = float("nan")
    recoloured: float = float("nan")
    faded: float = float("nan")
    first_framed: float = float("nan")
    second_framed: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A photo whose candidates have been looked at.

    Attributes:
        photo: Hash of its bytes.
        sharpness: Of its pixels; NaN where they were not read.
        edges: What was found.
    """

    photo: bytes
    sharpness: float
    edges: Sequence[Edge] = field(default=())


_NUMBERS = ("agreement", "exactness", "covered", "recoloured", "faded", "first_framed", "second_framed")
_HASH = ("u1", (HASH_BYTES,))
_PHOTO_ROW = np.dtype([("photo", *_HASH), ("sharpness", "<f4")])
_EDGE_ROW = np.dtype(
    [
        ("first", *_HASH),
        ("second", *_HASH),
        ("mirrored", "u1"),
        ("confirmed", "u1"),
        ("inliers", "<i4"),
        ("transform", "<f8", (3, 3)),
        *((name, "<f4") for name in _NUMBERS),
    ]
)


@final
class EdgeStore:
    """The files of a collection's edges: one more for each batch, one for all after a run.

    A file is a line of JSON and rows of numbers: reading it runs no compiled parser.

    Args:
        collection: Its directory.
        fingerprint: Of its model; files of another are not used.
        config: Files of other settings are not used.
    """

    def __init__(self, collection: Path, fingerprint: str, config: GroupConfig) -> None:
        self._folder = collection / FOLDER
        self._made_by = {"format": FORMAT, "fingerprint": fingerprint, "config": asdict(config)}

    @property
    def exists(self) -> bool:
        """Whether anything has been kept."""
        return any(True for _ in self._files())

    def read(self) -> dict[bytes, Looked]:
        """Returns what is kept by photo; files that are damaged, or made otherwise, count for nothing."""
        looked: dict[bytes, Looked] = {}
        for path in self._files():
            looked |= {one.photo: one for one in self._looked(path)}
        return looked

    def append(self, looked: Iterable[Looked]) -> None:
        """Keeps more; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        self._folder.mkdir(exist_ok=True)
        self._write(self._next(), looked)

    def forget_all_but(self, photos: Container[bytes | None]) -> None:
        """Forgets what is known of other photos, if anything is kept; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        if self.exists:
            self.replace({photo: one for photo, one in self.read().items() if photo in photos})

    def replace(self, looked: Mapping[bytes, Looked]) -> None:
        """Keeps what is known of these photos, and between them, in one file; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        old = list(self._files())
        self._folder.mkdir(exist_ok=True)
        among = (replace(one, edges=[e for e in one.edges if e.second in looked]) for one in looked.values())
        self._write(self._next(), among)
        # Killed before the last is gone, what they say is said twice.
        for path in old:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        with suppress(OSError):
            return sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        return []

    def _next(self) -> Path:
        numbers = [int(path.name[:8]) for path in self._files()]
        return self._folder / f"{max(numbers, default=-1) + 1:08d}.edges"

    def _write(self, path: Path, looked: Iterable[Looked]) -> None:
        photos = list(looked)
        edges = [edge for one in photos for edge in one.edges]
        rows = np.zeros(len(photos), _PHOTO_ROW)
        for row, one in zip(rows, photos, strict=True):
            row["photo"], row["sharpness"] = np.frombuffer(one.photo, np.uint8), one.sharpness
        edge_rows = np.zeros(len(edges), _EDGE_ROW)
        for row, edge in zip(edge_rows, edges, strict=True):
            row["first"], row["second"] = (
                np.frombuffer(side, np.uint8) for side in (edge.first, edge.second)
            )
            for name in ("mirrored", "confirmed", "inliers", "transform", *_NUMBERS):
                row[name] = getattr(edge, name)
        body = rows.tobytes() + edge_rows.tobytes()
        head = {**self._made_by, "photos": len(rows), "edges": len(edge_rows), "crc32": zlib.crc32(body)}
        write_whole(path, json.dumps(head).encode() + b"\n" + body)

    def _looked(self, path: Path) -> list[Looked]:
        """Returns what a file says; nothing where it is of other settings, damaged or foreign."""
        try:
            line, _, body = path.read_bytes().partition(b"\n")
            head = json.loads(line)
            count, edge_count, checksum = (head.pop(name) for name in ("photos", "edges", "crc32"))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return []
        if head != self._made_by or checksum != zlib.crc32(body):
            return []
        first, size = count * _PHOTO_ROW.itemsize, edge_count * _EDGE_ROW.itemsize
        if len(body) != first + size:
            return []
        edges: dict[bytes, list[Edge]] = {}
        for row in np.frombuffer(body, _EDGE_ROW, edge_count, first):
            edges.setdefault(row["first"].tobytes(), []).append(_edge(row))
        return [
            Looked(digest := row["photo"].tobytes(), float(row["sharpness"]), edges.get(digest, ()))
            for row in np.frombuffer(body, _PHOTO_ROW, count)
        ]


def _edge(row: np.void) -> Edge:
    return Edge(
        row["first"].tobytes(),
        row["second"].tobytes(),
        bool(row["mirrored"]),
        int(row["inliers"]),
        bool(row["confirmed"]),
        row["transform"].copy(),
        *(float(row[name]) for name in _NUMBERS),
    )
