"""Metadata of photos from a CSV file."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import InvalidInput

if TYPE_CHECKING:
    from resight.collection.metadata import Value

__all__ = ["read_cells", "read_metadata"]


def read_metadata(path: Path) -> dict[str, dict[str, Value]]:
    """Returns the values of each photo by its absolute path.

    The table is one of `read_cells`. A column whose cells are all whole numbers holds whole numbers, one of
    numbers holds numbers, one of ``true`` and ``false`` truth values, any other one text. Empty cells hold
    nothing.

    Raises:
        InvalidInput: The file is no such table.
        OSError: It cannot be read.
    """
    cells = read_cells(path)
    rows = list(cells.values())
    columns = {name: _typed([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    return {
        photo: {name: values[number] for name, values in columns.items()}
        for number, photo in enumerate(cells)
    }


def read_cells(path: Path) -> dict[str, dict[str, str]]:
    """Returns the cells of each photo by its absolute path, without the path's own.

    The CSV file's first line names the columns, one of them ``path``; paths are absolute or relative to the
    CSV file's folder.

    Raises:
        InvalidInput: The file is no such table, or two of its lines or columns have one name.
        OSError: It cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is no CSV file in UTF-8 ({error})") from None
    names = reader.fieldnames or []
    if rows and "path" not in names:
        raise InvalidInput(f"{path} has no column named path in its first line, but {', '.join(names)}")
    if len(set(names)) < len(names):
        raise InvalidInput(f"the first line of {path} names a column twice: {', '.join(names)}")
    folder = path.absolute().parent
    found: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise InvalidInput(f"line {number} of {path} has more or fewer cells than its first line names")
        if not row["path"]:
            raise InvalidInput(f"line {number} of {path} names no photo: its cell for path is empty")
        photo = str(folder / row.pop("path"))
        if found.setdefault(photo, row) is not row:
            raise InvalidInput(f"line {number} of {path} names a photo again: {photo}")
    return found


def _typed(cells: list[str]) -> list[Value]:
    """Returns a column's cells in the narrowest type that holds them all."""
    import pyarrow as pa

    from resight.collection.metadata import read_cell

    for kind in (pa.bool_(), pa.int64(), pa.float64()):
        with suppress(ValueError):
            return [read_cell(cell, kind) for cell in cells]
    return [cell or None for cell in cells]
