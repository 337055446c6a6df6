"""Ground truth of the original Oxford5k and Paris6k benchmarks (Philbin et al., CVPR 2007 and 2008)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from resight.datasets.landmark_truth import LandmarkTruth, Task, indices, ordered_indices
from resight.datasets.lists import text_lines
from resight.datasets.plain_pickle import Plain
from resight.datasets.revisited import box_of, landmark_of, landmarks_of, names_of, read_annotations
from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["read_oxford_paris", "read_oxford_paris_lists"]

QUERY_RULE = "The query's own photo stays in the database and counts as a positive."
_QUERY_FILE = re.compile(r"(.+)_query\.txt")
# The lists of Oxford write the names of queries with this before them.
_PREFIX = "oxc1_"


def read_oxford_paris(path: str | Path, *, benchmark: str = "oxford5k") -> LandmarkTruth:
    """Returns the ground truth of a ``gnd_oxford5k`` or ``gnd_paris6k`` file: .mat, .pkl (plain) or .json.

    MATLAB counts images from 1 and may name the queries by number (``qidx``); query boxes may be missing.

    Raises:
        InvalidInput: The file is missing, holds something else, or an index lies outside the database.
        MissingExtra: It is a MATLAB file and SciPy is not installed.
    """
    path = Path(path)
    first = 1 if path.suffix == ".mat" else 0
    content = read_annotations(path)
    try:
        database = names_of(content, "imlist")
        entries = content["gnd"]
        if not isinstance(entries, list):
            raise InvalidInput("gnd is no list")
        queries = _queries(content, database, first)
        if len(entries) != len(queries):
            raise InvalidInput(f"it lists {len(queries)} queries, but answers for {len(entries)}")
        positives, ignored, boxes = zip(*(_answers(entry, first) for entry in entries), strict=True)
        return LandmarkTruth(
            benchmark,
            database,
            queries,
            boxes,
            (Task("all", positives, ignored),),
            "trapezoidal",
            QUERY_RULE,
            landmarks_of([landmark_of(entry) for entry in entries if isinstance(entry, Mapping)]),
            (path,),
        )
    except KeyError as error:
        raise InvalidInput(f"{path} is no ground truth of Oxford5k or Paris6k: no {error}") from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is no ground truth of Oxford5k or Paris6k: {error}") from None


def read_oxford_paris_lists(
    folder: str | Path, database: tuple[str, ...], *, benchmark: str = "oxford5k"
) -> LandmarkTruth:
    """Returns the ground truth of the authors' folder of lists, ``{landmark}_{n}_{good,ok,junk,query}.txt``.

    Args:
        folder: Of the lists.
        database: Names of all database images, which the lists do not tell.
        benchmark: Its name.

    Raises:
        InvalidInput: A list is missing or cannot be understood, or names an image that is not there.
    """
    folder = Path(folder)
    names = sorted(match[1] for path in folder.glob("*.txt") if (match := _QUERY_FILE.fullmatch(path.name)))
    if not names:
        raise InvalidInput(f"{folder} holds no lists of Oxford5k or Paris6k: there is no *_query.txt")
    places = {name: index for index, name in enumerate(database)}
    queries, boxes = zip(*(_query_line(folder / f"{name}_query.txt") for name in names), strict=True)
    good, fair, junk = (
        [_places(folder / f"{name}_{kind}.txt", places) for name in names] for kind in ("good", "ok", "junk")
    )
    positives = tuple(one | other for one, other in zip(good, fair, strict=True))
    return LandmarkTruth(
        benchmark,
        database,
        queries,
        boxes,
        (Task("all", positives, tuple(junk)),),
        "trapezoidal",
        QUERY_RULE,
        tuple(name.rpartition("_")[0] or name for name in names),
        tuple(sorted(folder.glob("*.txt"))),
    )


def _answers(entry: object, first: int) -> tuple[frozenset[int], frozenset[int], Box | None]:
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"an entry of gnd is a dict, not a {type(entry).__name__}")
    box = box_of(entry["bbx"]) if "bbx" in entry else None
    return indices(entry["ok"], first=first), indices(entry["junk"], first=first), box


def _queries(content: Mapping[str, Plain], database: tuple[str, ...], first: int) -> tuple[str, ...]:
    if "qimlist" in content:
        return names_of(content, "qimlist")
    listed = ordered_indices(content["qidx"], first=first)
    outside = [number for number in listed if not 0 <= number < len(database)]
    if outside:
        raise InvalidInput(f"query number {outside[0] + first} is none of {len(database)} images")
    return tuple(database[number] for number in listed)


def _query_line(path: Path) -> tuple[str, Box]:
    words = " ".join(text_lines(path)).split()
    try:
        name, *corners = words
        return name.removeprefix(_PREFIX), box_of([float(corner) for corner in corners])
    except ValueError as error:
        raise InvalidInput(f"{path} is no query of Oxford5k or Paris6k: {error}") from None


def _places(path: Path, places: Mapping[str, int]) -> frozenset[int]:
    names = [line.strip() for line in text_lines(path) if line.strip()]
    missing = [name for name in names if name not in places]
    if missing:
        raise InvalidInput(f"{path} names {missing[0]}, which is not among {len(places):,} database images")
    return frozenset(places[name] for name in names)
