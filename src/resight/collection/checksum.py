"""A checksum a row, by which damage on the disk is noticed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

__all__ = ["CHECKSUM", "damaged_rows", "row_checksums"]

CHECKSUM = "_checksum"
"""Name of the column; metadata cannot have it, as its names begin with a letter."""


def row_checksums(rows: pa.Table | pa.RecordBatch) -> pa.Array:
    """Returns the CRC-32 of each row over all its columns but those that begin with an underscore.

    It is taken over the columns that hold something, sorted by name: the name in UTF-8, a zero byte, the
    value's length in bytes (8 bytes) and its bytes. Text is UTF-8; a whole number or a truth value 8 bytes
    with a sign; a number 8 bytes; a descriptor its numbers of 2 bytes; all little-endian.
    """
    names = sorted(name for name in rows.schema.names if not name.startswith("_"))
    sums = [0] * rows.num_rows
    for name in names:
        encode = _encoder(rows.schema.field(name).type)
        prefix = name.encode() + b"\0"
        for place, value in enumerate(rows[name]):
            if value.is_valid:
                data = encode(value)
                head = zlib.crc32(prefix + struct.pack("<q", len(data)), sums[place])
                sums[place] = zlib.crc32(data, head)
    return pa.array(sums, pa.uint32())


def damaged_rows(rows: pa.Table | pa.RecordBatch) -> Bool[np.ndarray, " rows"]:
    """Returns which rows, read with all their columns, differ from their checksum; without one, none does."""
    if CHECKSUM not in rows.schema.names:
        return np.zeros(rows.num_rows, dtype=bool)
    stored, now = rows[CHECKSUM].to_pylist(), row_checksums(rows).to_pylist()
    return np.array([one != other for one, other in zip(stored, now, strict=True)], dtype=bool)


def _encoder(kind: pa.DataType) -> Callable[[pa.Scalar], bytes | memoryview]:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return lambda value: struct.pack("<q", int(value.as_py()))
    if pa.types.is_floating(kind):
        return lambda value: struct.pack("<d", value.as_py())
    if pa.types.is_fixed_size_list(kind):
        return lambda value: value.values.to_numpy().astype("<f2").tobytes()
    return lambda value: memoryview(value.as_buffer())
