"""The columns of a collection's table, our own and the user's, and rows on their way into it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float16

from resight.collection.checksum import CHECKSUM, row_checksums
from resight.collection.roots import Key
from resight.errors import CollectionDamaged, InvalidInput

__all__ = [
    "KEY_COLUMNS",
    "OWN_COLUMNS",
    "Row",
    "Value",
    "capture_columns",
    "metadata_names",
    "new_columns",
    "photo_schema",
    "read_cell",
    "require_dim",
    "rows_table",
]

Value = str | int | float | bool | None
"""What the user may keep with a photo."""

_TRUTH = {"true": True, "false": False}
# Numbers as people write them: 007 is a name, and so are nan, inf and 1_000, which Python would take.
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_INT64 = range(-(2**63), 2**63)

KEY_COLUMNS = ("root", "path")

_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
"""Without it two upserts of one new key at a time store the key twice, silently (Lance 14)."""

_CAPTURE = (
    pa.field("latitude", pa.float64()),
    pa.field("longitude", pa.float64()),
    pa.field("taken", pa.string()),
)
"""What EXIF data say, as values that the user can change."""

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
        CHECKSUM,
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
            pa.field(CHECKSUM, pa.uint32()),
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


def rows_table(
    rows: Sequence[Row],
    dim: int,
    metadata: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """Returns rows as a table of `photo_schema`, with columns of the user and the checksum of all."""
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
    own = [field for field in photo_schema(dim) if field.name != CHECKSUM]
    table = pa.Table.from_arrays([columns[field.name] for field in own], schema=pa.schema(own))
    for name, column in (metadata or {}).items():
        table = table.append_column(name, column)
    return table.append_column(CHECKSUM, row_checksums(table))


def metadata_names(schema: pa.Schema) -> list[str]:
    """Returns the names of the user's columns in a table's schema."""
    return [name for name in schema.names if name not in OWN_COLUMNS]


def new_columns(rows: Iterable[Mapping[str, Value]], schema: pa.Schema) -> list[pa.Field]:
    """Returns the columns that the table still lacks for these values, sorted by name.

    A column of whole numbers and numbers holds numbers. A name that has no value yet gets no column.

    Raises:
        InvalidInput: A name is no word, or is taken; a value is of another type than its column.
    """
    columns = {name: schema.field(name).type for name in metadata_names(schema)}
    added: dict[str, pa.DataType] = {}
    for row in rows:
        for name, value in row.items():
            _check_name(name, [*columns, *added])
            if value is None:
                continue
            kind = _type_of(name, value)
            if name not in columns and added.get(name) in (None, pa.int64()) and kind == pa.float64():
                added[name] = kind
            column = columns.get(name) or added.setdefault(name, kind)
            if kind != column and not (kind == pa.int64() and column == pa.float64()):
                raise InvalidInput(
                    f"the metadata value {name}={value!r} does not fit: {name} holds {column} here"
                )
    return [pa.field(name, added[name]) for name in sorted(added)]


def capture_columns(schema: pa.Schema, names: Iterable[str]) -> list[pa.Field]:
    """Returns the columns for values of EXIF data, in the table or still to be added.

    Columns of the user that have such a name, but for case, and another type stay the user's alone.
    """
    taken = {name.lower(): name for name in metadata_names(schema)}
    fields = [field for field in _CAPTURE if field.name in names]
    return [
        field
        for field in fields
        if field.name.lower() not in taken
        or (field.name in schema.names and schema.field(field.name).type == field.type)
    ]


def require_dim(schema: pa.Schema, dim: int, collection: str) -> None:
    """Returns if the descriptors of a collection's table are of the length that its header says.

    Raises:
        CollectionDamaged: They are of another.
    """
    kind = schema.field("descriptor").type if "descriptor" in schema.names else None
    if getattr(kind, "list_size", None) != dim:
        raise CollectionDamaged(
            f"the header of the collection {collection} says that descriptors have {dim} dimensions, and its "
            f"table holds others ({kind}): index the photos into a new collection"
        )


def read_cell(cell: str, kind: pa.DataType) -> Value:
    """Returns the value that the text of a table's cell is in a column of that type; an empty one is nothing.

    Raises:
        ValueError: It is not written as such a value.
    """
    if not cell:
        return None
    if kind == pa.bool_() and cell.lower() in _TRUTH:
        return _TRUTH[cell.lower()]
    if kind == pa.int64() and _WHOLE.fullmatch(cell):
        return int(cell)
    if kind == pa.float64() and _NUMBER.fullmatch(cell):
        return float(cell)
    if kind == pa.string():
        return cell
    raise ValueError(f"{cell!r} is no {kind}")


def _check_name(name: str, taken: Iterable[str]) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"a metadata name is a letter followed by letters, digits and underscores, not {name!r}"
        )
    if name.lower() in OWN_COLUMNS:
        raise InvalidInput(
            f"{name!r} cannot be a metadata name: the collection keeps its own value under it, as under "
            f"{', '.join(sorted(OWN_COLUMNS))}; choose another"
        )
    for other in taken:
        # SQL takes names without regard to case.
        if other != name and other.lower() == name.lower():
            raise InvalidInput(f"metadata names must differ by more than case, not {other!r} and {name!r}")


def _type_of(name: str, value: Value) -> pa.DataType:
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int) and value in _INT64:
        return pa.int64()
    if isinstance(value, float) and math.isfinite(value):
        return pa.float64()
    if isinstance(value, str):
        return pa.string()
    raise InvalidInput(
        f"the metadata value {name}={value!r} cannot be kept: accepted are text, whole numbers of 64 bits, "
        f"finite numbers, true, false and nothing"
    )
