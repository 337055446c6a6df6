"""The searchable descriptors of a collection in memory, following the table."""

from __future__ import annotations

import shlex
import threading
from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, Int64

from resight.collection.store import SEARCHABLE, Store
from resight.errors import CollectionDamaged, InvalidInput
from resight.search.exact import ExactIndex
from resight.search.index import SearchIndex

if TYPE_CHECKING:
    from resight.collection.regions import RegionIndex
    from resight.search.approximate.index import ApproximateIndex
    from resight.search.diffusion import Diffusion

__all__ = ["ResidentIndex"]


@final
class ResidentIndex:
    """An exact index that is read when first asked for, and afterwards takes only what has changed.

    Its ids are the table's stable row ids. Hold `lock` while using what `current` returns: another thread
    may bring it up to date.
    """

    def __init__(self, store: Store) -> None:
        self.lock = threading.RLock()
        self._store = store
        self._index: ExactIndex | None = None
        self._version = 0
        self._identity = ""
        self._kept: tuple[tuple[str, int], SearchIndex | None] | None = None
        self._is_aside = False
        self._diffusion: tuple[str, int, Diffusion] | None = None
        self._regions: tuple[object, RegionIndex | None] | None = None

    def current(self) -> ExactIndex:
        """Returns the index of the latest committed version.

        Raises:
            CollectionNotFound: The collection has been deleted.
            CollectionDamaged: It cannot be read.
        """
        with self.lock:
            self._store.refresh()
            same = self._identity == self._store.header.identity and self._version <= self._store.version
            index, self._index = self._index, None
            # Stays None if reading fails half-way: the next call reads everything anew.
            if index is None or not same:
                index, self._version = self._store.read(_load)
            elif self._version < self._store.version:
                self._version = self._store.read(partial(follow_rows, index, version=self._version))
            self._index, self._identity = index, self._store.header.identity
            return index

    def searched(self) -> SearchIndex:
        """Returns what the collection is searched by: the kept index of the latest version, or the exact one.

        Raises:
            CollectionNotFound: The collection has been deleted.
            CollectionDamaged: It cannot be read.
        """
        with self.lock:
            self._store.refresh()
            header = self._store.header
            if header.search_choice.kind == "exact":
                return self.current()
            from resight.collection.kept import kept_index, lacks_index

            key = (header.identity, self._store.version)
            if self._kept is None or self._kept[0] != key:
                self._kept, self._is_aside = None, False
                self._kept = key, kept_index(header.search_choice, self._store.path).open(self._store)
                self._is_aside = self._kept[1] is None and lacks_index(self._store)
            index = self._kept[1]
            return self.current() if index is None else index

    def lay_aside(self) -> bool:
        """Returns whether a kept index was in use, which has turned out to be damaged; it is no longer."""
        with self.lock:
            if self._kept is None or self._kept[1] is None:
                return False
            self._kept, self._is_aside = (self._kept[0], None), True
            return True

    def notes(self) -> list[str]:
        """Returns a sentence where the search is exact as the kept index is damaged, or gone."""
        with self.lock:
            if self._kept is None or not self._is_aside:
                return []
        collection = shlex.quote(str(self._store.path))
        return [
            "the search index is damaged: searches are exact, and slower, until "
            f"`resight index PHOTOS --collection {collection}` makes it anew"
        ]

    def diffusion(self) -> Diffusion:
        """Returns the diffusion over the latest committed version; its graph is built once a version.

        Raises:
            CollectionNotFound: The collection has been deleted.
            CollectionDamaged: It cannot be read.
        """
        # Here, as scipy takes a quarter of a second to import.
        from resight.search.diffusion import Diffusion

        with self.lock:
            index = self.current()
            cached = self._diffusion
            if cached is None or cached[:2] != (self._identity, self._version):
                # The old graph goes before the new one is built: both at once would double the memory.
                self._diffusion = None
                cached = self._diffusion = (self._identity, self._version, Diffusion.of_index(index))
            return cached[2]

    def regions(self) -> RegionIndex | None:
        """Returns the parts of the photos, where the collection has any; read again after each change.

        Raises:
            CollectionDamaged: The table cannot be read.
        """
        from resight.collection.regions import RegionIndex, RegionStore

        with self.lock:
            # A glance at a folder that most collections do not have.
            files = tuple(RegionStore.marks(self._store))
            key = (self._identity, self._version, files)
            if not files:
                self._regions = None
            elif self._regions is None or self._regions[0] != key:
                self._regions = None
                self._regions = key, RegionIndex.load(self._store)
            return None if self._regions is None else self._regions[1]


def follow_rows(index: ExactIndex | ApproximateIndex, store: Store, version: int) -> int:
    """Takes the rows that were written since a version, drops those that went, and returns the version then.

    Raises:
        OSError: They cannot be read: call it inside `Store.read`. Nothing has been touched then.
        CollectionDamaged: A descriptor is damaged.
    """
    where = f"{SEARCHABLE} AND _row_last_updated_at_version > {version}"
    # Both lists of one version, and nothing touched before both are read.
    changed = list(store.scan(["descriptor"], where=where))
    present = list(store.scan([], where=SEARCHABLE))
    left = np.concatenate([np.empty(0, np.int64), *(_ids(batch) for batch in present)])
    rewritten = np.concatenate([np.empty(0, np.int64), *(_ids(batch) for batch in changed)])
    old = index.ids
    index.remove(np.union1d(np.setdiff1d(old, left), np.intersect1d(old, rewritten)))
    for batch in changed:
        _add(index, batch, store)
    return store.version


def _load(store: Store) -> tuple[ExactIndex, int]:
    index = ExactIndex(store.header.dim, fingerprint=store.header.fingerprint)
    for batch in store.scan(["descriptor"], where=SEARCHABLE):
        _add(index, batch, store)
    return index, store.version


def rows_of(batch: pa.RecordBatch) -> tuple[Int64[np.ndarray, " n"], Float16[np.ndarray, "n dim"]]:
    """Returns the ids and descriptors of a batch."""
    column = batch["descriptor"]
    descriptors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
    return _ids(batch), descriptors


def _add(index: ExactIndex | ApproximateIndex, batch: pa.RecordBatch, store: Store) -> None:
    try:
        index.add(*rows_of(batch))
    except InvalidInput as error:
        raise CollectionDamaged(
            f"the collection {store.path} holds a damaged descriptor ({error}): `resight check` says of "
            f"which photo; remove that photo and index it again"
        ) from None


def _ids(batch: pa.RecordBatch) -> Int64[np.ndarray, " n"]:
    return batch["_rowid"].to_numpy().astype(np.int64)
