"""Findings about a copy of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Kind", "note", "problem", "some"]

Kind = Literal[
    "lists",
    "boxes",
    "counts",
    "missing",
    "unreadable",
    "repeated",
    "duplicate",
    "contradiction",
    "leak",
    "box",
    "gap",
    "shared",
    "alone",
]
"""Kinds of findings, as `resight.datasets.examine` explains them."""

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a copy.

    Attributes:
        kind: As `resight.datasets.examine` explains.
        problem: Whether results on this copy are wrong, or no result comes out; else it is good to know.
        sentence: What it is, for people.
        paths: The photos concerned, relative to the root, all of them.
    """

    kind: Kind
    problem: bool
    sentence: str
    paths: tuple[str, ...] = ()


def problem(kind: Kind, sentence: str, paths: Sequence[str] = ()) -> Finding:
    """Returns something that makes results wrong or impossible."""
    return Finding(kind, problem=True, sentence=sentence, paths=tuple(paths))


def note(kind: Kind, sentence: str, paths: Sequence[str] = ()) -> Finding:
    """Returns something that is good to know."""
    return Finding(kind, problem=False, sentence=sentence, paths=tuple(paths))


def some(words: Sequence[str]) -> str:
    """Returns the first three words and how many more there are."""
    more = len(words) - _MOST_NAMED
    return ", ".join(words[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
