"""Photos into a collection, which is made where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.collection import Collection, IndexReport
from resight.collection.lock import LOCK_NAME, writer_lock
from resight.collection.reserve import RESERVE_NAME
from resight.collection.store import TABLE_NAME
from resight.collection.sums import SUMS_NAME
from resight.errors import CollectionNotFound
from resight.files import Progress, silent
from resight.images import MAX_PIXELS
from resight.pipelines.metadata import read_metadata

__all__ = ["DEFAULT_MODEL", "Indexed", "index_photos"]

DEFAULT_MODEL = "sift"
"""Model of a new collection by default."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What became of indexing.

    Attributes:
        collection: The collection; its folder is gone again where it was made for nothing.
        photos: Photos in it that can be searched.
        report: What was done.
    """

    collection: Collection
    photos: int
    report: IndexReport


def index_photos(
    path: Path,
    photos: Sequence[Path],
    *,
    model: str | None = None,
    metadata: Path | None = None,
    forget_missing: bool = False,
    again: bool = False,
    exclude: Sequence[str] = (),
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
) -> Indexed:
    """Returns what was done to bring a collection up to date with files and folders.

    A collection that is made for it is removed if nothing goes in; after Ctrl-C it stays.

    Args:
        path: The collection's folder.
        photos: Files and folders.
        model: Name or bundle of its model; by default its own, or `DEFAULT_MODEL` for a new one.
        metadata: A table of values to keep with photos, as `read_metadata` reads it.
        forget_missing: Whether photos that are no longer in the folders are removed.
        again: Whether every photo is read again, whatever its size and time say.
        exclude: Patterns of files and folders that are left out from now on.
        max_pixels: Most pixels of a photo that is decoded.
        progress: Called with photos done and photos in all.

    Raises:
        InvalidInput: A path is neither on the disk nor in the collection, or the metadata cannot be kept.
        ModelMismatch: The collection was made by another model.
        ModelError: The model cannot be loaded.
        CollectionError: The collection cannot be read or written.
    """
    values = read_metadata(metadata) if metadata is not None else None
    new_folders = [folder for folder in (path, *path.absolute().parents) if not folder.exists()]
    try:
        collection, is_new = Collection.open(path, model=model), False
    except CollectionNotFound:
        collection, is_new = Collection.create(path, model=model or DEFAULT_MODEL), True
    try:
        report = collection.add(
            photos,
            metadata=values,
            forget_missing=forget_missing,
            again=again,
            exclude=exclude,
            max_pixels=max_pixels,
            progress=progress,
        )
        return Indexed(collection, len(collection), report)
    except KeyboardInterrupt:
        # The same command goes on where this one stopped.
        is_new = False
        raise
    finally:
        if is_new and not len(collection) and not collection.info().broken:
            _remove_empty(collection.path, new_folders)


def _remove_empty(path: Path, new_folders: Sequence[Path]) -> None:
    """Removes a collection that holds nothing, and the folders that were made for it, inner ones first."""
    with writer_lock(path, timeout=0):
        shutil.rmtree(path / TABLE_NAME)
        for name in (SUMS_NAME, RESERVE_NAME):
            (path / name).unlink(missing_ok=True)
    (path / LOCK_NAME).unlink()
    for folder in new_folders:
        folder.rmdir()
