"""The table of a collection on disk: rows in, rows out, its header, its housekeeping. Alone knows Lance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, final

import lance
import numpy as np
import pyarrow as pa
from jaxtyping import Int64
from lance.fragment import DataFile

from resight.collection.checksum import CHECKSUM, row_checksums
from resight.collection.header import FORMAT, Header
from resight.collection.lance_errors import reading, reason, vanished, writing
from resight.collection.own_files import TABLE_NAME, require_plain_names
from resight.collection.place import Place, WriterLock, place_at, writer_lock
from resight.collection.roots import Roots, Sample
from resight.collection.schema import KEY_COLUMNS, photo_schema
from resight.errors import CollectionNotFound, InvalidInput
from resight.files import ObjectPath

__all__ = ["SEARCHABLE", "Store"]

SEARCHABLE = "broken IS NULL"
"""Condition of the rows that a search sees."""

ROWS_PER_FRAGMENT = 4096
"""Compaction fills fragments up to this: at 200 kB a photo 800 MB, so that rewriting one stays affordable."""

LOOSE_FRAGMENTS = 16
"""Fragments that are not full, from which compaction is worth its writing."""

DELETED_SHARE = 0.1
"""Of a fragment's rows, from which it is rewritten without its deleted ones."""

SCAN_ROWS = 8192
COMPACTION_ROWS = 256
"""Rows held at once while rewriting: at 200 kB a photo 50 MB; Lance's own 8192 would be 1.6 GB."""

_SAMPLES = 16

_Result = TypeVar("_Result")


