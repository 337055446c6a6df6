"""Rows and vectors of Parquet files, for the process that reads them."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import InvalidInput
from resight.files.budget import check_array, check_cells, check_columns, check_unpacked
from resight.files.names import name_key

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as parquet

__all__ = ["row_parts", "vector_parts"]

_ROWS = 4096
_LEAST_BYTES = 4
"""Of a value in memory: repeated ones take no room in the file."""


def row_parts(path: Path, *columns: str) -> Iterator[bytes]:
    """Yields JSON: the names of the columns, then for each some thousand rows the cells of each column.

    A column is a list of texts and a list of places in it, -1 for none; or the texts of its cells and null.

    Args:
        path: The file.
        columns: Those that are read where there are such; all by default, but no lists and structs.

    Raises:
        InvalidInput: The file declares more rows than its bytes can hold, or too many columns.
        Exception: Whatever a damaged file lets the reader raise.
    """
    import pyarrow as pa

    with _opened(path) as (file, stored):
        schema = file.schema_arrow
        check_columns(schema.names)
        flat = [
            field.name
            for field in schema
            if not pa.types.is_nested(field.type) and (not columns or field.name in columns)
        ]
        check_cells(file.metadata.num_rows * max(1, len(flat)), stored=stored)
        yield json.dumps([name_key(name) for name in flat]).encode()
        for batch in file.iter_batches(_ROWS, columns=flat, use_threads=False):
            yield json.dumps([_cells(batch.column(name)) for name in flat]).encode()


def vector_parts(path: Path, names: str, matrices: str) -> Iterator[bytes]:
    """Yields names as JSON, a column as above, then their vectors as a matrix ``.npy``; and so on.

    Args:
        path: The file.
        names: What the column of names may be called, with commas between; the first that is there counts.
        matrices: What the column of lists may be called.

    Raises:
        InvalidInput: It lacks such columns, or the lists hold no numbers or differ in length.
        Exception: Whatever a damaged file lets the reader raise.
    """
    with _opened(path) as (file, stored):
        present = file.schema_arrow.names
        named = [name for name in names.split(",") if name in present]
        vectors = [name for name in matrices.split(",") if name in present]
        if not named or not vectors:
            words = [each.replace(",", " or ") for each in (names, matrices)]
            raise InvalidInput(f"it needs a column {words[0]} and a column {words[1]} of lists")
        check_array((file.metadata.num_rows,), 1, stored=stored)
        check_unpacked(_values(file.metadata) * _LEAST_BYTES, stored)
        columns = [named[0], vectors[0]]
        for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
            stream = io.BytesIO()
            np.save(stream, _matrix(batch.column(vectors[0]), vectors[0]), allow_pickle=False)
            yield json.dumps(_cells(batch.column(named[0]))).encode()
            yield stream.getvalue()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[parquet.ParquetFile, int]]:
    """Opens a file and returns its size; a text that stands in it once stands in memory once."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    stored = path.stat().st_size
    texts = [
        field.name
        for field in parquet.read_schema(path)
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    with parquet.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        check_unpacked(sum(group.total_byte_size for group in groups), stored)
        yield file, stored


def _values(metadata: parquet.FileMetaData) -> int:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return sum(group.column(place).num_values for group in groups for place in range(group.num_columns))


def _matrix(column: pa.Array, name: str) -> np.ndarray:
    import pyarrow as pa

    # Polars writes large lists.
    has_offsets = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if not (has_offsets or pa.types.is_fixed_size_list(column.type)):
        raise InvalidInput(f"{name} is a column of {column.type}, not of lists of numbers")
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    if column.null_count or len(numbers) % len(column) or numbers.dtype.kind != "f":
        raise InvalidInput(f"{name} must hold lists of floating-point numbers, all of one length")
    if has_offsets and len(set(np.diff(column.offsets.to_numpy()))) > 1:
        raise InvalidInput(f"the lists of {name} are of several lengths")
    return numbers.reshape(len(column), -1)


def _cells(column: pa.Array) -> tuple[list[str], list[int] | None]:
    import pyarrow as pa

    if not isinstance(column, pa.DictionaryArray):
        return [_text(value) for value in column.to_pylist()], None
    texts = [_text(value) for value in column.dictionary.to_pylist()]
    return texts, [-1 if place is None else place for place in column.indices.to_pylist()]


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
