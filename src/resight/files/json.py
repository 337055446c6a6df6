"""JSON values as types, and frozen dataclasses as JSON objects."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from resight.files.budget import MOST_JSON_BYTES, MOST_VALUES, read_within, shown
from resight.files.foreign import reading

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["JSON", "from_json", "parse_json", "read_json", "to_json"]

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
"""What a JSON text can hold."""

Value = TypeVar("Value")


def parse_json(text: str | bytes) -> JSON:
    """Returns the value of a JSON text.

    Raises:
        ValueError: The text is no JSON in UTF-8, is nested too deeply to be read, or holds too many values.
    """
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    # A value takes up to seventy bytes in memory, and one byte or two in the text: they are counted before.
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    try:
        return cast(JSON, json.loads(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: str | Path, sentence: str, *, unreadable: str = "") -> JSON:
    """Returns the value of a JSON file.

    Args:
        path: The file.
        sentence: What is wrong with a file that is no JSON, as for `reading`.
        unreadable: What is said where the system cannot read it, as for `reading`.

    Raises:
        InvalidInput: The file cannot be read, or is no JSON in UTF-8.
    """
    with reading(path, sentence, unreadable=unreadable):
        return parse_json(read_within(path, MOST_JSON_BYTES))


def to_json(value: DataclassInstance) -> dict[str, JSON]:
    """Returns the fields of a dataclass of JSON values by name; dataclasses within become objects, too."""
    return asdict(value)


def from_json(kind: type[Value], content: JSON) -> Value:
    """Returns the dataclass that `to_json` wrote, every field checked against its declared type.

    A field may be a dataclass, a tuple, a union of one type with None, a literal, text, a number or a truth
    value. A field that the object lacks takes its default.

    Args:
        kind: The dataclass.
        content: The JSON object.

    Raises:
        ValueError: A field is missing, unknown, or of another type; the message names it.
        InvalidInput: The dataclass refuses the values.
    """
    return cast(Value, _dataclass(kind, content))


def _dataclass(kind: type, content: object) -> object:
    declared = fields(kind)
    needed = {field.name for field in declared if field.default is MISSING}
    names = [field.name for field in declared]
    if not isinstance(content, dict) or not needed <= content.keys() <= set(names):
        raise ValueError(f"a {kind.__name__} needs exactly {', '.join(names)}")
    hints = get_type_hints(kind)
    present = [name for name in names if name in content]
    return kind(**{name: _value(hints[name], content[name], f"{kind.__name__}.{name}") for name in present})


def _value(kind: object, content: object, where: str) -> object:
    if get_origin(kind) is types.UnionType:
        some = next(part for part in get_args(kind) if part is not types.NoneType)
        return None if content is None else _value(some, content, where)
    if get_origin(kind) is tuple and isinstance(content, list):
        return _tuple(get_args(kind), content, where)
    if get_origin(kind) is Literal and content in get_args(kind):
        return content
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind, content)
    if kind is float and isinstance(content, int | float) and not isinstance(content, bool):
        return float(content)
    if isinstance(kind, type) and type(content) is kind:
        return content
    raise ValueError(f"{where} cannot be {shown(content)!r}")


def _tuple(parts: tuple[object, ...], content: list[object], where: str) -> tuple[object, ...]:
    if parts[-1] is Ellipsis:
        return tuple(_value(parts[0], entry, where) for entry in content)
    if len(parts) != len(content):
        raise ValueError(f"{where} needs {len(parts)} values, not {len(content)}")
    return tuple(_value(part, entry, where) for part, entry in zip(parts, content, strict=True))
