"""Descriptors in Qdrant and Milvus, written and read by their own clients.

A place is the address of a server, ``http://HOST:PORT``, or where the client works without one: a folder of
Qdrant, a ``.db`` of Milvus Lite. The collection's name stands after ``#``; it is ``resight`` by default.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from jaxtyping import Float32

from resight.datasets.plain_pickle import plain_values
from resight.errors import InvalidInput, MissingExtra, SearchUnreachable
from resight.files import reading, whole_folder
from resight.search.milvus_calls import first_line, quiet, require_milvus

if TYPE_CHECKING:
    from pymilvus import MilvusClient
    from qdrant_client import QdrantClient

__all__ = ["DATABASES", "Database", "Place", "read_database", "write_database"]

Database = Literal["qdrant", "milvus"]
"""- ``qdrant``: a point a photo; its payload has ``path`` and the metadata; inner products.
- ``milvus``: a row a photo: ``id``, ``path``, ``descriptor``, and the metadata; inner products."""

DATABASES: tuple[Database, ...] = get_args(Database)
NAME = "resight"
PATHS = ("path", "image_path", "file_path", "filename", "file", "image")
"""Fields that may hold a photo's path; the first that is there counts."""
_BATCH = 256
_SECONDS = 60
_LONGEST_PATH = 65_535

Points = Iterator[tuple[Mapping[str, Any], Any]]
"""Values and vector of a photo each."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database keeps descriptors.

    Attributes:
        address: ``http://HOST:PORT``, or a path.
        name: Of the collection there.
    """

    address: str
    name: str = NAME

    @classmethod
    def of(cls, text: str) -> Place:
        """Returns the place of ``ADDRESS`` or ``ADDRESS#NAME``."""
        address, _, name = text.partition("#")
        return cls(address, name or NAME)

    @property
    def is_server(self) -> bool:
        """Whether it is no path."""
        return "://" in self.address

    def __str__(self) -> str:
        return f"{self.address}#{self.name}"


def write_database(
    names: Sequence[str],
    descriptors: Float32[np.ndarray, "n dim"],
    values: Sequence[Mapping[str, object]],
    database: Database,
    place: Place,
) -> None:
    """Writes descriptors into a new collection; after an error there is none.

    Args:
        names: Paths of the photos.
        descriptors: One a photo.
        values: Metadata of each.
        database: Whose.
        place: Where.

    Raises:
        InvalidInput: There is a collection of that name, or a path is no text.
        MissingExtra: The client is not installed.
        SearchUnreachable: No server answers, or it refuses them.
        OSError: The folder holds other things.
    """
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise InvalidInput(f"{name!r} is no UTF-8, in which {database} keeps paths: rename the file")
    rows = [{**more, "path": name} for name, more in zip(names, values, strict=True)]
    with _answering(database, place):
        if database == "milvus":
            _write_milvus(rows, descriptors, place)
        elif place.is_server:
            with closing(_qdrant(place.address)) as client:
                _write_qdrant(client, rows, descriptors, place)
        else:
            # What is there may be of anybody, and its client would execute what it holds.
            with whole_folder(place.address, own=_NOTHING) as folder, closing(_qdrant(folder)) as client:
                _write_qdrant(client, rows, descriptors, place)


def read_database(database: Database, place: Place) -> tuple[list[str], Float32[np.ndarray, "n dim"]]:
    """Returns the paths and vectors of a collection.

    A folder of Qdrant is read by hand: its own client executes what the folder holds.

    Raises:
        InvalidInput: There is no such collection, a point has no path, or its vectors are not of one length.
        MissingExtra: The client is not installed.
        SearchUnreachable: No server answers.
    """
    names, rows = [], []
    with _answering(database, place):
        for values, vector in _points(database, place):
            name = next((values[key] for key in PATHS if isinstance(values.get(key), str)), None)
            if name is None:
                raise InvalidInput(
                    f"a photo in {place} has no path: it must stand in one of {', '.join(PATHS)}"
                )
            names.append(name)
            rows.append(np.asarray(vector, np.float32))
    if not rows or len({row.shape for row in rows}) != 1 or rows[0].ndim != 1:
        raise InvalidInput(f"{place} must hold one vector a photo, all of one length")
    return names, np.stack(rows)


def _points(database: Database, place: Place) -> Points:
    if database == "milvus":
        return _read_milvus(place)
    return _read_qdrant(place) if place.is_server else _read_folder(place)


@contextmanager
def _answering(database: Database, place: Place) -> Iterator[None]:
    """Turns the errors of clients into a sentence."""
    # Of Qdrant's folder, on a full disk.
    kinds: list[type[Exception]] = [sqlite3.Error]
    client_logs: AbstractContextManager[None] = nullcontext()
    if database == "qdrant" and place.is_server:
        try:
            from qdrant_client.http.exceptions import ApiException
        except ImportError:
            raise MissingExtra("qdrant", "descriptors in Qdrant") from None
        kinds = [ApiException]
    if database == "milvus":
        require_milvus(place.address)
        client_logs = quiet()
        from grpc import RpcError
        from pymilvus import MilvusException

        kinds = [MilvusException, RpcError]
    try:
        with client_logs:
            yield
    except tuple(kinds) as error:
        reason = first_line(error)
        raise SearchUnreachable(f"{database} at {place} does not take part: {reason}") from None


