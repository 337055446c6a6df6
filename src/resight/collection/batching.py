"""Rows collected on their way to the table, and committed a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import final

import numpy as np
import pyarrow as pa

from resight.collection.roots import Key
from resight.collection.schema import KEY_COLUMNS, Row, Value, capture_columns, rows_table
from resight.collection.store import Store
from resight.features import LocalFeatures
from resight.images import Capture
from resight.models.extract import Content

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
        values: The user's values by key; every name has a column.
        copies: Files whose bytes an existing row describes: what to write, and that row's id.
        seconds: Wall seconds spent here so far.
    """

    store: Store
    values: dict[Key, Mapping[str, Value]]
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
            self.values[key] = {name: said[name] for name in names} | dict(self.values.get(key, {}))

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
        for names, group in self._grouped(rows):
            table = rows_table(group, self.store.header.dim)
            for name in names:
                column = [self.values[row.key][name] for row in group]
                table = table.append_column(name, pa.array(column, self.store.schema.field(name).type))
            self.store.upsert(table)
            self._housekeeping()
        self.committed = time.perf_counter()
        self.seconds += self.committed - started
        return rows

    def annotate(self) -> None:
        """Commits the user's values of photos whose row has others, which is none that was just written.

        Raises:
            StorageFailed: The disk refuses it.
        """
        names = sorted({name for row in self.values.values() for name in row})
        if not names:
            return
        started = time.perf_counter()
        table = self.store.table([*KEY_COLUMNS, *names])
        held = {
            Key(row["root"], row["path"]): {name: row[name] for name in names} for row in table.to_pylist()
        }
        stale = {
            key: held[key] | dict(row)
            for key, row in self.values.items()
            if key in held and held[key] | dict(row) != held[key]
        }
        keys = list(stale)
        for start in range(0, len(keys), COMMIT_PHOTOS):
            part = keys[start : start + COMMIT_PHOTOS]
            columns = {
                "root": pa.array([key.root for key in part], pa.int32()),
                "path": pa.array([key.path for key in part], pa.string()),
            }
            for name in names:
                kind = self.store.schema.field(name).type
                columns[name] = pa.array([stale[key][name] for key in part], kind)
            self.store.upsert(pa.table(columns))
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
        """Yields the rows of files whose bytes a row describes, unless that row has been written anew."""
        if not self.copies:
            return
        columns = ["hash", "width", "height", "descriptor", "local", "broken"]
        ids = np.array(sorted({row_id for _, row_id in self.copies.values()}), dtype=np.int64)
        table = self.store.rows(ids, columns)
        place = {row_id: number for number, row_id in enumerate(table["_rowid"].to_pylist())}
        for key, (content, row_id) in self.copies.items():
            if row_id not in place:
                continue
            source = {name: table[name][place[row_id]] for name in columns}
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

    def _grouped(self, rows: Sequence[Row]) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
        """Yields rows that carry the same of the user's names: a column not written keeps its values."""
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(sorted(self.values.get(row.key, ()))), []).append(row)
        yield from groups.items()
