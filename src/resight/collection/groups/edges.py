"""What was found between the photos of a collection, kept beside its table.

Photos are known by the hash of their bytes: a renamed photo keeps what was found, a copied one shares it, and
of a photo that is gone nothing is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from jaxtyping import Float64

from resight.files import whole_file

__all__ = ["FOLDER", "Edge", "EdgeStore", "GroupConfig", "Looked"]

FOLDER = "groups"
"""Name of the folder in a collection's directory."""

FORMAT = 1
_METADATA = b"resight.groups"
_NAME = re.compile(r"(\d{8})\.parquet")
_MOST_EDGES = 10_000_000


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
_EDGE = pa.struct(
    [
        pa.field("second", pa.binary()),
        pa.field("mirrored", pa.bool_()),
        pa.field("inliers", pa.int32()),
        pa.field("confirmed", pa.bool_()),
        pa.field("transform", pa.list_(pa.float64(), 9)),
        *(pa.field(name, pa.float32()) for name in _NUMBERS),
    ]
)
_SCHEMA = pa.schema(
    [
        pa.field("photo", pa.binary(), nullable=False),
        pa.field("sharpness", pa.float32()),
        pa.field("edges", pa.list_(_EDGE)),
    ]
)


@final
class EdgeStore:
    """The files of a collection's edges: one more for each batch, one for all after a run.

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
            for row in self._rows(path):
                looked[row["photo"]] = _looked(row)
        return looked

    def append(self, looked: Iterable[Looked]) -> None:
        """Keeps more; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        self._folder.mkdir(exist_ok=True)
        self._write(self._next(), looked)

    def replace(self, looked: Iterable[Looked]) -> None:
        """Keeps these and nothing else, in one file; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        old = list(self._files())
        self._folder.mkdir(exist_ok=True)
        self._write(self._next(), looked)
        # Killed before the last is gone, what they say is said twice.
        for path in old:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        with suppress(OSError):
            return sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        return []

    def _next(self) -> Path:
        numbers = [int(path.name[:8]) for path in self._files()]
        return self._folder / f"{max(numbers, default=-1) + 1:08d}.parquet"

    def _write(self, path: Path, looked: Iterable[Looked]) -> None:
        rows = [
            {
                "photo": one.photo,
                "sharpness": one.sharpness,
                "edges": [
                    {
                        "second": edge.second,
                        "mirrored": edge.mirrored,
                        "inliers": edge.inliers,
                        "confirmed": edge.confirmed,
                        "transform": edge.transform.reshape(-1).tolist(),
                        **{name: getattr(edge, name) for name in _NUMBERS},
                    }
                    for edge in one.edges
                ],
            }
            for one in looked
        ]
        table = pa.Table.from_pylist(rows, _SCHEMA.with_metadata({_METADATA: json.dumps(self._made_by)}))
        with whole_file(path) as stream:
            parquet.write_table(table, stream, compression="zstd", write_page_checksum=True)

    def _rows(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """Yields the rows of a file; none where it is of other settings, damaged or foreign."""
        try:
            with parquet.ParquetFile(path, page_checksum_verification=True) as file:
                metadata = file.schema_arrow.metadata or {}
                if json.loads(metadata.get(_METADATA, b"null")) != self._made_by:
                    return
                if file.schema_arrow.remove_metadata() != _SCHEMA or file.metadata.num_rows > _MOST_EDGES:
                    return
                rows = file.read().to_pylist()
        except (OSError, ValueError, pa.ArrowException):
            return
        yield from rows


def _looked(row: Mapping[str, Any]) -> Looked:
    return Looked(row["photo"], row["sharpness"], [_edge(row["photo"], edge) for edge in row["edges"] or ()])


def _edge(photo: bytes, row: Mapping[str, Any]) -> Edge:
    transform = np.array(row["transform"], dtype=np.float64).reshape(3, 3)
    plain = (row["second"], row["mirrored"], row["inliers"], row["confirmed"])
    return Edge(photo, *plain, transform, *(row[name] for name in _NUMBERS))
