"""Photos into a collection."""

from __future__ import annotations

from pathlib import Path

from resight.collection import Collection
from resight.errors import CollectionNotFound

__all__ = ["DEFAULT_MODEL", "open_or_create"]

DEFAULT_MODEL = "sift"
"""Model of a new collection by default."""


def open_or_create(path: Path, model: str | None = None) -> Collection:
    """Returns the collection at a path, a new one where there is none.

    Args:
        path: The collection's folder.
        model: Name or bundle of its model; by default its own, or `DEFAULT_MODEL` for a new one.

    Raises:
        ModelMismatch: The collection was made by another model.
        ModelError: The model cannot be loaded.
        CollectionError: The collection cannot be read.
    """
    try:
        return Collection.open(path, model=model)
    except CollectionNotFound:
        return Collection.create(path, model=model or DEFAULT_MODEL)
