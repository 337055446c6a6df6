"""Answers taken further: their files copied or linked into a folder, or listed in a table."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from resight.collection import Answer, Hit
from resight.errors import InvalidInput
from resight.files import whole_file, write_whole
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

    Returns:
        Paths of photos that are not there any more.

    Raises:
        InvalidInput: The folder is a file.
        OSError: A photo cannot be read or its copy written.
    """

    def copy(photo: Path, place: Path) -> None:
        with photo.open("rb") as source, whole_file(place) as target:
            shutil.copyfileobj(source, target)

    return _place(hits, folder, copy)


def link_photos(hits: Sequence[Hit], folder: Path) -> list[str]:
    """Makes symbolic links to the photos of some hits in a folder, which is made, as ``001-NAME`` by rank.

    Returns:
        Paths of photos that are not there any more.

    Raises:
        InvalidInput: The folder is a file, or something other than a link has a link's name.
        OSError: A link cannot be made.
    """

    def link(photo: Path, place: Path) -> None:
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            raise InvalidInput(f"{place} is no link: name another folder for the links")
        place.symlink_to(photo)

    return _place(hits, folder, link)


def write_table(hits: Sequence[Hit], path: Path) -> None:
    """Writes some hits as a CSV file.

    Columns: rank, path, similarity, verdict, inliers, those chance reaches, 1 where the photo is missing.

    Raises:
        OSError: The file cannot be written.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(_COLUMNS)
    for hit in hits:
        chance = "" if hit.match is None else f"{hit.match.expected:.2f}"
        inliers = "" if hit.inliers is None else hit.inliers
        table.writerow(
            (hit.rank, hit.path, f"{hit.similarity:.6f}", hit.verdict, inliers, chance, int(hit.missing))
        )
    write_whole(path, os.fsencode(stream.getvalue()))


def _place(hits: Sequence[Hit], folder: Path, put: Callable[[Path, Path], None]) -> list[str]:
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file: name a folder for the answers")
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for hit in hits:
        photo = Path(hit.path)
        if not hit.missing and photo.is_file():
            put(photo, folder / _name(hit.rank, photo))
        else:
            missing.append(hit.path)
    return missing


def _name(rank: int, photo: Path) -> str:
    """Returns the name of a photo by rank, cut off where no disk would take it."""
    room = _LONGEST_NAME - len(os.fsencode(f"{rank:03d}-{photo.suffix}"))
    stem = os.fsencode(photo.stem)[: max(room, 0)].decode("utf-8", "ignore")
    return f"{rank:03d}-{stem}{photo.suffix}"
