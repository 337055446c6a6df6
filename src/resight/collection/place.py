"""Where the files of a collection lie: a folder of this machine, or below an address of a bucket.

The table is Lance's in both. What is around it differs: a folder may hold links that lead elsewhere, its disk
may be full, and it has locks of the operating system; a store has whole objects and conditional writes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol, final

import lance
import pyarrow as pa

from resight.collection.lance_errors import asking, writing
from resight.collection.lease import leased
from resight.collection.leftovers import is_leftover, remove_leftovers, version_of
from resight.collection.lock import LOCK_NAME, folder_lock
from resight.collection.own_files import TABLE_NAME, make_room, require_own_files, require_plain_names
from resight.collection.readable_files import ReadableFiles
from resight.collection.reserve import RESERVE_NAME, keep_reserve, release_reserve
from resight.collection.scan import canonical, printable
from resight.collection.sums import SUMS_NAME, file_sum, require_sums, write_sums
from resight.errors import InvalidInput
from resight.files import ObjectPath, object_path, shown, typed_path
from resight.files.objects import CONNECT_SECONDS, RETRIES, RETRY_SECONDS

__all__ = ["Place", "WriterLock", "collection_path", "place_at", "writer_lock"]

_OWN_NAMES = frozenset({LOCK_NAME, RESERVE_NAME, SUMS_NAME, TABLE_NAME})

_NO_TABLE = re.compile("[\0-\x1f\x7f\ud800-\udfff]")

_OPTIONS = {
    "allow_http": "true",
    "client_max_retries": str(RETRIES),
    "client_retry_timeout": str(RETRY_SECONDS),
    "connect_timeout": f"{CONNECT_SECONDS}s",
}
"""Of Lance's own client."""


class WriterLock(Protocol):
    """The right to write, while it is held."""

    def confirm(self) -> None:
        """Returns if it is still held, after a commit.

        Raises:
            CollectionLocked: Another writer has taken over.
        """
        ...


class Place(Protocol):
    """What a collection needs of where it lies, around its table."""

    def make_room(self) -> None:
        """Makes what holds a new collection, or raises an error where there are other things."""
        ...

    def require_own(self) -> None:
        """Returns if nothing there leads elsewhere, else raises `CollectionDamaged`."""
        ...

    def has_table(self) -> bool:
        """Returns whether a table has been committed; one whose writer was killed before that is none."""
        ...

    def what_is_there(self) -> str:
        """Returns what is there where there is no collection, for a sentence."""
        ...

    def open_table(self) -> lance.LanceDataset:
        """Returns the table at its latest version, after comparing checksums."""
        ...

    def require_readable(self, names: Iterable[str]) -> None:
        """Returns if what the table's data files say of themselves can be understood."""
        ...

    def make_table(self, schema: pa.Schema) -> lance.LanceDataset:
        """Returns an empty table with some columns, committed."""
        ...

    def clean(self, lock: WriterLock | None) -> None:
        """Deletes what the latest version of the table does not need; hold the lock.

        Raises:
            CollectionLocked: Another writer has taken over the lock.
        """
        ...

    def sum_of(self, name: str) -> int | None:
        """Returns the CRC-32 of one of the table's data files; None where the store watches over them."""
        ...

    def keep_sums(self, dataset: lance.LanceDataset) -> None:
        """Writes the checksums of the files that a table is opened by."""
        ...

    def has_sums(self) -> bool:
        """Returns whether damage to these files would be noticed."""
        ...

    def keep_reserve(self) -> None:
        """Keeps room for a removal."""
        ...

    def release_reserve(self) -> None:
        """Frees it."""
        ...

    def size(self) -> int:
        """Returns the bytes of all files of the collection."""
        ...

    def remove_files(self) -> None:
        """Deletes a collection that holds nothing, but for the lock, which must be held."""
        ...

    def remove_lock(self) -> None:
        """Deletes the lock of a collection that is no more."""
        ...