@final
class Store:
    """A collection's table at one version, and the header of that version, in a folder or in a bucket.

    Reading never waits: it sees the version of the last `refresh`. A writer may clean that version away
    meanwhile; then a read moves on to the latest one by itself. Row ids stay the same through all that.
    Everything that writes must be done while holding the writer's lock, which is given.
    """

    def __init__(
        self, path: Path | ObjectPath, dataset: lance.LanceDataset, lock: WriterLock | None = None
    ) -> None:
        self.path = path
        self._place = place_at(path)
        self._dataset = dataset
        self._is_readable = False
        self._lock = lock
        self.header = Header.from_metadata(dataset.schema.metadata, path)

    @classmethod
    def create(cls, path: Path | ObjectPath, header: Header, *, timeout: float = 0.0) -> Store:
        """Returns the store of a new collection, committed; waits some seconds for another writer.

        Raises:
            InvalidInput: There is a collection already, a folder of other things, or a file.
            CollectionDamaged: The folder holds a link, a pipe, a socket or a device.
            CollectionLocked: Another process is making it.
            StorageFailed: The disk refuses it.
        """
        place = place_at(path)
        # Before there is a lock in a folder of other things.
        place.make_room()
        with writer_lock(path, timeout=timeout) as lock:
            if place.has_table():
                raise InvalidInput(
                    f"there is a collection at {path} already: open it, or name another folder"
                )
            with writing(path):
                dataset = place.make_table(photo_schema(header.dim).with_metadata(header.to_metadata()))
            lock.confirm()
        return cls(path, dataset)

    @classmethod
    def open(cls, path: Path | ObjectPath, *, lock: WriterLock | None = None) -> Store:
        """Returns the store of an existing collection at its latest version.

        Args:
            path: Where the collection lies.
            lock: What its writer holds; without it, nothing may be written.

        Raises:
            CollectionNotFound: There is none.
            CollectionDamaged: It was written by a newer version, cannot be understood, or holds anything but
                files and folders of its own.
            StorageFailed: It lies in a bucket whose store does not answer, or refuses.
        """
        place = place_at(path)
        if not place.has_table():
            what = place.what_is_there()
            if path.name == TABLE_NAME and place_at(path.parent).has_table():
                what = f"it is the table of the collection {path.parent}, which is to be named itself"
            raise CollectionNotFound(
                f"there is no collection at {path}: {what}; `resight index PHOTOS --collection DIR` makes one"
            )
        reading(path, place.require_own, lambda: None)
        return cls(path, reading(path, lambda: _opened(path, place), lambda: None), lock)

    @property
    def version(self) -> int:
        """Version of the table that is read, larger after each commit."""
        return int(self._dataset.version)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the table at this version, the user's included."""
        return self._dataset.schema

    @property
    def roots(self) -> Roots:
        """Folders the photos lie in, at this version."""
        header, samples = self.header, {}
        if header.roots and header.place not in ("", str(self.path)):
            # It has been moved, or came from elsewhere, and has not been written since.
            samples = self.read(_samples)
        return Roots(header.roots, self.path, place=header.place, identity=header.identity, samples=samples)

    def refresh(self) -> bool:
        """Returns whether a writer has committed since, after moving on to the latest version.

        Raises:
            CollectionNotFound: The collection has been deleted.
            CollectionDamaged: It cannot be read.
        """
        if not self._place.has_table():
            raise CollectionNotFound(f"the collection at {self.path} has been deleted")
        latest = reading(self.path, lambda: int(self._dataset.latest_version), lambda: None)
        if latest == self.version:
            return False
        self._reopen()
        return True

    def scan(
        self,
        columns: Sequence[str],
        *,
        where: str | None = None,
        batch_rows: int = SCAN_ROWS,
        limit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yields rows with their ids (column ``_rowid``) in batches, in the order of storage.

        Raises:
            OSError: They cannot be read, perhaps as a writer cleaned up meanwhile: call it inside `read`,
                which starts again.
        """
        yield from self._rows.scanner(
            columns=list(columns), filter=where, with_row_id=True, batch_size=batch_rows, limit=limit
        ).to_batches()

    def read(self, reader: Callable[[Store], _Result]) -> _Result:
        """Returns what a function reads from this store; again from the latest version where this one went.

        Raises:
            CollectionDamaged: The table cannot be read.
        """
        return reading(self.path, lambda: reader(self), self._reopen)

    def table(self, columns: Sequence[str], *, where: str | None = None) -> pa.Table:
        """Returns columns of all rows, or of those a filter of our own takes, with their ids (``_rowid``)."""
        return self.read(
            lambda store: store._rows.to_table(columns=list(columns), filter=where, with_row_id=True)
        )

    def count(self) -> int:
        """Returns the number of rows, broken photos included."""
        return self.read(lambda store: int(store._dataset.count_rows()))

    def count_searchable(self) -> int:
        """Returns the number of photos that can be searched."""
        return self.table([], where=SEARCHABLE).num_rows

    def ids_where(self, where: str) -> Int64[np.ndarray, " n"]:
        """Returns the ids of the searchable rows that a user's SQL condition takes.

        Raises:
            InvalidInput: The condition cannot be understood.
        """
        from resight.collection.filters import filter_columns, table_condition

        def read(store: Store) -> pa.Table:
            condition = table_condition(where, store.schema)
            try:
                return store._rows.to_table(
                    columns=[], filter=f"{condition} AND {SEARCHABLE}", with_row_id=True
                )
            except (OSError, ValueError) as error:
                if vanished(error):
                    raise
                raise InvalidInput(
                    f"the filter {where!r} cannot be computed ({reason(error)}): write an SQL condition "
                    f"on {', '.join(filter_columns(store.schema))}"
                ) from None

        return self.read(read)["_rowid"].to_numpy().astype(np.int64)

    def rows(self, ids: Int64[np.ndarray, " n"], columns: Sequence[str]) -> pa.Table:
        """Returns columns of some rows with their ids; rows that are gone are left out, the order is open."""
        if not len(ids):
            return self.table(columns, where="false")
        return self.table(columns, where=f"_rowid IN ({','.join(map(str, ids.tolist()))})")

    def whole_rows(self, ids: Int64[np.ndarray, " n"]) -> pa.Table:
        """Returns some rows with all their columns and ids, as `damaged_rows` takes them."""
        return self.rows(ids, self.schema.names)

    def upsert(self, rows: pa.Table) -> None:
        """Commits rows: those of a known key change in the given columns and keep their id, others are new.

        Raises:
            StorageFailed: The disk refuses it; nothing of these rows is stored then.
        """
        with self._committing():
            merge = self._rows.merge_insert(list(KEY_COLUMNS))
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def forget(self, ids: Int64[np.ndarray, " n"]) -> None:
        """Takes rows out of every later read at once, then their bytes off the disk.

        Killed in between, the header still says so, and the next writer finishes by `finish_forgetting`.

        Raises:
            StorageFailed: The disk refuses it.
        """
        if len(ids):
            self.write_header(replace(self.header, purging=True))
            self.drop(ids)
            self.finish_forgetting()

    def drop(self, ids: Int64[np.ndarray, " n"]) -> None:
        """Takes rows out of every later read; their bytes leave the disk when `compact` rewrites them.

        Raises:
            StorageFailed: The disk refuses it.
        """
        if len(ids):
            with self._committing():
                self._rows.delete(f"_rowid IN ({','.join(map(str, ids.tolist()))})")

    def finish_forgetting(self) -> None:
        """Takes the bytes of deleted rows off the disk, if a removal has begun.

        Raises:
            StorageFailed: The disk refuses it.
        """
        if self.header.purging:
            # Fragments without a row left go first: that is room on a full disk.
            self.clean()
            self.compact(purge=True)
            self.clean()
            self.write_header(replace(self.header, purging=False))

    def migrate(self) -> None:
        """Brings an older format up to date; no photo is described for it.

        Raises:
            StorageFailed: The disk refuses it; the collection stays in its format.
        """
        if self.header.format >= FORMAT:
            return
        kind = pa.schema([pa.field(CHECKSUM, pa.uint32())])

        @lance.batch_udf(output_schema=kind)
        def checksums(rows: pa.RecordBatch) -> pa.RecordBatch:
            return pa.RecordBatch.from_arrays([row_checksums(rows)], schema=kind)

        with self._committing():
            if CHECKSUM in self.schema.names:
                # Of a migration that was killed; others may have written rows since.
                self._rows.drop_columns([CHECKSUM])
            self._rows.add_columns(
                checksums, read_columns=list(self.schema.names), batch_size=COMPACTION_ROWS
            )
        self.write_header(replace(self.header, format=FORMAT))

    def drop_unused_roots(self) -> None:
        """Commits the roots without those that no photo lies in.

        Raises:
            StorageFailed: The disk refuses it.
        """
        used = set(self.table(["root"])["root"].to_pylist())
        self.write_header(replace(self.header, roots=self.roots.among(used).stored))

    def sum_files(self) -> None:
        """Commits the checksums of the data files that have none yet, where they lie on a disk.

        Raises:
            StorageFailed: The disk refuses it.
        """
        sums = dict(self.header.files)
        files = {name: sums[name] if name in sums else self.sum_of(name) for name in self.files()}
        known = tuple((name, checksum) for name, checksum in files.items() if checksum is not None)
        self.write_header(replace(self.header, files=known))

    def sum_table(self) -> None:
        """Writes the checksums of the files that the table is opened by; without them nothing is compared.

        Raises:
            StorageFailed: The disk refuses it.
        """
        with writing(self.path):
            self._place.keep_sums(self._dataset)

    def has_sums(self) -> bool:
        """Returns whether there are such checksums."""
        return self._place.has_sums()

    def files(self) -> list[str]:
        """Returns the names of the data files of this version, sorted."""
        fragments = self._dataset.get_fragments()
        return sorted(str(file.path) for fragment in fragments for file in fragment.metadata.files)

    def sum_of(self, name: str) -> int | None:
        """Returns the CRC-32 of one of `files`; None where the store watches over them.

        Raises:
            OSError: It cannot be read.
        """
        return self._place.sum_of(name)

    def size(self) -> int:
        """Returns the bytes of all files of the collection."""
        return self._place.size()

    def add_columns(self, columns: Sequence[pa.Field]) -> None:
        """Commits columns of the user, empty in every row.

        Raises:
            StorageFailed: The disk refuses it.
        """
        if columns:
            with self._committing():
                self._rows.add_columns(pa.schema(list(columns)))

    def write_header(self, header: Header) -> None:
        """Commits another header.

        Raises:
            StorageFailed: The disk refuses it.
        """
        if header != self.header:
            with self._committing():
                self._dataset.update_schema_metadata(header.to_metadata())
            self.header = header

    def compact(self, *, purge: bool = False) -> None:
        """Rewrites fragments where it pays: many small ones, or one of whose rows a tenth is deleted.

        Args:
            purge: Rewrite everything that still holds bytes of deleted rows.

        Raises:
            StorageFailed: The disk refuses it; no row is lost.
        """
        counts = [
            (fragment.count_rows(), fragment.num_deletions) for fragment in self._dataset.get_fragments()
        ]
        loose = sum(rows < ROWS_PER_FRAGMENT for rows, _ in counts)
        deleted = max((gone / (rows + gone) for rows, gone in counts if gone), default=0.0)
        if loose > LOOSE_FRAGMENTS or deleted > DELETED_SHARE or (purge and deleted):
            with self._committing():
                self._rows.optimize.compact_files(
                    target_rows_per_fragment=ROWS_PER_FRAGMENT,
                    materialize_deletions_threshold=0.0 if purge else DELETED_SHARE,
                    batch_size=COMPACTION_ROWS,
                )

    def clean(self) -> None:
        """Deletes old versions and the files that killed writers left behind.

        Raises:
            StorageFailed: The disk refuses it; no row is lost.
        """
        with self._committing():
            self._place.clean(self._lock)
        # In a bucket that is a commit.
        self.refresh()

    def release_reserve(self) -> None:
        """Frees the room that is kept for a removal.

        Raises:
            StorageFailed: The disk refuses it.
        """
        with writing(self.path):
            self._place.release_reserve()

    def keep_reserve(self) -> None:
        """Keeps room for a removal, where the disk has any."""
        self._place.keep_reserve()

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Turns what the disk refuses into `StorageFailed`; says so where another writer has taken over."""
        if self._lock is not None:
            self._lock.confirm()
        try:
            with writing(self.path):
                yield
        finally:
            if self._lock is not None:
                self._lock.confirm()

    @property
    def _rows(self) -> lance.LanceDataset:
        """The table, to be scanned: its data files can be opened."""
        if not self._is_readable:
            self._place.require_readable(str(file.path) for file in _files(self._dataset))
            self._is_readable = True
        return self._dataset

    def _reopen(self) -> None:
        self._dataset, self._is_readable = _opened(self.path, self._place), False
        self.header = Header.from_metadata(self._dataset.schema.metadata, self.path)


def _samples(store: Store) -> dict[int, list[Sample]]:
    """Returns some photos of each root."""
    return {
        root.number: [
            (row["path"], row["file_size"])
            for batch in store.scan(["path", "file_size"], where=f"root = {root.number}", limit=_SAMPLES)
            for row in batch.to_pylist()
        ]
        for root in store.header.roots
    }


def _opened(path: Path | ObjectPath, place: Place) -> lance.LanceDataset:
    dataset = place.open_table()
    # Lance makes it only now, and may stop over it, which `reading` turns into words.
    _ = dataset.schema
    require_plain_names(path, _files(dataset))
    return dataset


def _files(dataset: lance.LanceDataset) -> list[DataFile]:
    return [file for fragment in dataset.get_fragments() for file in fragment.metadata.files]
