"""Rows of Parquet files, their cells as the text that a CSV file would hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from resight.files.budget import check_array, check_columns
from resight.files.names import name_key

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

    with parquet.ParquetFile(path) as file:
        flat = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
        check_columns(flat)
        check_array((file.metadata.num_rows, max(1, len(flat))), 1, stored=path.stat().st_size)
        yield [name_key(name) for name in flat]
        for batch in file.iter_batches(_BATCH, columns=flat):
            columns = [[_text(value) for value in batch.column(name).to_pylist()] for name in flat]
            yield from (list(cells) for cells in zip(*columns, strict=True))


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
