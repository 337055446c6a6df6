"""The groups of a collection: looks at what is new, and builds groups of all that is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from resight.collection.groups.building import build_groups
from resight.collection.groups.edges import EdgeStore, GroupConfig, Looked
from resight.collection.groups.finding import look, waiting
from resight.collection.groups.pictures import Photo, photos_of
from resight.collection.groups.values import GroupKind, Groups, KeepRule, check_words
from resight.collection.resident import ResidentIndex
from resight.collection.store import Store
from resight.files import Progress
from resight.models.model import Model

__all__ = ["edges_of", "find_groups", "known_groups"]

CONFIG = GroupConfig()


def edges_of(store: Store) -> EdgeStore:
    """Returns where a collection keeps what is known of its pairs."""
    return EdgeStore(store.path, store.header.fingerprint, CONFIG)


def find_groups(
    store: Store,
    resident: ResidentIndex,
    load_model: Callable[[], Model],
    *,
    of: GroupKind,
    keep: KeepRule,
    progress: Progress,
    lock_timeout: float,
) -> Groups:
    """Returns the groups of a kind; `resight.Collection.groups` explains the arguments and errors."""
    check_words(of, keep)
    started = time.perf_counter()
    store.refresh()
    edges = edges_of(store)
    looked = look(store, resident, load_model(), edges, CONFIG, progress, lock_timeout=lock_timeout)
    return _built(store, looked, of, keep, started, left=0)


def known_groups(store: Store, *, of: GroupKind, keep: KeepRule) -> Groups | None:
    """Returns the groups of a kind as far as photos have been compared; None where none have.

    Raises:
        InvalidInput: A word is not known.
        CollectionError: The collection is gone or cannot be read.
    """
    check_words(of, keep)
    started = time.perf_counter()
    store.refresh()
    edges = edges_of(store)
    if not edges.exists:
        return None
    _, looked, new = waiting(store, edges)
    return _built(store, looked, of, keep, started, left=len(new))


def _built(
    store: Store,
    looked: Mapping[bytes, Looked],
    of: GroupKind,
    keep: KeepRule,
    started: float,
    *,
    left: int,
) -> Groups:
    photos = photos_of(store)
    taken: dict[int, str] = {}
    if "taken" in store.schema.names:
        table = store.table(["taken"], where="taken IS NOT NULL")
        taken = {row["_rowid"]: str(row["taken"]) for row in table.to_pylist()}
    groups = build_groups(photos, looked, store.roots, taken, of=of, keep=keep)
    notes = [*store.roots.notes(), *_without_features(photos, looked), *_not_compared(looked)]
    return Groups(groups, len(photos), time.perf_counter() - started, tuple(notes), left)


def _without_features(photos: Sequence[Photo], looked: Mapping[bytes, Looked]) -> list[str]:
    """Returns a sentence where photos have no local features, as their descriptors were made elsewhere."""
    without = sum(photo.hash in looked and not looked[photo.hash].has_local for photo in photos)
    if not without:
        return []
    return [
        f"{without:,} of {len(photos):,} photos have no local features, by which photos are compared, and "
        "are in no group: index them without --from"
    ]


def _not_compared(looked: Mapping[bytes, Looked]) -> list[str]:
    """Returns a sentence where pixels could not be compared, as a file was not there or was another."""
    edges = [edge for one in looked.values() for edge in one.edges if edge.second in looked]
    pairs = sum(bool(np.isnan(edge.agreement)) for edge in edges)
    if not pairs:
        return []
    return [
        f"of {pairs:,} of {len(edges):,} pairs the pixels could not be compared: a file is not there, or has "
        "changed since it was indexed; index its folder anew"
    ]
