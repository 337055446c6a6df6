"""What was found between the photos of a collection, kept beside its table.

Photos are known by the hash of their bytes: a renamed photo keeps what was found, a copied one shares it, and
of a photo that is gone nothing is used.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float64

from resight.collection.record_files import RecordFiles
from resight.files import ObjectPath
from resight.images.content import HASH_BYTES

__all__ = ["Edge", "EdgeStore", "GroupConfig", "Looked"]

FORMAT = 2


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """What decides which pairs are looked at, and how. Other settings: everything is looked at anew.

    Attributes:
        neighbours: How many of the most similar photos are candidates.
        turned: How many are of the photo turned by a quarter, a half and three, and of its mirrored picture
            turned by none to three, each.
        similarity: Least similarity of a candidate: other views of a thing have little.
        turned_similarity: Least similarity of a candidate turned or mirrored: a copy has more.
        insets: How many are of the picture that it shows with a page around it, from that similarity on.
    """

    neighbours: int = 16
    turned: int = 4
    similarity: float = 0.1
    turned_similarity: float = 0.3
    insets: int = 4


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
        steps: Mean step of the quantisation of brightness in its JPEG file; 0 of other formats, NaN where it
            was not read.
        has_local: Whether there are local features to compare it by.
    """

    photo: bytes
    sharpness: float
    edges: Sequence[Edge] = field(default=())
    steps: float = float("nan")
    has_local: bool = True


_NUMBERS = ("agreement", "exactness", "covered", "recoloured", "faded", "first_framed", "second_framed")
_HASH = ("u1", (HASH_BYTES,))
_PHOTO_ROW = np.dtype([("photo", *_HASH), ("sharpness", "<f4"), ("steps", "<f4"), ("has_local", "u1")])
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
    """What is known between the photos of a collection, on disk (`RecordFiles`).

    Args:
        collection: Its directory.
        fingerprint: Of its model; files of another are not used.
        config: Files of other settings are not used.
    """

    def __init__(self, collection: Path | ObjectPath, fingerprint: str, config: GroupConfig) -> None:
        made_by = {"format": FORMAT, "fingerprint": fingerprint, "config": asdict(config)}
        self._files = RecordFiles(collection, "groups", made_by, suffix="edges")

    @property
    def exists(self) -> bool:
        """Whether anything has been kept."""
        return bool(self._files.paths)

    def read(self) -> dict[bytes, Looked]:
        """Returns what is kept by photo."""
        looked: dict[bytes, Looked] = {}
        for counts, body in self._files.read():
            looked |= {one.photo: one for one in _looked(counts, body)}
        return looked

    def append(self, looked: Iterable[Looked]) -> None:
        """Keeps more; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        self._files.append(*_body_of(looked))

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
        among = (replace(one, edges=[e for e in one.edges if e.second in looked]) for one in looked.values())
        self._files.replace(*_body_of(among))


def _body_of(looked: Iterable[Looked]) -> tuple[dict[str, int], bytes]:
    """Returns numbers of records and their bytes."""
    photos = list(looked)
    edges = [edge for one in photos for edge in one.edges]
    rows = np.zeros(len(photos), _PHOTO_ROW)
    for row, one in zip(rows, photos, strict=True):
        row["photo"] = np.frombuffer(one.photo, np.uint8)
        row["sharpness"], row["steps"], row["has_local"] = one.sharpness, one.steps, one.has_local
    edge_rows = np.zeros(len(edges), _EDGE_ROW)
    for row, edge in zip(edge_rows, edges, strict=True):
        row["first"], row["second"] = (np.frombuffer(side, np.uint8) for side in (edge.first, edge.second))
        for name in ("mirrored", "confirmed", "inliers", "transform", *_NUMBERS):
            row[name] = getattr(edge, name)
    return {"photos": len(rows), "edges": len(edge_rows)}, rows.tobytes() + edge_rows.tobytes()


def _looked(counts: Mapping[str, int], body: bytes) -> list[Looked]:
    """Returns what the records say; nothing where their numbers are wrong."""
    count, edge_count = counts.get("photos", -1), counts.get("edges", -1)
    first = count * _PHOTO_ROW.itemsize
    if min(count, edge_count) < 0 or len(body) != first + edge_count * _EDGE_ROW.itemsize:
        return []
    edges: dict[bytes, list[Edge]] = {}
    for row in np.frombuffer(body, _EDGE_ROW, edge_count, first):
        edges.setdefault(row["first"].tobytes(), []).append(_edge(row))
    return [
        Looked(
            digest := row["photo"].tobytes(),
            float(row["sharpness"]),
            edges.get(digest, ()),
            float(row["steps"]),
            bool(row["has_local"]),
        )
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
