"""The one writer of a collection: locked out others, cleared up behind a killed one, left sums behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from resight.collection.kept import follow_table
from resight.collection.place import writer_lock
from resight.collection.store import Store
from resight.files import ObjectPath
from resight.models.model import Model

__all__ = ["writing"]


@contextmanager
def writing(
    path: Path | ObjectPath, model: Model | None, *, timeout: float, removing: bool = False
) -> Iterator[Store]:
    """Holds the writer's lock around a store of its own, so that other threads go on searching.

    Args:
        path: Where the collection lies.
        model: Must be the one that made the collection, where it is loaded.
        timeout: Seconds to wait for another writer.
        removing: What takes room comes last, as a removal must do on a full disk.

    Raises:
        CollectionLocked: Another process is writing.
        ModelMismatch: The collection was made by another model.
        StorageFailed: The disk refuses a write.
    """
    with writer_lock(path, timeout=timeout) as lock:
        store = Store.open(path, lock=lock)
        if model is not None:
            store.header.require(model, path)
        store.clean()
        if removing:
            store.release_reserve()
        else:
            store.finish_forgetting()
            store.migrate()
        if store.header.place != str(path):
            store.write_header(replace(store.header, place=str(path), roots=store.roots.settled().stored))
        yield store
        store.migrate()
        store.sum_files()
        follow_table(store)
        store.sum_table()
        store.keep_reserve()
