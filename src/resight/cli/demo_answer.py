"""What both demos do: index a folder, and take a query that is in the collection out of its own answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.index import DEFAULT_MODEL, open_or_create
from resight.cli.output import count, note
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.collection import Answer, Collection

__all__ = ["SHOWN", "VERIFIED", "index_folder", "without_query"]

SHOWN = 10
"""Answers on the sheet."""

VERIFIED = 40
"""Answers that geometry checks."""


def index_folder(photos: Path, path: Path) -> Collection:
    """Returns the collection at ``path``, made or brought up to date with a folder of photos."""
    collection = open_or_create(path, DEFAULT_MODEL)
    with progress("Indexing") as report:
        indexed = collection.add([photos], progress=report)
    there = f", {indexed.unchanged:,} of them were there" if indexed.unchanged else ""
    broken = f", {count(len(indexed.broken), 'file')} could not be read" if indexed.broken else ""
    held = count(len(collection), "photo")
    note(f"Indexed {held} with {DEFAULT_MODEL} in {indexed.seconds.total:.1f} s{there}{broken}")
    return collection


def without_query(answer: Answer, shown: int) -> Answer:
    """Returns an answer without its query photos among the hits, cut to ``shown`` hits and ranked anew."""
    own = {Path(query.path).resolve() for query in answer.queries}
    others = [hit for hit in answer.hits if Path(hit.path).resolve() not in own][:shown]
    return replace(answer, hits=[replace(hit, rank=rank) for rank, hit in enumerate(others, 1)])
