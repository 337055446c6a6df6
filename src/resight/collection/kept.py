"""The search index that a collection keeps beside its table, by the choice in its header."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol, final

import numpy as np

from resight.collection.store import Store
from resight.errors import InvalidInput
from resight.files import ObjectPath, Progress, silent
from resight.search.approximate.measuring import median_milliseconds
from resight.search.index import SearchChoice, SearchFigures, SearchIndex

__all__ = [
    "ExactKept",
    "KeptIndex",
    "choose_index",
    "figures_of",
    "follow_table",
    "kept_index",
    "lacks_index",
    "require_keepable",
]

_TIMED = 32
"""Searches that are timed."""


class KeptIndex(Protocol):
    """Makes an index from the table and follows the table's changes.

    Who calls a method that writes holds the writer's lock. Killed at any moment, what is left behind is the
    index of a version of the table, which it knows, or none.
    """

    def build(self, store: Store, progress: Progress) -> SearchFigures:
        """Makes the index anew from the latest version, measures it, and returns what was measured.

        Raises:
            CollectionError: The table cannot be read, or the index not written.
            InvalidInput: The choice cannot be met, such as an address where no server answers.
        """
        ...

    def update(self, store: Store) -> SearchFigures | None:
        """Brings the index to the latest version of the table, after photos were added, changed or removed.

        Returns new figures where the index was measured anew, else None.

        Raises:
            CollectionError: The table cannot be read, or the index not written.
        """
        ...

    def stamp(self, store: Store) -> None:
        """Notes that the index is that of the latest version: no photo has changed since `build` or `update`.

        Raises:
            CollectionError: It cannot be noted.
        """
        ...

    def open(self, store: Store) -> SearchIndex | None:
        """Returns the index at the version that the store reads; None where the exact scan shall be used.

        An index that is damaged, of another collection or of an older version is never used as it is.

        Raises:
            CollectionError: The index cannot be reached.
        """
        ...

    def differences(self, store: Store) -> list[str]:
        """Returns what of the index is damaged, or differs from the table, one sentence each.

        Raises:
            CollectionError: The table cannot be read, or the index not be reached.
        """
        ...

    def remove(self, store: Store) -> None:
        """Removes all that was kept, as another kind of index is chosen.

        Raises:
            CollectionError: It cannot be removed.
        """
        ...


@final
class ExactKept:
    """Nothing is kept: the resident index reads the table."""

    def build(self, store: Store, progress: Progress) -> SearchFigures:
        """Returns what an exact search takes."""
        from resight.collection.resident import ResidentIndex

        index = ResidentIndex(store).current()
        spread = np.linspace(0, len(index) - 1, min(_TIMED, len(index))).astype(np.int64)
        queries = index.descriptors(index.ids[spread])
        milliseconds = median_milliseconds(index, queries) if len(queries) else None
        progress(1, 1)
        return SearchFigures("exact", 1.0, milliseconds, exact_bytes(store, len(index)))

    def update(self, store: Store) -> SearchFigures | None:  # noqa: ARG002 (the contract's)
        """Returns None: nothing is to be done."""
        return None

    def stamp(self, store: Store) -> None:
        """Does nothing."""

    def open(self, store: Store) -> SearchIndex | None:  # noqa: ARG002 (the contract's)
        """Returns None: the exact scan is used."""
        return None

    def differences(self, store: Store) -> list[str]:  # noqa: ARG002 (the contract's)
        """Returns nothing: the table is what is searched."""
        return []

    def remove(self, store: Store) -> None:
        """Does nothing."""


def kept_index(choice: SearchChoice, collection: Path | ObjectPath) -> KeptIndex:
    """Returns what keeps an index of the chosen kind; in a bucket, none that would be mapped from a disk.

    Raises:
        InvalidInput: No server can be at the address.
        MissingExtra: The extra that it needs is not installed.
    """
    if choice.kind == "milvus":
        from resight.collection.kept_milvus import MilvusKept

        return MilvusKept(choice)
    if choice.kind == "auto" and isinstance(collection, Path):
        from resight.collection.kept_approximate import ApproximateKept

        return ApproximateKept(choice)
    return ExactKept()


def require_keepable(choice: SearchChoice, collection: Path | ObjectPath) -> None:
    """Returns if an index of the chosen kind can be kept where a collection lies.

    Raises:
        InvalidInput: It cannot, or no server can be at the address.
        MissingExtra: The extra that it needs is not installed.
    """
    kept_index(choice, collection)
    if choice.kind == "auto" and isinstance(collection, ObjectPath):
        raise InvalidInput(
            f"an approximate index is mapped into memory from a disk, and {collection} lies in a bucket: "
            "choose exact or milvus+URI, or keep the collection on a disk"
        )


def lacks_index(store: Store) -> bool:
    """Returns whether an approximate index has been built, and what there is of it now cannot be used."""
    header = store.header
    measured = header.search_figures
    if header.search_choice.kind != "auto" or measured is None or measured.kind == "exact":
        return False
    from resight.collection.kept_approximate import is_usable

    return not is_usable(store)


def choose_index(store: Store, choice: SearchChoice, progress: Progress = silent) -> SearchFigures:
    """Returns the figures of the index that a collection is searched by from now on; hold the writer's lock.

    Raises:
        InvalidInput: The choice cannot be met.
        CollectionError: The table cannot be read, or the index not written.
    """
    require_keepable(choice, store.path)
    before = store.header.search_choice
    figures = kept_index(choice, store.path).build(store, progress)
    store.write_header(replace(store.header, search_choice=choice, search_figures=figures))
    # Only now: a choice that cannot be met leaves what there was.
    if (before.kind, before.address) != (choice.kind, choice.address):
        kept_index(before, store.path).remove(store)
    return figures


def follow_table(store: Store) -> None:
    """Brings what is kept to the latest version, at the end of whatever a writer does.

    Raises:
        CollectionError: The index cannot be written, or not be reached.
    """
    if store.header.search_figures is None:
        return
    kept = kept_index(store.header.search_choice, store.path)
    figures = kept.update(store)
    if figures is not None:
        store.write_header(replace(store.header, search_figures=figures))
    kept.stamp(store)


def figures_of(store: Store, photos: int) -> SearchFigures:
    """Returns the figures of a collection's search: measured ones, or what an exact search holds."""
    measured = store.header.search_figures
    if measured is None:
        return SearchFigures("exact", 1.0, None, exact_bytes(store, photos))
    return replace(measured, bytes=exact_bytes(store, photos)) if measured.kind == "exact" else measured


def exact_bytes(store: Store, photos: int) -> int:
    """Returns what the descriptors, as halves, and the ids of photos take."""
    return photos * (2 * store.header.dim + 8)
