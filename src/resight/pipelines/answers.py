"""Answers taken further: their files copied or linked into a folder, or listed in a table."""

from __future__ import annotations

import csv
import filecmp
import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from resight.collection import Answer, Hit, written_score
from resight.errors import InvalidInput
from resight.files import filled_folder, whole_file, write_whole
from resight.search import Verdict

__all__ = ["copy_photos", "link_photos", "only", "write_table"]

_COLUMNS = ("rank", "path", "similarity", "verdict", "inliers", "chance", "missing")

_LONGEST_NAME = 255
"""Bytes of a name on every usual disk."""


def only(answer: Answer, verdict: Verdict) -> Answer:
    """Returns the answer with the hits of one verdict alone; they keep their ranks."""
    return replace(answer, hits=[hit for hit in answer.hits if hit.verdict == verdict])


def copy_photos(hits: Sequence[Hit], folder: Path) -> list[str]:
    """Copies the photos of some hits into a folder, which is made, as ``001-NAME`` by rank.

    What is in the folder stays; a copy that is there already is not made again.

    Returns:
        Paths of photos that are not there any more.

    Raises:
        InvalidInput: The folder is a file, or another file has the name of a copy; nothing is copied then.
        OSError: A photo cannot be read or its copy written; copies made before are removed.
    """

    def copy(photo: Path, place: Path) -> None:
        with photo.open("rb") as source, whole_file(place) as target:
            shutil.copyfileobj(source, target)

    def same(photo: Path, place: Path) -> bool:
        return not place.is_symlink() and place.is_file() and filecmp.cmp(photo, place, shallow=False)

    return _place(hits, folder, copy, same, "the copies")


def link_photos(hits: Sequence[Hit], folder: Path) -> list[str]:
    """Makes symbolic links to the photos of some hits in a folder, which is made, as ``001-NAME`` by rank.

    What is in the folder stays; a link that is there already is not made again.

    Returns:
        Paths of photos that are not there any more.

    Raises:
        InvalidInput: The folder is a file, or something else has a link's name; no link is made then.
        OSError: A link cannot be made; those made before are removed.
    """

    def link(photo: Path, place: Path) -> None:
        place.symlink_to(photo)

    def same(photo: Path, place: Path) -> bool:
        return place.is_symlink() and place.readlink() == photo

    return _place(hits, folder, link, same, "the links")


def write_table(hits: Sequence[Hit], path: Path) -> None:
    """Writes some hits as a CSV file.

    Columns: rank, path, similarity, verdict, inliers, those chance reaches, 1 where the photo is missing; of
    a calibrated collection also the probability.

    Raises:
        OSError: The file cannot be written.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    is_calibrated = any(hit.probability is not None for hit in hits)
    table.writerow((*_COLUMNS, "probability") if is_calibrated else _COLUMNS)
    for hit in hits:
        chance = "" if hit.match is None else f"{hit.match.expected:.2f}"
        inliers = "" if hit.inliers is None else hit.inliers
        row = (
            hit.rank,
            hit.path,
            f"{written_score(hit):.6f}",
            hit.verdict,
            inliers,
            chance,
            int(hit.missing),
        )
        likely = "" if hit.probability is None else f"{hit.probability:.4f}"
        table.writerow((*row, likely) if is_calibrated else row)
    write_whole(path, os.fsencode(stream.getvalue()))


def _place(
    hits: Sequence[Hit],
    folder: Path,
    put: Callable[[Path, Path], None],
    same: Callable[[Path, Path], bool],
    what: str,
) -> list[str]:
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file: name a folder for the answers")
    here = [hit for hit in hits if not hit.missing and Path(hit.path).is_file()]
    places = {folder / _name(hit.rank, Path(hit.path)): Path(hit.path) for hit in here}
    wanted = {place: photo for place, photo in places.items() if not os.path.lexists(place)}
    for place in places.keys() - wanted.keys():
        if not same(places[place], place):
            raise InvalidInput(f"{place} is there and is something else: name another folder for {what}")
    made: list[Path] = []
    with filled_folder(folder):
        try:
            for place, photo in wanted.items():
                put(photo, place)
                made.append(place)
        except BaseException:
            for place in made:
                place.unlink(missing_ok=True)
            raise
    return [hit.path for hit in hits if hit not in here]


def _name(rank: int, photo: Path) -> str:
    """Returns the name of a photo by rank, cut off where no disk would take it."""
    room = _LONGEST_NAME - len(os.fsencode(f"{rank:03d}-{photo.suffix}"))
    stem = os.fsencode(photo.stem)[: max(room, 0)].decode("utf-8", "ignore")
    return f"{rank:03d}-{stem}{photo.suffix}"
