"""Rows of Parquet files, their cells as the text that a CSV file would hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from resight.files.budget import check_array, check_columns, check_unpacked, require_file
from resight.files.names import name_key

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["parquet_rows"]

_BATCH = 4096


def parquet_rows(path: Path) -> Iterator[list[str]]:
    """Yields the names of the columns, then the cells of each row; columns of lists and structs are left out.

    Missing values and NaN are empty cells, flags ``true`` and ``false``.

    Raises:
        InvalidInput: The file declares more rows than its bytes can hold, or too many columns.
        Exception: Whatever a damaged file lets the reader raise.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    require_file(path)
    stored = path.stat().st_size
    schema = parquet.read_schema(path)
    check_columns(schema.names)
    flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
    # A text that stands once in the file stands once in memory, in however many rows.
    texts = [name for name in flat if pa.types.is_string(schema.field(name).type)]
    with parquet.ParquetFile(path, read_dictionary=texts) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        check_unpacked(sum(group.total_byte_size for group in groups), stored)
        check_array((file.metadata.num_rows, max(1, len(flat))), 1, stored=stored)
        yield [name_key(name) for name in flat]
        for batch in file.iter_batches(_BATCH, columns=flat):
            columns = [_cells(batch.column(name)) for name in flat]
            yield from (list(cells) for cells in zip(*columns, strict=True))


def _cells(column: pa.Array) -> list[str]:
    import pyarrow as pa

    if not isinstance(column, pa.DictionaryArray):
        return [_text(value) for value in column.to_pylist()]
    texts = [_text(value) for value in column.dictionary.to_pylist()]
    return ["" if place is None else texts[place] for place in column.indices.to_pylist()]


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
