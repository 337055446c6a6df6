"""The columns of a collection's table, and rows on their way into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float16

from resight.collection.roots import Key

__all__ = ["KEY_COLUMNS", "OWN_COLUMNS", "Row", "photo_schema", "rows_table"]

KEY_COLUMNS = ("root", "path")

_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
"""Without it two upserts of one new key at a time store the key twice, silently (Lance 14)."""

OWN_COLUMNS = frozenset(
    {
        *KEY_COLUMNS,
        "hash",
        "file_size",
        "modified_ns",
        "width",
        "height",
        "descriptor",
        "local",
        "broken",
    }
)
"""Names that the user's metadata cannot have."""


def photo_schema(dim: int) -> pa.Schema:
    """Returns the table's columns without the user's: one row a photo, as ``docs/formats.md`` says."""
    return pa.schema(
        [
            pa.field("root", pa.int32(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("path", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("hash", pa.binary()),
            pa.field("file_size", pa.int64()),
            pa.field("modified_ns", pa.int64()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("descriptor", pa.list_(pa.float16(), dim)),
            pa.field("local", pa.large_binary()),
            pa.field("broken", pa.string()),
        ]
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A photo as it is stored.

    Attributes:
        key: Its primary key.
        hash: Hash of the file's bytes; None if they could not be read.
        file_size: Bytes of the file; None if it could not be opened.
        modified_ns: When the file was changed last, nanoseconds; None if it could not be opened.
        width: Width of the whole upright photo, pixels; None if broken.
        height: Height of the whole upright photo, pixels; None if broken.
        descriptor: float16 ``(dim,)``, unit length; None if broken.
        local: Local features in their format; None if broken, or if the model has none.
        broken: Why it cannot be searched, or None.
    """

    key: Key
    hash: bytes | None
    file_size: int | None
    modified_ns: int | None
    width: int | None
    height: int | None
    descriptor: Float16[np.ndarray, " dim"] | None
    local: bytes | None
    broken: str | None


def rows_table(rows: Sequence[Row], dim: int) -> pa.Table:
    """Returns rows as a table of `photo_schema`."""
    descriptors = np.zeros((len(rows), dim), dtype=np.float16)
    for number, row in enumerate(rows):
        if row.descriptor is not None:
            descriptors[number] = row.descriptor
    absent = pa.array([row.descriptor is None for row in rows])
    columns: Mapping[str, pa.Array] = {
        "root": pa.array([row.key.root for row in rows], pa.int32()),
        "path": pa.array([row.key.path for row in rows], pa.string()),
        "hash": pa.array([row.hash for row in rows], pa.binary()),
        "file_size": pa.array([row.file_size for row in rows], pa.int64()),
        "modified_ns": pa.array([row.modified_ns for row in rows], pa.int64()),
        "width": pa.array([row.width for row in rows], pa.int32()),
        "height": pa.array([row.height for row in rows], pa.int32()),
        "descriptor": pa.FixedSizeListArray.from_arrays(pa.array(descriptors.ravel()), dim, mask=absent),
        "local": pa.array([row.local for row in rows], pa.large_binary()),
        "broken": pa.array([row.broken for row in rows], pa.string()),
    }
    schema = photo_schema(dim)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
