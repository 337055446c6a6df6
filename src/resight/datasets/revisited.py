"""Ground truth in the format of the revisited Oxford and Paris benchmarks."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["DIFFICULTIES", "GroundTruth", "QueryTruth", "read_ground_truth"]

DIFFICULTIES = ("easy", "medium", "hard")
"""The three protocols of Radenovic et al., CVPR 2018."""


@dataclass(frozen=True, slots=True)
class QueryTruth:
    """One query: the box of the thing in its photo, and the database images that show it (indices from 0)."""

    box: Box
    easy: frozenset[int]
    hard: frozenset[int]
    junk: frozenset[int]

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


class _PlainUnpickler(pickle.Unpickler):
    """Reads pickles of built-in containers, texts and numbers; refuses to look up any class or function."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"it names {module}.{name}, and only plain types are read")


def read_ground_truth(path: str | Path) -> GroundTruth:
    """Returns the ground truth of a ``gnd_*.pkl`` or of the same structure in JSON.

    Pickles are read without executing anything: only dicts, lists, texts and numbers are accepted.

    Raises:
        InvalidInput: The file is missing, holds something else, or an index lies outside the database.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        content = json.loads(data) if path.suffix == ".json" else _PlainUnpickler(io.BytesIO(data)).load()
        return _ground_truth(content)
    except OSError as error:
        raise InvalidInput(f"cannot read the ground truth {path}: {error.strerror}") from None
    except (
        pickle.UnpicklingError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as e:
        raise InvalidInput(f"{path} is no ground truth of the revisited benchmarks: {e}") from None


def _ground_truth(content: Mapping[str, Sequence[object]]) -> GroundTruth:
    database, queries = tuple(map(str, content["imlist"])), tuple(map(str, content["qimlist"]))
    truths = tuple(_query_truth(entry, len(database)) for entry in content["gnd"])
    if len(truths) != len(queries):
        raise InvalidInput(f"it lists {len(queries)} queries, but answers for {len(truths)}")
    return GroundTruth(database, queries, truths)


def _query_truth(entry: object, size: int) -> QueryTruth:
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"an entry of gnd is a dict, not a {type(entry).__name__}")
    easy, hard, junk = (frozenset(int(index) for index in entry[key]) for key in ("easy", "hard", "junk"))
    outside = [index for index in easy | hard | junk if not 0 <= index < size]
    if outside:
        raise InvalidInput(
            f"index {max(outside)} lies outside the database of {size} images (indices start at 0)"
        )
    return QueryTruth(Box(*map(float, entry["bbx"])), easy, hard, junk)