@final
class _Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readable = ReadableFiles(path / TABLE_NAME / "data")

    def make_room(self) -> None:
        make_room(self._path, _OWN_NAMES)

    def require_own(self) -> None:
        require_own_files(self._path)

    def has_table(self) -> bool:
        return any((self._path / TABLE_NAME / "_versions").glob("*.manifest"))

    def what_is_there(self) -> str:
        if self._path.is_dir():
            return "it holds other things" if any(self._path.iterdir()) else "it is empty"
        if self._path.exists():
            return "it is a file" if self._path.is_file() else "it is no folder"
        return "there is no such folder"

    def open_table(self) -> lance.LanceDataset:
        require_sums(self._path)
        return lance.dataset(self._path / TABLE_NAME)

    def require_readable(self, names: Iterable[str]) -> None:
        self._readable.require(names)

    def make_table(self, schema: pa.Schema) -> lance.LanceDataset:
        return _made(str(self._path / TABLE_NAME), schema, None)

    def clean(self, lock: WriterLock | None) -> None:  # noqa: ARG002 (nobody takes over a lock of a folder)
        dataset = self.open_table()
        require_plain_names(
            self._path, [file for one in dataset.get_fragments() for file in one.metadata.files]
        )
        remove_leftovers(self._path / TABLE_NAME, dataset)

    def sum_of(self, name: str) -> int | None:
        return file_sum(self._path / TABLE_NAME / "data" / name)

    def keep_sums(self, dataset: lance.LanceDataset) -> None:
        lists = [fragment.deletion_file() for fragment in dataset.get_fragments()]
        names = [name for name in lists if name is not None]
        for manifest in (self._path / TABLE_NAME / "_versions").glob("*.manifest"):
            if version_of(manifest.name) == int(dataset.version):
                names.append(f"_versions/{manifest.name}")
        write_sums(self._path, [f"{TABLE_NAME}/{name}" for name in names])

    def has_sums(self) -> bool:
        return (self._path / SUMS_NAME).exists()

    def keep_reserve(self) -> None:
        keep_reserve(self._path)

    def release_reserve(self) -> None:
        release_reserve(self._path)

    def size(self) -> int:
        total = 0
        for folder, _, names in os.walk(self._path):
            for name in names:
                file = Path(folder, name)
                # A file may vanish meanwhile.
                total += file.stat().st_size if file.exists() else 0
        return total

    def remove_files(self) -> None:
        shutil.rmtree(self._path / TABLE_NAME)
        shutil.rmtree(self._path / "regions", ignore_errors=True)
        for name in (SUMS_NAME, RESERVE_NAME):
            (self._path / name).unlink(missing_ok=True)

    def remove_lock(self) -> None:
        (self._path / LOCK_NAME).unlink()


@final
class _Bucket:
    """Objects below an address; the store itself keeps checksums of them, and has no links."""

    def __init__(self, path: ObjectPath) -> None:
        self._path = path

    def make_room(self) -> None:
        with asking():
            foreign = {one.name for one in self._path.iterdir()} - _OWN_NAMES
        if not self._path.key or foreign:
            what = f"it holds other things ({min(foreign)})" if foreign else "it is a whole bucket"
            raise InvalidInput(
                f"cannot make a collection at {self._path}: {what}; name an address that nothing lies below, "
                f"such as s3://{self._path.bucket}/photos.resight"
            )

    def require_own(self) -> None:
        pass

    def has_table(self) -> bool:
        with asking():
            return any(one.name.endswith(".manifest") for one in (self._table / "_versions").iterdir())

    def what_is_there(self) -> str:
        with asking():
            return "other things are there" if any(self._path.iterdir()) else "nothing is there"

    def open_table(self) -> lance.LanceDataset:
        return lance.dataset(str(self._table), storage_options=_OPTIONS)

    def require_readable(self, names: Iterable[str]) -> None:
        pass

    def make_table(self, schema: pa.Schema) -> lance.LanceDataset:
        return _made(str(self._table), schema, _OPTIONS)

    def clean(self, lock: WriterLock | None) -> None:
        # Lance compares a commit with the versions that there still are: one of them must be the fence.
        _fence(self.open_table())
        dataset = self.open_table()
        dataset.cleanup_old_versions(older_than=timedelta(0), delete_unverified=False)
        if lock is None:
            return
        is_one = is_leftover(dataset)
        leftovers = [
            one
            for one, _ in self._table.below()
            if one.parent.parent == self._table and is_one(one.parent.name, one.name)
        ]
        # Who still holds the lock now has listed nothing of a later writer's; and what an earlier one has
        # written, but not committed, the fence keeps out for ever.
        lock.confirm()
        for one in leftovers:
            one.unlink(missing_ok=True)

    def sum_of(self, name: str) -> int | None:  # noqa: ARG002 (the contract's)
        return None

    def keep_sums(self, dataset: lance.LanceDataset) -> None:
        pass

    def has_sums(self) -> bool:
        return True

    def keep_reserve(self) -> None:
        pass

    def release_reserve(self) -> None:
        pass

    def size(self) -> int:
        with asking():
            return sum(status.size for _, status in self._path.below())

    def remove_files(self) -> None:
        with asking():
            for one, _ in self._path.below():
                if one.name != LOCK_NAME:
                    one.unlink(missing_ok=True)

    def remove_lock(self) -> None:
        with asking():
            (self._path / LOCK_NAME).unlink(missing_ok=True)

    @property
    def _table(self) -> ObjectPath:
        return self._path / TABLE_NAME


