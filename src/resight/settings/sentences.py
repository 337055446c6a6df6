"""pydantic's errors as sentences that name the key as it was typed."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

__all__ = ["sentence_of", "tuples"]

_MOST_SHOWN = 3


def sentence_of(error: ValidationError) -> str:
    """Returns what is wrong with the first few values, each after its keys joined by dots."""
    details = error.errors(include_url=False)
    sentences = [_sentence(each) for each in details[:_MOST_SHOWN]]
    more = len(details) - len(sentences)
    return "; ".join(sentences) + (f"; and {more} more" if more > 0 else "")


def tuples(value: Any) -> Any:
    """Returns the values with lists as tuples: strict settings take no list where a tuple is meant."""
    if isinstance(value, dict):
        return {key: tuples(entry) for key, entry in value.items()}
    return tuple(tuples(entry) for entry in value) if isinstance(value, list) else value


def _sentence(detail: ErrorDetails) -> str:
    where = ".".join(map(str, detail["loc"]))
    match detail["type"]:
        case "missing":
            reason = "is missing"
        case "unfit":
            reason = detail["msg"]
        case _:
            reason = f"{detail['msg'][0].lower()}{detail['msg'][1:]}, got {detail['input']!r}"
    return f"{where}: {reason}" if where else reason
