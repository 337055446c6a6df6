"""The values and conditions that an SQL condition is made of, as the table's engine takes them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

__all__ = [
    "NOUNS",
    "Kind",
    "Term",
    "computed",
    "condition_of",
    "forms_of",
    "is_date",
    "is_whole",
    "joined",
    "kind_of",
    "number_of",
    "widened",
]

Kind = Literal["text", "number", "truth", "moment", "nothing", "other"]

NOUNS: Mapping[Kind, str] = {
    "text": "text",
    "number": "a number",
    "truth": "true or false",
    "moment": "a date",
    "nothing": "NULL",
    "other": "neither text nor number",
}

_DATE = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d)?)?)?)?")
"""A moment of ISO 8601, or the year, month, day or minute that holds it."""


@dataclass(frozen=True, slots=True)
class Term:
    """A value or condition.

    Attributes:
        sql: As the table understands it.
        kind: What it holds.
        shown: As the user knows it.
        literal: The text or number as written, where it is one.
        type: Of the column, where it is one.
    """

    sql: str
    kind: Kind
    shown: str
    literal: str | None = None
    type: pa.DataType | None = None


def condition_of(sql: str) -> Term:
    """Returns a condition."""
    return Term(sql, "truth", sql)


def forms_of(term: Term) -> list[str]:
    """Returns a value as a table may hold it: a text in quotes composed and decomposed (NFC, NFD), too."""
    if term.kind != "text" or term.literal is None:
        return [term.sql]
    texts = [term.literal, *(unicodedata.normalize(form, term.literal) for form in ("NFC", "NFD"))]
    return ["'" + text.replace("'", "''") + "'" for text in dict.fromkeys(texts)]


def number_of(text: str) -> Term:
    """Returns the number that a text is; a whole one of 64 bits stays whole."""
    value = float(text)
    # The engine refuses 2020.0 beside whole numbers.
    whole = text if re.fullmatch(r"-?\d+", text) else f"{value:.0f}" if value.is_integer() else None
    # Python refuses to read thousands of digits, all of them zeros or not.
    whole = None if whole is None or abs(value) > 2**63 else (whole.replace("-", "").lstrip("0") or "0")
    if whole is not None and (number := int(whole) * (-1 if text[0] == "-" else 1)) in range(-(2**63), 2**63):
        return Term(str(number), "number", text, text, pa.int64())
    return Term(f"CAST('{value!r}' AS double)", "number", text, text, pa.float64())


def is_date(text: str) -> bool:
    """Returns whether a text is a date, or the beginning of one down to the year, that exists."""
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text + "0001-01-01T00:00:00"[len(text) :])
    except ValueError:
        return False
    return True


def computed(left: Term, sign: str, right: Term) -> Term:
    """Returns the number that a sign of arithmetic makes of two; division by 0 gives NULL.

    Products, and numbers from 2^53, are computed as floats: 64 bits that overflow would give another number
    without a word.
    """
    whole = is_whole(left) and is_whole(right) and sign != "*" and not (_is_large(left) or _is_large(right))
    kind, name = (pa.int64(), "bigint") if whole else (pa.float64(), "double")
    first, second = (f"CAST({term.sql} AS {name})" for term in (left, right))
    if sign in "/%":
        second = f"NULLIF({second}, CAST(0 AS {name}))"
    return Term(f"({first} {sign} {second})", "number", f"{left.shown} {sign} {right.shown}", type=kind)


def _is_large(term: Term) -> bool:
    """Returns whether a term is a number beyond those that floats hold exactly."""
    return term.literal is not None and abs(float(term.literal)) >= 2**53


def is_whole(term: Term) -> bool:
    """Returns whether a term holds whole numbers alone."""
    return term.type is not None and pa.types.is_integer(term.type)


def widened(term: Term, other: Term) -> str:
    """Returns a number as the engine compares it with another: in the wider type of the two."""
    if term.kind != "number" or term.type == other.type:
        return term.sql
    return f"CAST({term.sql} AS {'bigint' if is_whole(term) and is_whole(other) else 'double'})"


def kind_of(name: str, kind: pa.DataType) -> Kind:
    """Returns what a column holds."""
    if pa.types.is_string(kind):
        return "moment" if name == "taken" else "text"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return "truth" if pa.types.is_boolean(kind) else "other"


def joined(conditions: Sequence[str], word: str) -> str:
    """Returns conditions joined in a balanced tree: the engine's depth grows with that of its brackets."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({joined(conditions[:half], word)} {word} {joined(conditions[half:], word)})"
