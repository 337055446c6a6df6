"""Tables of text: CSV and TSV files in UTF-8 whose first line names the columns, and Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from resight.errors import InvalidInput
from resight.files.apart import parquet_rows
from resight.files.budget import MOST_LINE, check_columns, shown, without_waiting
from resight.files.foreign import reading
from resight.files.names import name_key

__all__ = ["Row", "read_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        line: The line of the file on which the row begins, from 1; of a Parquet file the row.
        cells: The text of each column.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


def read_rows(path: str | Path, columns: Sequence[str] = ()) -> Iterator[Row]:
    """Yields the rows of a table; empty lines are passed over.

    Read are CSV files in UTF-8, with or without a byte order mark, the same with tabs between cells
    (``.tsv``), and Parquet files (``.parquet``). Names of columns are in Unicode's composed form (NFC).

    Args:
        path: The file.
        columns: Names that the first line must hold, among others.

    Raises:
        InvalidInput: The file cannot be read or is no such table, it lacks one of ``columns`` or names a
            column twice, or a row has more or fewer cells than the first line.
    """
    path = Path(path)
    if path.suffix.lower() == ".parquet":
        with reading(path, f"{path} is no Parquet file, or a damaged one"):
            rows = parquet_rows(path)
            names = next(rows)
            _check_names(path, names, columns)
            for number, cells in enumerate(rows, 1):
                yield Row(number, dict(zip(names, cells, strict=True)))
        return
    kind, delimiter = ("TSV", "\t") if path.suffix.lower() == ".tsv" else ("CSV", ",")
    sentence = f"{path} is no {kind} file in UTF-8"
    with (
        reading(path, sentence),
        open(path, newline="", encoding="utf-8-sig", opener=without_waiting) as stream,
    ):
        yield from _rows(path, stream, columns, delimiter)


def _short_lines(stream: TextIO) -> Iterator[str]:
    """Yields the lines of a text; one of gigabytes is not read to its end."""
    while line := stream.readline(MOST_LINE):
        if len(line) == MOST_LINE:
            raise InvalidInput(f"a line of it has more than {MOST_LINE:,} characters")
        yield line


def _rows(path: Path, stream: TextIO, columns: Sequence[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(_short_lines(stream), strict=True, delimiter=delimiter)
    names = [name_key(name) for name in next(reader, [])]
    check_columns(names)
    _check_names(path, names, columns)
    # A cell in quotes may go over several lines.
    line = reader.line_num + 1
    for cells in reader:
        if cells and len(cells) != len(names):
            raise InvalidInput(f"line {line} of {path} has more or fewer cells than its first line names")
        if cells:
            yield Row(line, dict(zip(names, cells, strict=True)))
        line = reader.line_num + 1


def _check_names(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise InvalidInput(
            f"{path} has no column named {' or '.join(missing)} in its first line, "
            f"but {shown(', '.join(names) or 'none at all')}"
        )
    if len(set(names)) < len(names):
        raise InvalidInput(f"the first line of {path} names a column twice: {shown(', '.join(names))}")
