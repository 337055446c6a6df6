"""The head of an approximate index in a collection: which files there are, of which version of the table.

It is written last, as a whole. A file that it does not name is of a killed writer; the next one removes it.
"""

from __future__ import annotations

import json
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resight.collection.store import Store
from resight.errors import InvalidInput
from resight.files import ObjectPath, write_whole
from resight.search.approximate.index import Effort

FOLDER = "search-index"
FORMAT = 1

_FILE = re.compile(r"\d{8}\.(?:rows|codes|trained|ivf-[a-z0-9]+)")


@dataclass(frozen=True, slots=True)
class Head:
    """What ``head.json`` says.

    Attributes:
        version: Of the table.
        trained: Name of the file of centroids and codes, its kind, lists, and checksum.
        parts: Name, rows and checksum of each.
        efforts: Of searches.
        built: Photos when it was built.
        changed: Photos that have come or gone since the recall was measured last.
    """

    version: int
    trained: tuple[str, str, int, int]
    parts: tuple[tuple[str, int, int], ...]
    efforts: tuple[Effort, ...]
    built: int
    changed: int


def new_name(folder: Path) -> str:
    """Returns the name of a part that no file has, without a suffix."""
    numbers = [int(path.name[:8]) for path in folder.iterdir() if _FILE.fullmatch(path.name)]
    return f"{max(numbers, default=-1) + 1:08d}"


def remove_unnamed(folder: Path, head: Head | None) -> None:
    """Removes files that a head does not name."""
    names = set()
    if head is not None:
        names = {
            head.trained[0],
            *(f"{name}.{end}" for name, _, _ in head.parts for end in ("rows", "codes")),
        }
    for path in folder.iterdir():
        if _FILE.fullmatch(path.name) and path.name not in names:
            path.unlink(missing_ok=True)


def write_head(store: Store, head: Head) -> None:
    """Writes the head of a store's index, as a whole."""
    header = store.header
    values = {
        "format": FORMAT,
        "identity": header.identity,
        "fingerprint": header.fingerprint,
        "dim": header.dim,
        "version": head.version,
        "trained": list(head.trained),
        "parts": [list(part) for part in head.parts],
        "efforts": [[effort.k, effort.probes, effort.shortlist] for effort in head.efforts],
        "built": head.built,
        "changed": head.changed,
    }
    text = json.dumps(values)
    write_whole(index_folder(store) / "head.json", f"{zlib.crc32(text.encode()):08x}\n{text}\n")


def index_folder(store: Store) -> Path:
    """Returns the folder of the index.

    Raises:
        InvalidInput: The collection lies in a bucket, from which nothing can be mapped.
    """
    if isinstance(store.path, ObjectPath):
        raise InvalidInput(f"{store.path} lies in a bucket, and has no approximate index")
    return store.path / FOLDER


def read_head(store: Store) -> Head | None:
    """Returns what the head says; None without one that is whole and of this collection."""
    with suppress(OSError, ValueError, KeyError, TypeError, IndexError):
        checksum, text = (index_folder(store) / "head.json").read_text("utf-8").split("\n")[:2]
        values: dict[str, Any] = json.loads(text)
        header = store.header
        made_by = (FORMAT, header.identity, header.fingerprint, header.dim)
        if (
            checksum == f"{zlib.crc32(text.encode()):08x}"
            and tuple(values[name] for name in ("format", "identity", "fingerprint", "dim")) == made_by
        ):
            return _head(values)
    return None


def _head(values: dict[str, Any]) -> Head | None:
    name, kind, lists, checksum = values["trained"]
    parts = tuple((str(part), int(rows), int(crc)) for part, rows, crc in values["parts"])
    efforts = tuple(Effort(int(k), int(probes), int(shortlist)) for k, probes, shortlist in values["efforts"])
    named = [name, *(f"{part}.rows" for part, _, _ in parts)]
    numbers = [int(lists), *(rows for _, rows, _ in parts), *(effort.probes for effort in efforts)]
    # No name leads out of the folder.
    if not all(_FILE.fullmatch(one) for one in named) or min(numbers, default=1) < 1:
        return None
    trained = (str(name), str(kind), int(lists), int(checksum))
    return Head(int(values["version"]), trained, parts, efforts, int(values["built"]), int(values["changed"]))