def place_at(path: Path | ObjectPath) -> Place:
    """Returns what a collection needs of where it lies."""
    return _Bucket(path) if isinstance(path, ObjectPath) else _Folder(path)


def collection_path(path: str | os.PathLike[str] | ObjectPath) -> Path | ObjectPath:
    """Returns the one absolute spelling of where a collection lies: a folder, or ``s3://bucket/key``.

    Raises:
        InvalidInput: It can be neither, or no table can be kept in a folder of that name.
        MissingExtra: The extra ``s3`` is not installed.
        StorageFailed: There are no credentials.
    """
    if isinstance(path, ObjectPath):
        return path
    with asking():
        address = object_path(path) if isinstance(path, str | os.PathLike) else None
    if address is not None:
        return address
    folder = canonical(typed_path(path))
    # Lance's paths are text without control characters.
    if _NO_TABLE.search(folder):
        raise InvalidInput(
            f"there can be no collection at {shown(printable(folder))}: its name, or that of a folder above "
            "it, holds a control character or bytes that are no text; name another folder"
        )
    return Path(folder)


@contextmanager
def writer_lock(path: Path | ObjectPath, *, timeout: float) -> Iterator[WriterLock]:
    """Holds the right to write to a collection: `folder_lock`, or in a bucket `leased`.

    Raises:
        CollectionLocked: Another process is writing.
        CollectionDamaged: The lock of a folder is a link, a pipe, a socket, a device or a folder.
        StorageFailed: The disk or the store refuses it.
    """
    if isinstance(path, Path):
        with folder_lock(path, timeout=timeout):
            yield _HeldByTheSystem()
        return
    with leased(path / LOCK_NAME, timeout=timeout) as (lease, was_held):
        if was_held and place_at(path).has_table():
            with writing(path):
                _fence(place_at(path).open_table())
        yield lease


@final
class _HeldByTheSystem:
    """A lock that nobody can take from a living process."""

    def confirm(self) -> None:
        """Returns."""


def _fence(dataset: lance.LanceDataset) -> None:
    """Commits the latest version of the table once more, as a restored one.

    What a writer has begun before can no longer be committed: Lance lets nothing pass a restoration. What was
    committed while that went on is restored in turn.
    """
    latest = int(dataset.version)
    while True:
        dataset.restore()  # type: ignore[no-untyped-call]
        restored = int(dataset.version)
        if restored == latest + 1:
            return
        dataset, latest = dataset.checkout_version(restored - 1), restored


def _made(uri: str, schema: pa.Schema, options: dict[str, str] | None) -> lance.LanceDataset:
    return lance.write_dataset(
        schema.empty_table(), uri, schema=schema, enable_stable_row_ids=True, storage_options=options
    )
