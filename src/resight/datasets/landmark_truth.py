"""The answers of any landmark benchmark: the positives of each query, and what is ignored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from resight.errors import InvalidInput
from resight.features import Box

__all__ = ["Formula", "LandmarkTruth", "Task", "indices", "ordered_indices"]

Formula = Literal["trapezoidal", "rectangular at 100", "recall"]
"""How a query's ranking becomes a number; `resight.evaluation.measures.landmarks` chooses the measures."""


@dataclass(frozen=True, slots=True)
class Task:
    """One protocol over the same queries, such as Easy, Medium and Hard.

    Attributes:
        name: Lower case.
        positives: For each query the database images that must be found; None: the query is not of this task.
        ignored: For each query the images that leave the ranking before ranks are counted ("junk").
    """

    name: str
    positives: tuple[frozenset[int] | None, ...]
    ignored: tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class LandmarkTruth:
    """A landmark benchmark's names and answers.

    Attributes:
        benchmark: Its name.
        database: Names of the database images, without suffix.
        queries: Names of the query images, without suffix.
        boxes: The thing in each query's photo, in pixels; None: the whole photo, or it is not known.
        tasks: Easy, Medium and Hard, or whichever the benchmark has.
        formula: How rankings are measured.
        query_rule: What becomes of a query that is in the database, one sentence.
        landmarks: The landmark of each query, where the ground truth names it; else empty.
        files: What it was read from; two equal ground truths may come from different files.

    Raises:
        InvalidInput: Lengths differ, a name is repeated, or an index lies outside the database.
    """

    benchmark: str
    database: tuple[str, ...]
    queries: tuple[str, ...]
    boxes: tuple[Box | None, ...]
    tasks: tuple[Task, ...]
    formula: Formula
    query_rule: str
    landmarks: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        _refuse_repeated(self.database, "database")
        _refuse_repeated(self.queries, "query")
        if self.landmarks and len(self.landmarks) != len(self.queries):
            raise InvalidInput(
                f"it lists {len(self.queries)} queries, but landmarks for {len(self.landmarks)}"
            )
        for task in self.tasks:
            if not len(self.queries) == len(self.boxes) == len(task.positives) == len(task.ignored):
                raise InvalidInput(
                    f"it lists {len(self.queries)} queries, but answers for {len(task.positives)}"
                )
            for query, (positives, ignored) in enumerate(zip(task.positives, task.ignored, strict=True)):
                outside = [i for i in (positives or set()) | ignored if not 0 <= i < len(self.database)]
                if outside:
                    raise InvalidInput(
                        f"the answers of query {self.queries[query]} hold number {max(outside)} (from 0), "
                        f"and the database has {len(self.database)} images"
                    )

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change with any name, box or answer."""
        answers = [
            [task.name, [p if p is None else sorted(p) for p in task.positives], [*map(sorted, task.ignored)]]
            for task in self.tasks
        ]
        boxes = [box and box.corners for box in self.boxes]
        content = [self.database, self.queries, boxes, answers, self.formula]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    def marked(self, query: int) -> frozenset[int]:
        """Returns the database images whose ranks any task needs for a query."""
        return frozenset().union(
            *((task.positives[query] or set()) | task.ignored[query] for task in self.tasks)
        )


def indices(value: object, *, first: int) -> frozenset[int]:
    """Returns the set of what `ordered_indices` returns.

    Raises:
        InvalidInput: They are no whole numbers.
    """
    return frozenset(ordered_indices(value, first=first))


def ordered_indices(value: object, *, first: int) -> list[int]:
    """Returns numbers of images, counted from ``first`` in the file, counted from 0.

    Raises:
        InvalidInput: They are no whole numbers.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        raise InvalidInput(f"numbers of images are expected, not {value!r:.40}")
    numbers = np.asarray(value)
    if numbers.size and (numbers.dtype.kind not in "iuf" or (numbers != np.floor(numbers)).any()):
        raise InvalidInput(f"numbers of images are expected, not {numbers.ravel()[0]}")
    return [int(number) - first for number in numbers.ravel().tolist()]


def _refuse_repeated(names: Sequence[str], role: str) -> None:
    if len(set(names)) == len(names):
        return
    earlier: set[str] = set()
    for name in names:
        if name in earlier:
            raise InvalidInput(f"the {role} image {name} is listed twice")
        earlier.add(name)
