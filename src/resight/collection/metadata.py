"""The user's values of a photo as typed columns of the table, so that SQL can filter by them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import pyarrow as pa

from resight.collection.schema import OWN_COLUMNS
from resight.errors import InvalidInput

__all__ = ["Value", "metadata_names", "new_columns", "read_cell"]

Value = str | int | float | bool | None
"""What the user may keep with a photo."""

_TRUTH = {"true": True, "false": False}
# Numbers as people write them: 007 is a name, and so are nan, inf and 1_000, which Python would take.
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_INT64 = range(-(2**63), 2**63)


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
    wanted: dict[str, pa.DataType] = {}
    for row in rows:
        for name, value in row.items():
            _check_name(name, [*columns, *wanted])
            if value is None:
                continue
            given = _type_of(name, value)
            if name not in columns and wanted.get(name) in (None, pa.int64()) and given == pa.float64():
                wanted[name] = given
            held = columns.get(name) or wanted.setdefault(name, given)
            if given != held and not (given == pa.int64() and held == pa.float64()):
                raise InvalidInput(
                    f"the metadata value {name}={value!r} does not fit: {name} holds {held} here"
                )
    return [pa.field(name, wanted[name]) for name in sorted(wanted)]


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
