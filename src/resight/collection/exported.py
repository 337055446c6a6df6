"""What a collection holds of each photo, for files of other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from resight.collection.roots import Key
from resight.collection.schema import Value, metadata_names
from resight.collection.store import SEARCHABLE, Store
from resight.features import LocalFeatures

__all__ = ["Exported", "exported"]


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """Photos that can be searched, in the order of storage.

    Attributes:
        paths: Absolute.
        descriptors: float32 ``(photos, dim)``, unit length, as rounded to float16.
        local: Local features as they are stored; None where there are none, or were not asked for.
        metadata: The user's values; names without a value are left out.
    """

    paths: Sequence[str]
    descriptors: Float32[np.ndarray, "photos dim"]
    local: Sequence[LocalFeatures | None]
    metadata: Sequence[Mapping[str, Value]]


def exported(store: Store, *, with_local: bool) -> Exported:
    """Returns what a collection holds, from one version of its table.

    Raises:
        CollectionDamaged: It cannot be read.
        InvalidInput: Local features of a row are damaged.
    """
    names = metadata_names(store.schema)
    columns = ["root", "path", "descriptor", *names, *(["local"] if with_local else [])]
    table, roots = store.table(columns, where=SEARCHABLE), store.roots
    pairs = zip(table["root"].to_pylist(), table["path"].to_pylist(), strict=True)
    values = table["descriptor"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    stored = table["local"].to_pylist() if with_local else [None] * table.num_rows
    return Exported(
        [roots.path_of(Key(root, path)) for root, path in pairs],
        values.reshape(-1, store.header.dim).astype(np.float32),
        [None if data is None else LocalFeatures.from_bytes(data) for data in stored],
        [
            {name: value for name, value in row.items() if value is not None}
            for row in table.select(names).to_pylist()
        ]
        if names
        else [{}] * table.num_rows,
    )
