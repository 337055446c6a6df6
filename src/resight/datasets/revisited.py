"""Ground truth in the format of the revisited Oxford and Paris benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resight.datasets.landmark_truth import LandmarkTruth, Task, indices
from resight.datasets.matlab import read_matlab
from resight.datasets.plain_pickle import Plain, read_plain_pickle
from resight.errors import InvalidInput
from resight.features import Box
from resight.files import read_json, reading
from resight.files.budget import check_tree

__all__ = [
    "DIFFICULTIES",
    "GroundTruth",
    "QueryTruth",
    "box_of",
    "landmark_of",
    "landmarks_of",
    "names_of",
    "read_annotations",
    "read_ground_truth",
]

DIFFICULTIES = ("easy", "medium", "hard")
"""The three protocols of Radenovic et al., CVPR 2018."""


@dataclass(frozen=True, slots=True)
class QueryTruth:
    """One query: the box of the thing in its photo, and the database images that show it (indices from 0).

    ``landmark`` is the name of the thing, where the file has one; else empty.
    """

    box: Box
    easy: frozenset[int]
    hard: frozenset[int]
    junk: frozenset[int]
    landmark: str = ""

    def positives(self, difficulty: str) -> frozenset[int]:
        """Returns what must be found under a protocol: Easy easy, Medium easy and hard, Hard hard."""
        return {"easy": self.easy, "medium": self.easy | self.hard, "hard": self.hard}[difficulty]

    def ignored(self, difficulty: str) -> frozenset[int]:
        """Returns what is taken out of the ranking: Easy hard and junk, Medium junk, Hard easy and junk."""
        return {"easy": self.hard | self.junk, "medium": self.junk, "hard": self.easy | self.junk}[difficulty]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """A benchmark's names and answers.

    Attributes:
        database: Names of the database images, without suffix.
        queries: Names of the query images, without suffix; none of them is in the database.
        truths: One a query.
    """

    database: tuple[str, ...]
    queries: tuple[str, ...]
    truths: tuple[QueryTruth, ...]

    def as_landmarks(self, benchmark: str) -> LandmarkTruth:
        """Returns the three protocols as tasks."""
        return LandmarkTruth(
            benchmark,
            self.database,
            self.queries,
            tuple(truth.box for truth in self.truths),
            tuple(
                Task(
                    difficulty,
                    tuple(truth.positives(difficulty) for truth in self.truths),
                    tuple(truth.ignored(difficulty) for truth in self.truths),
                )
                for difficulty in DIFFICULTIES
            ),
            "trapezoidal",
            "The queries are not in the database.",
            landmarks_of([truth.landmark for truth in self.truths]),
        )


def read_ground_truth(path: str | Path) -> GroundTruth:
    """Returns the ground truth of a ``gnd_*.pkl``, its ``.mat`` twin, or of the same structure in JSON.

    Pickles are read without executing anything: only dicts, lists, texts and numbers are accepted. MATLAB
    counts images from 1, the others from 0.

    Raises:
        InvalidInput: The file is missing, holds something else, or an index lies outside the database.
        MissingExtra: It is a MATLAB file and SciPy is not installed.
    """
    path = Path(path)
    content = read_annotations(path)
    first = 1 if path.suffix == ".mat" else 0
    with reading(path, f"{path} is no ground truth of the revisited benchmarks"):
        database, queries = names_of(content, "imlist"), names_of(content, "qimlist")
        entries = content["gnd"]
        if not isinstance(entries, list):
            raise InvalidInput("gnd is no list")
        truths = tuple(_query_truth(entry, len(database), first) for entry in entries)
        if len(truths) != len(queries):
            raise InvalidInput(f"it lists {len(queries)} queries, but answers for {len(truths)}")
        if not truths:
            raise InvalidInput("it lists no query")
    return GroundTruth(database, queries, truths)


def read_annotations(path: Path) -> Mapping[str, Plain]:
    """Returns the named values of a pickle of plain values, a MATLAB or a JSON file.

    Raises:
        InvalidInput: The file is missing, or is none of these.
        MissingExtra: It is a MATLAB file and SciPy is not installed.
    """
    if path.suffix == ".mat":
        return read_matlab(path)
    if path.suffix == ".json":
        unreadable = f"cannot read the ground truth {path}"
        content: object = read_json(path, f"{path} is no ground truth", unreadable=unreadable)
        with reading(path, f"{path} is no ground truth"):
            check_tree(content)
    else:
        content = read_plain_pickle(path)
    if not isinstance(content, dict):
        raise InvalidInput(f"{path} is no ground truth: it holds a {type(content).__name__}, not a dict")
    return content


def names_of(content: Mapping[str, Plain], key: str) -> tuple[str, ...]:
    """Returns the names under a key.

    Raises:
        InvalidInput: There are none.
    """
    names = content[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput(f"{key} is no list of names")
    return tuple(map(str, names))


def box_of(value: object) -> Box:
    """Returns the box of x1, y1, x2, y2 in pixels.

    Raises:
        InvalidInput: It is none.
    """
    corners = np.asarray(value, dtype=np.float64).ravel().tolist()
    if len(corners) != 4:
        raise InvalidInput(f"a box has four numbers, not {len(corners)}")
    return Box(*corners)


def landmark_of(entry: Mapping[str, Plain]) -> str:
    """Returns the name under ``landmark`` in a query's entry; nothing where there is none.

    Raises:
        InvalidInput: It is neither a name nor a whole number.
    """
    name = entry.get("landmark", "")
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise InvalidInput(f"a landmark is a name or a whole number, not {name!r:.40}")
    return str(name)


def landmarks_of(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the landmarks of the queries; nothing where no query has one.

    Raises:
        InvalidInput: Some queries have one and others have none.
    """
    if not any(names):
        return ()
    if not all(names):
        raise InvalidInput(f"query number {list(names).index('')} (from 0) has no landmark, and others have")
    return tuple(names)


def _query_truth(entry: object, size: int, first: int) -> QueryTruth:
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"an entry of gnd is a dict, not a {type(entry).__name__}")
    easy, hard, junk = (indices(entry[key], first=first) for key in ("easy", "hard", "junk"))
    outside = [index for index in easy | hard | junk if not 0 <= index < size]
    if outside:
        raise InvalidInput(
            f"index {max(outside) + first} lies outside the database of {size} images "
            f"(indices start at {first})"
        )
    return QueryTruth(box_of(entry["bbx"]), easy, hard, junk, landmark_of(entry))
