"""The demo on a folder of one's own: nobody knows the truth, so it shows what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resight.cli.demo_answer import SHOWN, VERIFIED, index_folder, without_query
from resight.cli.output import count, shown_path
from resight.cli.progress import progress

if TYPE_CHECKING:
    from resight.collection import Answer, Collection

__all__ = ["FolderDemo", "folder_demo"]

_TRIED = 12
_VERIFIED_WHILE_TRYING = 20


@dataclass(frozen=True, slots=True)
class FolderDemo:
    """What the demo on a folder made and found.

    Attributes:
        photos: Photos that can be searched.
        tried: How many photos were tried as a query.
        confirmed: How many answers to the best of them geometry confirmed.
        finding: The same as a sentence.
        collection: The collection.
        query: The query photo of the sheet.
        sheet: The result sheet.
    """

    photos: int
    tried: int
    confirmed: int
    finding: str
    collection: Path
    query: Path
    sheet: Path


def folder_demo(photos: Path, out: Path) -> FolderDemo:
    """Returns what the demo found in a folder of photos.

    Raises:
        InvalidInput: The folder is not there, or holds no photo that can be read.
    """
    from resight.collection import Query
    from resight.errors import InvalidInput
    from resight.reports.sheet import write_sheet

    path = out / f"{photos.resolve().name or 'photos'}.resight"
    collection = index_folder(photos, path)
    if not len(collection):
        raise InvalidInput(
            f"{photos} holds no photo that can be read: name a folder of JPEG, PNG or other photos"
        )
    tried = _spread(_readable(collection, photos), _TRIED)
    best = _most_confirmed(collection, tried)
    answer = without_query(collection.answer(Query(best, top=SHOWN + 1, verify=VERIFIED)), SHOWN)
    write_sheet(answer, out / "answers.html")
    confirmed = _confirmed(answer)
    return FolderDemo(
        photos=len(collection),
        tried=len(tried),
        confirmed=confirmed,
        finding=_finding(best, len(tried), confirmed),
        collection=path,
        query=best,
        sheet=out / "answers.html",
    )


def _readable(collection: Collection, photos: Path) -> list[Path]:
    from resight.collection import find_photos

    broken = {photo.path for photo in collection.info().broken}
    return [path for path in find_photos([photos]) if str(path) not in broken]


def _spread(paths: Sequence[Path], number: int) -> list[Path]:
    """Returns at most ``number`` of the paths, spread evenly over all of them."""
    step = max(len(paths) / number, 1.0)
    return [paths[int(place * step)] for place in range(min(number, len(paths)))]


def _most_confirmed(collection: Collection, tried: Sequence[Path]) -> Path:
    """Returns the query with the most confirmed answers, then the most inliers: it has the most to show."""
    from resight.collection import Query

    found = []
    with progress("Trying queries", "queries") as report:
        for done, query in enumerate(tried, 1):
            asked = collection.answer(Query(query, top=SHOWN + 1, verify=_VERIFIED_WHILE_TRYING))
            answer = without_query(asked, SHOWN)
            inliers = max((hit.inliers or 0 for hit in answer.hits), default=0)
            found.append((_confirmed(answer), inliers, query))
            report(done, len(tried))
    return max(found, key=lambda entry: entry[:2])[2]


def _confirmed(answer: Answer) -> int:
    return sum(hit.verdict == "confirmed" for hit in answer.hits)


def _finding(query: Path, tried: int, confirmed: int) -> str:
    of = f"Of {count(tried, 'photo')} tried as a query,"
    if confirmed:
        return f"{of} {shown_path(query)} has the most answers confirmed by geometry: {confirmed}."
    return (
        f"{of} none has an answer confirmed by geometry; "
        f"the sheet shows what looks most like {shown_path(query)}."
    )
