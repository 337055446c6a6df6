"""The searchable descriptors of a collection in memory, following the table."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, final

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from resight.collection.store import Store
from resight.errors import CollectionDamaged, InvalidInput
from resight.search.exact import ExactIndex

if TYPE_CHECKING:
    from resight.collection.regions import RegionIndex
    from resight.search.diffusion import Diffusion

__all__ = ["ResidentIndex"]

_SEARCHABLE = "broken IS NULL"


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
        self._diffusion: tuple[str, int, Diffusion] | None = None
        self._regions: tuple[tuple[str, int, tuple[str, ...]], RegionIndex | None] | None = None

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
                self._version = self._follow(index)
            self._index, self._identity = index, self._store.header.identity
            return index

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
            files = tuple(RegionStore.names(self._store))
            key = (self._identity, self._version, files)
            if not files:
                self._regions = None
            elif self._regions is None or self._regions[0] != key:
                self._regions = None
                self._regions = key, RegionIndex.load(self._store)
            return None if self._regions is None else self._regions[1]

    def _follow(self, index: ExactIndex) -> int:
        """Takes the rows that were written since, drops those that went, and returns the version then."""
        where = f"{_SEARCHABLE} AND _row_last_updated_at_version > {self._version}"

        def read(store: Store) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch], int]:
            return (
                list(store.scan(["descriptor"], where=where)),
                list(store.scan([], where=_SEARCHABLE)),
                store.version,
            )

        # Both lists of one version, and nothing touched before both are read.
        changed, present, version = self._store.read(read)
        left = np.concatenate([np.empty(0, np.int64), *(_ids(batch) for batch in present)])
        rewritten = np.concatenate([np.empty(0, np.int64), *(_ids(batch) for batch in changed)])
        old = index.ids
        index.remove(np.union1d(np.setdiff1d(old, left), np.intersect1d(old, rewritten)))
        for batch in changed:
            _add(index, batch, self._store)
        return version


def _load(store: Store) -> tuple[ExactIndex, int]:
    index = ExactIndex(store.header.dim, fingerprint=store.header.fingerprint)
    for batch in store.scan(["descriptor"], where=_SEARCHABLE):
        _add(index, batch, store)
    return index, store.version


def _add(index: ExactIndex, batch: pa.RecordBatch, store: Store) -> None:
    column = batch["descriptor"]
    descriptors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
    try:
        index.add(_ids(batch), descriptors)
    except InvalidInput as error:
        raise CollectionDamaged(
            f"the collection {store.path} holds a damaged descriptor ({error}): `resight check` says of "
            f"which photo; remove that photo and index it again"
        ) from None


def _ids(batch: pa.RecordBatch) -> Int64[np.ndarray, " n"]:
    return batch["_rowid"].to_numpy().astype(np.int64)