def _taken(place: Place) -> InvalidInput:
    return InvalidInput(
        f"there is a collection {place.name} at {place.address}: name another after #, or remove it there"
    )


def _absent(place: Place, known: Sequence[str]) -> InvalidInput:
    listed = ", ".join(sorted(known)[:5]) or "none"
    return InvalidInput(
        f"there is no collection {place.name} at {place.address}: name one after #; there are: {listed}"
    )


# Qdrant

_NOTHING = re.compile(r"(?!)")


def _qdrant(where: str | Path) -> QdrantClient:
    try:
        from qdrant_client import QdrantClient
    except ImportError:
        raise MissingExtra("qdrant", "descriptors in Qdrant") from None
    if isinstance(where, Path):
        return QdrantClient(path=str(where))
    return QdrantClient(url=where, timeout=_SECONDS, check_compatibility=False)


def _write_qdrant(
    client: QdrantClient,
    rows: Sequence[dict[str, object]],
    descriptors: Float32[np.ndarray, "n dim"],
    place: Place,
) -> None:
    from qdrant_client.models import Distance, PointStruct, VectorParams

    if client.collection_exists(place.name):
        raise _taken(place)
    # The cosine would be stored with vectors of a length of 1, rounded anew.
    vectors = VectorParams(size=descriptors.shape[1], distance=Distance.DOT)
    client.create_collection(place.name, vectors_config=vectors)
    try:
        for start in range(0, len(rows), _BATCH):
            points = [
                PointStruct(id=number, vector=descriptors[number].tolist(), payload=rows[number])
                for number in range(start, min(start + _BATCH, len(rows)))
            ]
            client.upsert(place.name, points, wait=True)
    except BaseException:
        client.delete_collection(place.name)
        raise


def _read_qdrant(place: Place) -> Points:
    with closing(_qdrant(place.address)) as client:
        if not client.collection_exists(place.name):
            raise _absent(place, [each.name for each in client.get_collections().collections])
        offset: Any = None
        while True:
            points, offset = client.scroll(
                place.name, limit=_BATCH, offset=offset, with_payload=True, with_vectors=True
            )
            for point in points:
                yield point.payload or {}, _only(point.vector)
            if offset is None:
                return


def _read_folder(place: Place) -> Points:
    collections = Path(place.address) / "collection"
    path = collections / place.name / "storage.sqlite"
    if place.name in ("", ".", "..") or "/" in place.name or not path.is_file():
        known = sorted(each.name for each in collections.iterdir()) if collections.is_dir() else []
        raise _absent(place, known)
    with (
        reading(path, f"{path} is no collection of Qdrant, or a damaged one"),
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as storage,
    ):
        # The latest of each photo counts.
        for (content,) in storage.execute("SELECT point FROM points ORDER BY rowid"):
            point = plain_values(content)
            if not isinstance(point, dict):
                raise InvalidInput("it holds something else than points")
            payload = point.get("payload")
            yield payload if isinstance(payload, dict) else {}, _only(point.get("vector"))


def _only(vector: object) -> object:
    """Returns the vector of a point, also where it is the only one with a name."""
    if isinstance(vector, dict) and len(vector) == 1:
        return next(iter(vector.values()))
    if isinstance(vector, list):
        return vector
    raise InvalidInput("a point must have one vector")


# Milvus


def _milvus(place: Place) -> MilvusClient:
    from pymilvus import MilvusClient

    return MilvusClient(uri=place.address, timeout=_SECONDS)


def _write_milvus(
    rows: Sequence[dict[str, object]], descriptors: Float32[np.ndarray, "n dim"], place: Place
) -> None:
    from pymilvus import DataType

    with closing(_milvus(place)) as client:
        if client.has_collection(place.name):
            raise _taken(place)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("path", DataType.VARCHAR, max_length=_LONGEST_PATH)
        schema.add_field("descriptor", DataType.FLOAT_VECTOR, dim=descriptors.shape[1])
        index = client.prepare_index_params()
        index.add_index("descriptor", index_type="AUTOINDEX", metric_type="IP")
        try:
            client.create_collection(
                place.name, schema=schema, index_params=index, consistency_level="Strong"
            )
            for start in range(0, len(rows), _BATCH):
                part = range(start, min(start + _BATCH, len(rows)))
                client.insert(place.name, [{**rows[n], "id": n, "descriptor": descriptors[n]} for n in part])
        except BaseException:
            client.drop_collection(place.name)
            raise


def _read_milvus(place: Place) -> Points:
    from pymilvus import DataType

    if not place.is_server and not Path(place.address).exists():
        raise _absent(place, [])
    with closing(_milvus(place)) as client:
        if not client.has_collection(place.name):
            raise _absent(place, client.list_collections())
        fields = client.describe_collection(place.name)["fields"]
        vectors = [field["name"] for field in fields if field["type"] == DataType.FLOAT_VECTOR]
        if len(vectors) != 1:
            raise InvalidInput(f"{place} must have one field of float vectors, not {len(vectors)}")
        client.load_collection(place.name)
        pages = client.query_iterator(
            place.name, batch_size=_BATCH, output_fields=["*"], consistency_level="Strong"
        )
        with closing(pages):
            while rows := pages.next():
                for row in rows:
                    yield row, row[vectors[0]]
