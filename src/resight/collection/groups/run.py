"""The groups of a collection: looks at what is new, and builds groups of all that is known."""

from __future__ import annotations

import time
from collections.abc import Callable

from resight.collection.groups.building import build_groups
from resight.collection.groups.edges import EdgeStore, GroupConfig
from resight.collection.groups.finding import look, photos_of
from resight.collection.groups.values import GroupKind, Groups, KeepRule, check_words
from resight.collection.resident import ResidentIndex
from resight.collection.store import Store
from resight.files import Progress
from resight.models.model import Model

__all__ = ["find_groups"]


def find_groups(
    store: Store,
    resident: ResidentIndex,
    load_model: Callable[[], Model],
    *,
    of: GroupKind,
    keep: KeepRule,
    progress: Progress,
    lock_timeout: float,
    config: GroupConfig | None = None,
) -> Groups:
    """Returns the groups of a kind; `resight.Collection.groups` explains the arguments and errors."""
    check_words(of, keep)
    started = time.perf_counter()
    store.refresh()
    settings = config or GroupConfig()
    edges = EdgeStore(store.path, store.header.fingerprint, settings)
    looked = look(store, resident, load_model(), edges, settings, progress, lock_timeout=lock_timeout)
    photos = photos_of(store)
    taken: dict[int, str] = {}
    if "taken" in store.schema.names:
        table = store.table(["taken"], where="taken IS NOT NULL")
        taken = {row["_rowid"]: str(row["taken"]) for row in table.to_pylist()}
    groups = build_groups(photos, looked, store.roots, taken, of=of, keep=keep)
    notes = store.roots.notes()
    return Groups(groups, len(photos), time.perf_counter() - started, tuple(notes))
