"""Which photos a collection has, and which of them lie at or below a path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from resight.collection.roots import Key
from resight.collection.scan import absolute, canonical
from resight.collection.store import SEARCHABLE, Store
from resight.files import is_address, is_below, name_key, spelled, stamp_of
from resight.images.content import content_of

__all__ = [
    "StoredPhoto",
    "described",
    "has_changed",
    "keys_under",
    "photo_numbers",
    "searchable",
    "stored_photos",
]


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """What the collection knows of a file: its row's id, and what tells whether it changed."""

    id: int
    hash: bytes | None
    file_size: int | None
    modified_ns: int | None
    broken: str | None


def stored_photos(store: Store) -> dict[Key, StoredPhoto]:
    """Returns the rows of all photos, without features, by key."""
    columns = ["root", "path", "hash", "file_size", "modified_ns", "broken"]
    table = store.table(columns)
    values = [table[name].to_pylist() for name in ["_rowid", *columns]]
    return {
        Key(root, path): StoredPhoto(row, digest, size, modified, broken)
        for row, root, path, digest, size, modified, broken in zip(*values, strict=True)
    }


def photo_numbers(store: Store) -> dict[str, int]:
    """Returns the row id of each photo that can be searched, by its absolute path."""
    table, roots = store.table(["root", "path"], where=SEARCHABLE), store.roots
    columns = (table[name].to_pylist() for name in ("root", "path", "_rowid"))
    return {roots.path_of(Key(root, path)): row for root, path, row in zip(*columns, strict=True)}


def searchable(store: Store) -> list[str]:
    """Returns the absolute paths of the photos that can be searched, in the order of storage."""
    table, roots = store.table(["root", "path"], where=SEARCHABLE), store.roots
    pairs = zip(table["root"].to_pylist(), table["path"].to_pylist(), strict=True)
    return [roots.path_of(Key(root, path)) for root, path in pairs]


def described(store: Store) -> tuple[list[str], Float32[np.ndarray, "photos dim"]]:
    """Returns what `searchable` does, and the descriptors, from one version of the table.

    Raises:
        CollectionDamaged: They cannot be read.
    """
    columns = ["root", "path", "descriptor"]
    table, roots = store.table(columns, where=SEARCHABLE), store.roots
    pairs = zip(table["root"].to_pylist(), table["path"].to_pylist(), strict=True)
    values = table["descriptor"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    descriptors = values.reshape(-1, store.header.dim).astype(np.float32)
    return [roots.path_of(Key(root, path)) for root, path in pairs], descriptors


def has_changed(path: str, size: int | None, modified: int | None, digest: bytes) -> bool:
    """Returns whether a file has other bytes than when it was described.

    One of the same size and time is taken for unchanged, as indexing takes it; any other is read.
    """
    try:
        stamp = stamp_of(path)
        if (stamp.size, stamp.modified_ns) == (size, modified):
            return False
        return content_of(path).hash != digest
    except OSError:
        return True


def keys_under(store: Store, known: Mapping[Key, StoredPhoto], paths: Iterable[str | Path]) -> list[Key]:
    """Returns the keys of the collection's photos at or below some paths, whether these exist or not."""
    roots = store.roots
    exact: set[Key] = set()
    below: set[Key] = set()
    for path in paths:
        for spelling in _spellings(path):
            at = roots.key_of(spelling)
            if at is not None:
                (exact if at in known else below).add(at)
            for root in roots:
                if is_below(roots.folder(root.number), spelling):
                    below.add(Key(root.number, ""))
    # One pass over the photos, however many folders there are.
    keys = [key for key in known if key in exact or (below and not below.isdisjoint(_folders(key)))]
    if keys or not below:
        return keys
    # macOS decomposes letters, keyboards compose them: the same name in other bytes.
    forms = {_composed(key) for key in below}
    return [key for key in known if not forms.isdisjoint({_composed(key), *_folders(_composed(key))})]


def _spellings(path: str | Path) -> set[str]:
    """Returns the ways to write a path from the root of the disk; one for an address."""
    address = spelled(path)
    return {address} if is_address(address) else {absolute(path), canonical(path), os.path.realpath(path)}


def _composed(key: Key) -> Key:
    return Key(key.root, name_key(key.path))


def _folders(key: Key) -> Iterator[Key]:
    """Yields the folders that hold a photo, up to its root."""
    path = key.path
    while path:
        path = path.rpartition("/")[0]
        yield Key(key.root, path)
