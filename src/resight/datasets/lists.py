"""The annotation files of the benchmarks: lines of fields between blanks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from resight.errors import InvalidInput
from resight.files import reading
from resight.files.budget import read_within

__all__ = ["first_existing", "read_fields", "text_lines"]

Row = TypeVar("Row")

_MOST_BYTES = 2**28
_MOST_LINES = 2**24


def first_existing(folders: Sequence[Path], name: str, *, layout: str) -> Path:
    """Returns the first of the folders that holds a file of that name.

    Raises:
        InvalidInput: None does.
    """
    for folder in folders:
        if (folder / name).is_file():
            return folder
    raise InvalidInput(f"there is no {name} in {folders[0]}; expected is {layout}")


def text_lines(path: Path) -> list[str]:
    """Returns the lines of a text in UTF-8.

    Raises:
        InvalidInput: It cannot be read, or is no text.
    """
    with reading(path, f"{path} is no text in UTF-8"):
        content = read_within(path, _MOST_BYTES)
        if content.count(b"\n") > _MOST_LINES:
            raise InvalidInput(f"it has more than {_MOST_LINES:,} lines")
        return content.decode("utf-8-sig").splitlines()


def read_fields(
    path: Path,
    parse: Callable[..., Row],
    *,
    fields: int,
    skip: int = 0,
    separator: str | None = None,
) -> list[Row]:
    """Returns ``parse(*fields)`` of each line that is not empty.

    Args:
        path: The file.
        parse: Takes the fields of a line as text.
        fields: How many each line has; what more separators there are belongs to the last.
        skip: Lines of header.
        separator: Between fields; blanks by default.

    Raises:
        InvalidInput: The file cannot be read, or a line has other fields; the line is named.
    """
    rows = []
    for number, line in enumerate(text_lines(path)[skip:], skip + 1):
        if not line.strip():
            continue
        parts = line.strip().split(separator, fields - 1)
        try:
            if len(parts) != fields:
                raise InvalidInput(f"it has {len(parts)} fields instead of {fields}")
            rows.append(parse(*parts))
        except ValueError as error:
            raise InvalidInput(f"line {number} of {path} cannot be understood: {error}") from None
    return rows
