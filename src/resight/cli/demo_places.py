"""The demo on rendered places: their truth is known, so that the answers can be measured."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.demo_answer import SHOWN, VERIFIED, index_folder, without_query
from resight.cli.output import note
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.collection import Answer, Collection

__all__ = ["Measures", "PlacesDemo", "places_demo"]

_PLACES, _VIEWS, _DISTRACTORS = 40, 8, 30
_QUERY_VIEW = 0
# Smaller than the 640 pixels that sift looks at, so that all of it stays under a minute on two cores.
_SIDE = 480
_VIEW_NAME = re.compile(r"place_(\d+)_view_(\d+)")


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
class _Searched:
    """A query's answer, and whether the answer at each rank shows the query's place, before and after."""

    query: Path
    answer: Answer
    before: list[bool]
    after: list[bool]

    @property
    def shows(self) -> tuple[bool, int]:
        """Orders queries by what a sheet of theirs shows: a first answer put right, then inliers."""
        inliers = sum(hit.inliers or 0 for hit in self.answer.hits[:SHOWN])
        return self.after[0] and not self.before[0], inliers


def places_demo(out: Path) -> PlacesDemo:
    """Returns what the demo measured on rendered places; what an earlier run made is used again."""
    from resight.reports.sheet import write_sheet

    place_of = _render(out / "photos")
    collection = index_folder(out / "photos", out / "demo.resight")
    searched = _search_all(collection, place_of)
    best = max(searched, key=lambda one: one.shows)
    write_sheet(without_query(best.answer, SHOWN), out / "answers.html")
    return PlacesDemo(
        queries=len(searched),
        photos=len(collection) - 1,
        before=_measure([one.before for one in searched]),
        after=_measure([one.after for one in searched]),
        collection=out / "demo.resight",
        query=best.query,
        sheet=out / "answers.html",
    )


def _render(folder: Path) -> dict[Path, tuple[int, int]]:
    """Returns place and view of each photo of a place, rendered where they are not there yet."""
    from resight.files import whole_folder
    from resight.scenes.render import write_collection

    if len(list(folder.glob("*.jpg"))) != _PLACES * _VIEWS + _DISTRACTORS:
        with progress("Rendering") as report, whole_folder(folder) as partial:
            write_collection(
                partial,
                places=_PLACES,
                views=_VIEWS,
                distractors=_DISTRACTORS,
                side=_SIDE,
                progress=report,
            )
        note(f"Rendered {_PLACES} places in {_VIEWS} views and {_DISTRACTORS} other photos")
    views = ((path, _VIEW_NAME.fullmatch(path.stem)) for path in sorted(folder.iterdir()))
    return {path: (int(match[1]), int(match[2])) for path, match in views if match}


def _search_all(collection: Collection, place_of: Mapping[Path, tuple[int, int]]) -> list[_Searched]:
    """Returns the rankings of one query a place, with and without verification, in order of the places."""
    queries = [path for path, (_, view) in place_of.items() if view == _QUERY_VIEW]
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        running = [pool.submit(_search, collection, query, place_of) for query in queries]
        with progress("Searching", "queries") as report:
            for done, _ in enumerate(as_completed(running), 1):
                report(done, len(queries))
        return [future.result() for future in running]
    finally:
        pool.shutdown(cancel_futures=True)


def _search(collection: Collection, query: Path, place_of: Mapping[Path, tuple[int, int]]) -> _Searched:
    from resight.collection import Query

    place, _ = place_of[query]
    total = len(collection)
    before, after = (
        without_query(collection.answer(Query(query, top=total, verify=verify)), total)
        for verify in (0, VERIFIED)
    )
    shows = [
        [place_of.get(Path(hit.path), (None, 0))[0] == place for hit in answer.hits]
        for answer in (before, after)
    ]
    return _Searched(query, after, *shows)


def _measure(relevant: Sequence[Sequence[bool]]) -> Measures:
    import numpy as np

    from resight.evaluation import recall_at_k

    precisions = [_average_precision(row) for row in relevant]
    return Measures(recall_at_k(np.array(relevant, dtype=bool), 1), float(np.mean(precisions)))


def _average_precision(relevant: Sequence[bool]) -> float:
    import numpy as np

    from resight.evaluation import average_precision

    return average_precision(np.array(relevant, dtype=bool), _VIEWS - 1)
