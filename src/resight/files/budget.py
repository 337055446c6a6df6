"""How much a file or a number from elsewhere may ask for: the budgets of all readers.

A file declares sizes, and a reader that believes them asks for memory before it knows better. So what a file
declares is compared with what is there, and with these limits, before anything is asked for.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Collection, Sequence
from pathlib import Path

from resight.errors import InvalidInput

__all__ = [
    "MOST_BYTES",
    "MOST_COLUMNS",
    "MOST_DEPTH",
    "MOST_JSON_BYTES",
    "MOST_LINE",
    "MOST_VALUES",
    "check_array",
    "check_cells",
    "check_columns",
    "check_tree",
    "check_unpacked",
    "read_within",
    "require_file",
    "shown",
    "without_waiting",
]

MOST_BYTES = 2**34
"""Bytes that the values of one file may take in memory, 16 GiB: a million descriptors of 4096 numbers."""

MOST_JSON_BYTES = 2**27
"""Bytes of a JSON file, 128 MiB."""

MOST_VALUES = 2**22
"""Values in the tree of a pickle or a JSON file, with those that stand in several places counted at each."""

MOST_LINE = 2**20
"""Characters of a line of a table."""

MOST_DEPTH = 64
"""Lists and mappings within each other."""

MOST_COLUMNS = 1024
"""Columns of a table."""

_MOST_SHOWN = 200
# No compression of these formats packs more: zlib's own limit is 1032.
_MOST_COMPRESSION = 1100
# Numbers that anybody has measured hardly pack: more than this is a file of one value, up to a size.
_USUAL_COMPRESSION = 16
_MOST_UNUSUAL = 2**28


def shown(value: object) -> str:
    """Returns a value as messages show it: at most 200 characters."""
    try:
        text = str(value)
    except ValueError:
        # Python writes no number of more than 4300 digits.
        text = f"a {type(value).__name__} too long to be written"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def read_within(path: str | Path, most_bytes: int) -> bytes:
    """Returns the bytes of a file.

    Raises:
        InvalidInput: The file has more.
        OSError: It cannot be read.
    """
    with open(path, "rb", opener=without_waiting) as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise InvalidInput(f"it has more than {most_bytes:,} bytes")
    return content


def without_waiting(path: str, flags: int) -> int:
    """Opens a file for `open`; a pipe into which nobody writes is empty, and not waited for."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "set_blocking"):
        # One with a writer, as a shell makes for ``<(command)``, is read to its end.
        os.set_blocking(descriptor, True)
    return descriptor


def check_array(shape: Sequence[int], itemsize: int, *, stored: int) -> int:
    """Returns how many bytes an array takes, where a file can hold it.

    Args:
        shape: As the file declares it.
        itemsize: Bytes of an element.
        stored: Bytes that the file has for it, compressed or not.

    Raises:
        InvalidInput: No compression explains the difference, or the array is over the budget.
    """
    size = math.prod(shape) * itemsize
    if min(shape, default=0) < 0 or size > stored * _MOST_COMPRESSION:
        raise InvalidInput(
            f"it declares an array of shape {shown(tuple(shape))} and holds {stored:,} bytes of it"
        )
    if size > MOST_BYTES:
        raise InvalidInput(f"it declares an array of {size:,} bytes; at most {MOST_BYTES:,} are read")
    check_unpacked(size, stored)
    return size


def check_unpacked(size: int, stored: int) -> None:
    """Returns if all arrays of a file may be unpacked: packed data may ask for little more than they are.

    Args:
        size: Bytes of the arrays in memory.
        stored: Bytes of them in the file.

    Raises:
        InvalidInput: They are many times more than the file has.
    """
    most = min(MOST_BYTES, max(_MOST_UNUSUAL, _USUAL_COMPRESSION * stored))
    if size > most:
        raise InvalidInput(
            f"its arrays take {size:,} bytes unpacked from {stored:,}; at most {most:,} are unpacked"
        )


def check_cells(count: int, *, stored: int) -> None:
    """Returns if a table has few enough cells: as text each takes tens of bytes, and repeated ones no room.

    Args:
        count: Cells that the file declares.
        stored: Bytes of the file.

    Raises:
        InvalidInput: It has too many.
    """
    most = max(MOST_VALUES, _USUAL_COMPRESSION * stored)
    if count > most:
        raise InvalidInput(f"it declares {count:,} cells in {stored:,} bytes; at most {most:,} are read")


def require_file(path: str | Path) -> None:
    """Returns if a path leads to a regular file: a pipe would be waited for, a device has no end.

    Raises:
        InvalidInput: It leads to something else.
        OSError: There is nothing, or it cannot be looked at.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise InvalidInput("it is no file, but a folder, a pipe, a socket or a device")


def check_columns(names: Sequence[str]) -> None:
    """Returns if a table has few enough columns.

    Raises:
        InvalidInput: It has too many.
    """
    if len(names) > MOST_COLUMNS:
        raise InvalidInput(f"it names {len(names):,} columns; at most {MOST_COLUMNS:,} are read")


def check_tree(tree: object, *, most_values: int = MOST_VALUES) -> None:
    """Returns if lists and mappings within each other are few and flat enough to be walked.

    What stands in several places, as YAML's aliases and pickle's memo allow, counts at each; what holds
    itself is too deep.

    Raises:
        InvalidInput: They are not.
    """
    count, left = 0, [(tree, 0)]
    while left:
        value, depth = left.pop()
        count += 1
        if count > most_values:
            raise InvalidInput(f"it holds more than {most_values:,} values")
        if depth > MOST_DEPTH:
            raise InvalidInput(f"it is nested more than {MOST_DEPTH} levels deep, or holds itself")
        if isinstance(value, dict):
            left += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            if len(value) > most_values:
                raise InvalidInput(f"it holds more than {most_values:,} values")
            left += [(each, depth + 1) for each in value if isinstance(each, Collection | str)]
            count += len(value)
