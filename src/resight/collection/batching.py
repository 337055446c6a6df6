"""Rows collected on their way to the table, and committed a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, final

import numpy as np
import pyarrow as pa

from resight.collection.checksum import CHECKSUM, damaged_rows, row_checksums
from resight.collection.roots import Key
from resight.collection.schema import (
    KEY_COLUMNS,
    OWN_COLUMNS,
    Row,
    Value,
    capture_columns,
    metadata_names,
    rows_table,
)
from resight.collection.store import Store
from resight.features import LocalFeatures
from resight.images import Capture
from resight.images.content import Content

__all__ = ["Batching"]

COMMIT_PHOTOS = 256
"""Photos a commit: 50 MB at 200 kB each. A kill loses at most these."""

COMMIT_SECONDS = 10.0
"""A slow model commits by the clock instead."""

COMPACT_EVERY = 16
"""Commits between looks at the table's fragments."""


@final
@dataclass(slots=True)
class Batching:
    """Collects rows and commits them, each with the user's values in the same commit.

    Attributes:
        store: Where they go; the caller holds the writer's lock.
        values: What the user keeps with photos, by key, as it shall be; every name has a column.
        given: What the user gave this time, by key.
        ids: Ids of the rows that the collection has already.
        unwritten: Photos whose rows do not hold their values yet.
        copies: Files whose bytes an existing row describes: what to write, and that row's id.
        seconds: Wall seconds spent here so far.
    """

    store: Store
    values: dict[Key, dict[str, Value]]
    given: Mapping[Key, Mapping[str, Value]]
    ids: Mapping[Key, int]
    unwritten: set[Key]
    rows: list[Row] = field(default_factory=list)
    copies: dict[Key, tuple[Content, int]] = field(default_factory=dict)
    seconds: float = 0.0
    commits: int = 0
    committed: float = field(default_factory=time.perf_counter)

    @property
    def due(self) -> bool:
        """Whether it is time to commit."""
        collected = len(self.rows) + len(self.copies)
        late = time.perf_counter() - self.committed > COMMIT_SECONDS
        return collected >= COMMIT_PHOTOS or (late and collected > 0)

    def capture(self, key: Key, capture: Capture) -> None:
        """Keeps with a photo when and where it was taken; values and columns of the user come first.

        Raises:
            StorageFailed: The disk refuses a new column.
        """
        taken = {field.name: getattr(capture, field.name) for field in fields(capture)}
        said = {name: value for name, value in taken.items() if value is not None}
        columns = capture_columns(self.store.schema, said)
        self.store.add_columns([field for field in columns if field.name not in self.store.schema.names])
        if columns:
            names = [column.name for column in columns]
            read = {name: said[name] for name in names}
            self.values[key] = self.values.get(key, {}) | read | dict(self.given.get(key, {}))

    def add(self, row: Row, local: LocalFeatures | None) -> None:
        """Collects a row, with local features in their format."""
        started = time.perf_counter()
        self.rows.append(row if local is None else replace(row, local=local.to_bytes()))
        self.seconds += time.perf_counter() - started

    def commit(self) -> list[Row]:
        """Returns the rows committed; files to be copied from a row that has changed meanwhile are not in it.

        Raises:
            StorageFailed: The disk refuses it.
        """
        started = time.perf_counter()
        rows = [*self.rows, *self._copied()]
        self.rows, self.copies = [], {}
        if rows:
            metadata = {
                name: pa.array(
                    [self.values.get(row.key, {}).get(name) for row in rows],
                    self.store.schema.field(name).type,
                )
                for name in metadata_names(self.store.schema)
            }
            self.store.upsert(rows_table(rows, self.store.header.dim, metadata))
            self.unwritten.difference_update(row.key for row in rows)
            self._housekeeping()
        self.committed = time.perf_counter()
        self.seconds += self.committed - started
        return rows

    def annotate(self) -> None:
        """Commits the user's values of photos in `unwritten`, whose rows hold others.

        Raises:
            StorageFailed: The disk refuses it.
        """
        started = time.perf_counter()
        names = metadata_names(self.store.schema)
        keys = sorted(key for key in self.unwritten if key in self.ids)
        for start in range(0, len(keys), COMMIT_PHOTOS):
            ids = np.array([self.ids[key] for key in keys[start : start + COMMIT_PHOTOS]], dtype=np.int64)
            table = self.store.whole_rows(ids).drop_columns("_rowid")
            damaged, before = damaged_rows(table), table[CHECKSUM].to_pylist()
            values = [self.values[Key(row["root"], row["path"])] for row in _keys(table)]
            for name in names:
                place, kind = table.schema.get_field_index(name), self.store.schema.field(name)
                column = pa.array([row.get(name) for row in values], kind.type)
                table = table.set_column(place, kind, column)
            # A row that is damaged must not look whole from now on.
            sums = np.where(damaged, before, row_checksums(table).to_pylist())
            written = table.select([*KEY_COLUMNS, *names])
            self.store.upsert(written.append_column(CHECKSUM, pa.array(sums, pa.uint32())))
            self._housekeeping()
        self.seconds += time.perf_counter() - started

    def finish(self) -> None:
        """Compacts and cleans up.

        Raises:
            StorageFailed: The disk refuses it.
        """
        started = time.perf_counter()
        self.store.compact()
        self.store.clean()
        self.seconds += time.perf_counter() - started

    def _housekeeping(self) -> None:
        self.commits += 1
        if self.commits % COMPACT_EVERY == 0:
            self.store.compact()
            self.store.clean()

    def _copied(self) -> Iterator[Row]:
        """Yields rows of files whose bytes a row describes, unless that was written anew or is damaged."""
        if not self.copies:
            return
        ids = np.array(sorted({row_id for _, row_id in self.copies.values()}), dtype=np.int64)
        table = self.store.whole_rows(ids)
        damaged = damaged_rows(table)
        place = {row_id: number for number, row_id in enumerate(table["_rowid"].to_pylist())}
        for key, (content, row_id) in self.copies.items():
            if row_id not in place or damaged[place[row_id]]:
                continue
            source = {name: table[name][place[row_id]] for name in OWN_COLUMNS}
            if source["hash"].as_py() != content.hash:
                continue
            descriptor = source["descriptor"]
            yield Row(
                key,
                content.hash,
                content.size,
                content.modified_ns,
                source["width"].as_py(),
                source["height"].as_py(),
                descriptor.values.to_numpy() if descriptor.is_valid else None,
                source["local"].as_py(),
                source["broken"].as_py(),
            )


def _keys(table: pa.Table) -> list[dict[str, Any]]:
    return table.select(list(KEY_COLUMNS)).to_pylist()
