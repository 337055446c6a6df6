"""Local features of some rows as they are compared; a damaged row costs its own check and no other."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Int64

from resight.collection.checksum import damaged_rows
from resight.collection.roots import Key
from resight.collection.store import Store
from resight.errors import CollectionDamaged, InvalidInput
from resight.features import LocalFeatures
from resight.models.codec import LocalCodec

__all__ = ["StoredLocal"]

LOCAL_ROWS = 64
"""Local features read from the disk at once: 13 MB at 200 kB a photo."""


@final
@dataclass(slots=True)
class StoredLocal:
    """Reads local features of a collection and remembers which rows are damaged.

    Attributes:
        store: Where they are.
        codec: Turns stored features into those that are compared.
        damaged: Why the features of a row cannot be used, by row id.
    """

    store: Store
    codec: LocalCodec
    damaged: dict[int, str] = field(default_factory=dict)

    def of(self, ids: Int64[np.ndarray, " n"]) -> list[LocalFeatures | None]:
        """Returns local features by row id, None where a row is gone, damaged or has none.

        Reads these rows alone, and once: every query photo is compared with the same answers.
        """
        features: dict[int, LocalFeatures] = {}
        for start in range(0, len(ids), LOCAL_ROWS):
            some = ids[start : start + LOCAL_ROWS]
            try:
                features |= self._read(some)
            except CollectionDamaged:
                # Lance reads all of them or none.
                for row in some.reshape(-1, 1):
                    try:
                        features |= self._read(row)
                    except CollectionDamaged as error:
                        self.damaged[int(row[0])] = str(error)
        return [features.get(row_id) for row_id in ids.tolist()]

    def notes(self) -> Iterator[str]:
        """Yields one sentence on all damaged rows, if there are any."""
        if not self.damaged:
            return
        row_id, reason = next(iter(self.damaged.items()))
        (row,) = self.store.rows(np.array([row_id]), ["root", "path"]).to_pylist() or [None]
        path = f"row {row_id}" if row is None else self.store.roots.path_of(Key(row["root"], row["path"]))
        collection = shlex.quote(str(self.store.path))
        many = f", as is that of {len(self.damaged) - 1} more, which `resight check {collection}` names"
        yield (
            f"what {self.store.path} holds of {path} is damaged ({reason})"
            f"{many if len(self.damaged) > 1 else ''}; geometry has not checked it: index it again with "
            f"`resight index {shlex.quote(str(path))} --collection {collection} --again`"
        )

    def _read(self, ids: Int64[np.ndarray, " n"]) -> dict[int, LocalFeatures]:
        features: dict[int, LocalFeatures] = {}
        table = self.store.whole_rows(ids)
        columns = (table[name] for name in ("_rowid", "local"))
        for row, data, is_damaged in zip(*columns, damaged_rows(table), strict=True):
            if is_damaged:
                self.damaged[row.as_py()] = "its checksum is another"
            elif data.is_valid:
                try:
                    stored = LocalFeatures.from_bytes(data.as_buffer().to_pybytes())
                except InvalidInput as error:
                    self.damaged[row.as_py()] = str(error)
                else:
                    features[row.as_py()] = self.codec.decode(stored)
        return features
