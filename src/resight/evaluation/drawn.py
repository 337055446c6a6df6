"""What is drawn with replacement for the intervals of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from resight.datasets.landmark_truth import LandmarkTruth
from resight.datasets.query_landmarks import QueryLandmarks, query_landmarks
from resight.errors import InvalidInput
from resight.evaluation.statistics import Intervals

__all__ = ["DrawnUnits", "drawn_classes", "drawn_units", "units_of"]


_AS_ASKED = "queries were drawn, as asked for: too narrow where several are of one {}"


@dataclass(frozen=True, slots=True)
class DrawnUnits:
    """The class or landmark of each query, or queries themselves.

    Attributes:
        of: A number a query, equal for queries of one class or landmark; empty: queries are drawn.
        words: Which are drawn and why, for the card.
        name: Which are drawn.
    """

    of: tuple[int, ...]
    words: str
    name: Intervals = "queries"

    @property
    def array(self) -> Int64[np.ndarray, " queries"] | None:
        """The class or landmark of each query as the statistics take it; ``None``: queries are drawn."""
        return np.array(self.of, dtype=np.int64) if self.of else None


def drawn_units(truth: LandmarkTruth, intervals: Intervals | None) -> DrawnUnits:
    """Returns what is drawn for the intervals of a ground truth.

    Args:
        truth: With the positives of each query.
        intervals: ``landmarks`` or ``queries``; ``None``: landmarks.

    Raises:
        InvalidInput: Classes are to be drawn: the benchmark has none.
    """
    counted = [
        frozenset(query for query, positives in enumerate(task.positives) if positives)
        for task in truth.tasks
    ]
    _refuse_classes(intervals, truth.benchmark)
    landmarks = None if intervals == "queries" else query_landmarks(truth)
    return units_of(landmarks, counted, intervals)


def drawn_classes(
    classes: Int64[np.ndarray, " queries"], benchmark: str, intervals: Intervals | None
) -> DrawnUnits:
    """Returns what is drawn for the intervals of a labelled set.

    Args:
        classes: Of each query.
        benchmark: What messages call the set.
        intervals: ``classes`` or ``queries``; ``None``: classes.

    Raises:
        InvalidInput: Landmarks are to be drawn: the set has none.
    """
    if intervals == "landmarks":
        raise InvalidInput(f"{benchmark} has classes, not landmarks: intervals draw classes or queries")
    if intervals == "queries":
        return DrawnUnits((), _AS_ASKED.format("class"))
    count = len(np.unique(classes))
    # One class cannot be drawn in two ways: an interval of no width would claim certainty.
    if count < 2:
        return DrawnUnits((), "queries were drawn: they are of fewer than two classes")
    words = f"{count:,} classes were drawn, each with all of its queries"
    return DrawnUnits(tuple(classes.tolist()), words, "classes")


def units_of(
    landmarks: QueryLandmarks | None, counted: Sequence[Set[int]], intervals: Intervals | None
) -> DrawnUnits:
    """Returns what is drawn, where the landmarks of the queries are known or not.

    Args:
        landmarks: Of the queries; ``None``: they are not known.
        counted: The queries that count, of each task.
        intervals: As for `drawn_units`.

    Raises:
        InvalidInput: Classes are to be drawn.
    """
    _refuse_classes(intervals, "this benchmark")
    if intervals == "queries":
        return DrawnUnits((), _AS_ASKED.format("landmark"))
    if landmarks is None:
        return DrawnUnits((), "queries were drawn: the ground truth does not tell which show one landmark")
    # One landmark cannot be drawn in two ways: an interval of no width would claim certainty.
    if any(len({landmarks.of[query] for query in some}) < 2 for some in counted):
        return DrawnUnits((), "queries were drawn: those that count show fewer than two landmarks")
    queries = frozenset().union(*counted)
    count = len({landmarks.of[query] for query in queries})
    return DrawnUnits(
        landmarks.of,
        f"{count:,} landmarks of {len(queries):,} queries that count were drawn; known: {landmarks.found}",
        "landmarks",
    )


def _refuse_classes(intervals: Intervals | None, benchmark: str) -> None:
    if intervals == "classes":
        raise InvalidInput(f"{benchmark} has landmarks, not classes: intervals draw landmarks or queries")
