"""The main job shown on rendered photos of places, whose truth is known, or on anybody's photos."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resight.collection import Answer, Collection, Query, find_photos
from resight.evaluation import average_precision, recall_at_k
from resight.files import Progress, in_threads, silent, whole_folder
from resight.reports.sheet import write_sheet
from resight.scenes.render import write_collection

__all__ = [
    "DISTRACTORS",
    "PLACES",
    "VIEWS",
    "FolderDemo",
    "Measures",
    "PlacesDemo",
    "demo_folder",
    "demo_places",
    "render_places",
    "without_query",
]

PLACES, VIEWS, DISTRACTORS = 40, 8, 30
_QUERY_VIEW = 0
# Smaller than the 640 pixels that sift looks at, so that all of it stays under a minute on two cores.
_SIDE = 480
_VIEW_NAME = re.compile(r"place_(\d+)_view_(\d+)")
_RENDERED = re.compile(r"(?:place_\d+_view_\d+|distractor_\d+)\.jpg")

_SHOWN = 10
"""Answers on the sheet."""

_VERIFIED = 40
"""Answers that geometry checks."""

_TRIED, _VERIFIED_WHILE_TRYING = 12, 20


@dataclass(frozen=True, slots=True)
class Measures:
    """How good the rankings are, as fractions.

    Attributes:
        recall_at_1: Share of queries whose first answer shows the place.
        mean_average_precision: Mean of the queries' average precisions, trapezoidal.
    """

    recall_at_1: float
    mean_average_precision: float


@dataclass(frozen=True, slots=True)
class PlacesDemo:
    """What the demo on rendered places made and measured.

    Attributes:
        queries: How many photos were searched for, one a place.
        photos: Among how many other photos.
        before: How good the rankings by descriptors alone are.
        after: How good they are after verification.
        collection: The collection.
        query: The query photo of the sheet: one whose first answer verification put right, if any.
        sheet: The result sheet.
    """

    queries: int
    photos: int
    before: Measures
    after: Measures
    collection: Path
    query: Path
    sheet: Path


@dataclass(frozen=True, slots=True)
class FolderDemo:
    """What the demo made and showed of somebody's own photos.

    Attributes:
        photos: Photos that can be searched.
        tried: How many photos were tried as a query.
        confirmed: How many answers to the best of them geometry confirmed.
        collection: The collection.
        query: The query photo of the sheet.
        sheet: The result sheet.
    """

    photos: int
    tried: int
    confirmed: int
    collection: Path
    query: Path
    sheet: Path


@dataclass(frozen=True, slots=True)
class _Searched:
    """A query's answer, and whether the answer at each rank shows the query's place, before and after."""

    query: Path
    answer: Answer
    before: list[bool]
    after: list[bool]

    @property
    def order(self) -> tuple[bool, int]:
        """Orders queries by what a sheet of theirs shows: a first answer put right, then inliers."""
        inliers = sum(hit.inliers or 0 for hit in self.answer.hits[:_SHOWN])
        return self.after[0] and not self.before[0], inliers


def render_places(folder: Path, *, progress: Progress = silent) -> bool:
    """Renders the photos of the demo into a folder; returns False where they were there already.

    Raises:
        OSError: The folder cannot be written, or holds photos of somebody else.
    """
    if len(list(folder.glob("*.jpg"))) == PLACES * VIEWS + DISTRACTORS:
        return False
    with whole_folder(folder, own=_RENDERED) as partial:
        write_collection(
            partial, places=PLACES, views=VIEWS, distractors=DISTRACTORS, side=_SIDE, progress=progress
        )
    return True


def demo_places(
    collection: Collection, photos: Path, sheet: Path, *, progress: Progress = silent
) -> PlacesDemo:
    """Returns how well a view of each place brings its other views, and writes a sheet of one query.

    Args:
        collection: Of the photos that `render_places` made, indexed.
        photos: Their folder.
        sheet: Where the result sheet is written.
        progress: Called with queries searched and queries in all.

    Raises:
        OSError: The sheet cannot be written.
    """
    views = ((path, _VIEW_NAME.fullmatch(path.stem)) for path in sorted(photos.iterdir()))
    places = {path: int(match[1]) for path, match in views if match}
    queries = [path for path in places if path.stem.endswith(f"_view_{_QUERY_VIEW}")]
    searched = []
    for one in in_threads(lambda query: _search(collection, query, places), queries):
        searched.append(one)
        progress(len(searched), len(queries))
    best = max(searched, key=lambda one: one.order)
    write_sheet(without_query(best.answer, _SHOWN), sheet)
    return PlacesDemo(
        queries=len(searched),
        photos=len(collection) - 1,
        before=_measure([one.before for one in searched]),
        after=_measure([one.after for one in searched]),
        collection=Path(str(collection.path)),
        query=best.query,
        sheet=sheet,
    )


def demo_folder(
    collection: Collection, photos: Path, sheet: Path, *, progress: Progress = silent
) -> FolderDemo:
    """Returns which photo of a folder has the most answers that geometry confirms, and writes its sheet.

    Args:
        collection: Of the folder, indexed; it holds at least one photo.
        photos: The folder.
        sheet: Where the result sheet is written.
        progress: Called with queries tried and queries in all.

    Raises:
        OSError: The sheet cannot be written.
    """
    broken = {photo.path for photo in collection.info().broken}
    readable = [path for path in find_photos([photos]) if str(path) not in broken]
    queries = _spread(readable, _TRIED)
    order = []
    for done, query in enumerate(queries, 1):
        answer = _answer(collection, query, verify=_VERIFIED_WHILE_TRYING)
        order.append((_confirmed(answer), max((hit.inliers or 0 for hit in answer.hits), default=0)))
        progress(done, len(queries))
    # The query with the most confirmed answers, then the most inliers, has the most to show.
    best = queries[order.index(max(order))]
    answer = _answer(collection, best, verify=_VERIFIED)
    write_sheet(answer, sheet)
    return FolderDemo(
        len(collection), len(queries), _confirmed(answer), Path(str(collection.path)), best, sheet
    )


def without_query(answer: Answer, shown: int) -> Answer:
    """Returns an answer without its query photos among the hits, cut to ``shown`` hits and ranked anew."""
    own = {os.path.realpath(query.path) for query in answer.queries}
    others = [hit for hit in answer.hits if os.path.realpath(hit.path) not in own][:shown]
    return replace(answer, hits=[replace(hit, rank=rank) for rank, hit in enumerate(others, 1)])


def _answer(collection: Collection, query: Path, *, verify: int) -> Answer:
    return without_query(collection.answer(Query(query, top=_SHOWN + 1, verify=verify)), _SHOWN)


def _confirmed(answer: Answer) -> int:
    return sum(hit.verdict == "confirmed" for hit in answer.hits)


def _spread(paths: Sequence[Path], number: int) -> list[Path]:
    """Returns at most ``number`` of the paths, spread evenly over all of them."""
    step = max(len(paths) / number, 1.0)
    return [paths[int(place * step)] for place in range(min(number, len(paths)))]


def _search(collection: Collection, query: Path, places: Mapping[Path, int]) -> _Searched:
    total = len(collection)
    before, after = (
        without_query(collection.answer(Query(query, top=total, verify=verify)), total)
        for verify in (0, _VERIFIED)
    )
    shows = [
        [places.get(Path(hit.path)) == places[query] for hit in answer.hits] for answer in (before, after)
    ]
    return _Searched(query, after, *shows)


def _measure(relevant: Sequence[Sequence[bool]]) -> Measures:
    rows = np.array(relevant, dtype=np.bool_)
    precisions = [average_precision(row, VIEWS - 1) for row in rows]
    return Measures(recall_at_k(rows, 1), float(np.mean(precisions)))
