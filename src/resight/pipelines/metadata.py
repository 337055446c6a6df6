"""Metadata of photos from a CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from resight.collection.schema import Value, read_cell
from resight.errors import InvalidInput
from resight.files import on_disk, read_rows

__all__ = ["read_cells", "read_metadata", "text_notes"]

_NO_VALUE = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "null", "nil", "none", "nat", "-", "?"})
"""Words that other programs write for a cell that holds nothing, in lower case."""


def read_metadata(path: Path) -> dict[str, dict[str, Value]]:
    """Returns the values of each photo by its absolute path.

    The table is one of `read_cells`. A column whose cells are all whole numbers holds whole numbers, one of
    numbers holds numbers, one of ``true`` and ``false`` truth values, any other one text. Empty cells hold
    nothing.

    Raises:
        InvalidInput: The file cannot be read or is no such table.
    """
    cells = read_cells(path)
    rows = list(cells.values())
    columns = {name: _typed([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    return {
        photo: {name: values[number] for name, values in columns.items()}
        for number, photo in enumerate(cells)
    }


def text_notes(values: Mapping[str, Mapping[str, Value]]) -> list[str]:
    """Returns a sentence for each column that a word for "no value", such as NaN, makes one of text.

    Args:
        values: Of each photo, as `read_metadata` returns them.
    """
    columns: dict[str, list[str]] = {}
    for row in values.values():
        for name, value in row.items():
            if isinstance(value, str):
                columns.setdefault(name, []).append(value)
    sentences = []
    for name, cells in columns.items():
        words = [cell for cell in cells if cell.lower() in _NO_VALUE]
        others = [cell for cell in cells if cell.lower() not in _NO_VALUE]
        if words and others and not any(isinstance(value, str) for value in _typed(others)):
            sentences.append(
                f"the column {name} is kept as text, as {len(words):,} of its cells hold a word such as "
                f"{words[0]!r}: leave these empty, and it is one of numbers or truth values"
            )
    return sentences


def read_cells(path: Path) -> dict[str, dict[str, str]]:
    """Returns the cells of each photo by its absolute path, without the path's own.

    The CSV file's first line names the columns, one of them ``path``; paths are absolute or relative to the
    CSV file's folder.

    Raises:
        InvalidInput: The file cannot be read, is no such table, or two of its lines or columns have one name.
    """
    folder = path.absolute().parent
    photos: dict[str, dict[str, str]] = {}
    for row in read_rows(path, ["path"]):
        cells = dict(row.cells)
        if not cells["path"]:
            raise InvalidInput(f"line {row.line} of {path} names no photo: its cell for path is empty")
        photo = str(on_disk(folder / cells.pop("path")))
        if photos.setdefault(photo, cells) is not cells:
            raise InvalidInput(f"line {row.line} of {path} names a photo again: {photo}")
    return photos


def _typed(cells: list[str]) -> list[Value]:
    """Returns a column's cells in the narrowest type that holds them all."""
    for kind in (pa.bool_(), pa.int64(), pa.float64()):
        with suppress(ValueError):
            return [read_cell(cell, kind) for cell in cells]
    return [cell or None for cell in cells]
