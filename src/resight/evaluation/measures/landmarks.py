"""The measures of the landmark benchmarks, from the ranks of the positives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int64

from resight.datasets.landmark_truth import Formula, Task
from resight.datasets.revisited import QueryTruth
from resight.errors import InvalidInput
from resight.evaluation.measures.retrieval import (
    average_precision,
    precision_at,
    rectangular_at_100,
    trapezoidal,
)
from resight.evaluation.quantity import Quantity
from resight.search.exact import Ranks

__all__ = [
    "PRECISIONS_AT",
    "RECALLS_AT",
    "LandmarkColumn",
    "RevisitedResult",
    "evaluate_revisited",
    "main_quantity",
    "measure_task",
    "ranks_without",
]

PRECISIONS_AT = (1, 5, 10)
"""Ranks at which the revisited benchmarks report mean precision."""
RECALLS_AT = (1, 5, 10)
"""Ranks at which place recognition reports recall."""


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkColumn:
    """One measure of every query.

    Attributes:
        quantity: What is measured.
        values: float64 ``(queries,)``; NaN where the query does not count.
    """

    quantity: Quantity
    values: Float64[np.ndarray, " queries"]


def main_quantity(formula: Formula, task: str) -> Quantity:
    """Returns what a benchmark is known by, of one task."""
    if formula == "recall":
        return Quantity("R", 1, task)
    return Quantity("mAP" if formula == "trapezoidal" else "mAP@100", task=task)


def measure_task(
    formula: Formula, task: Task, ranks: Sequence[Int64[np.ndarray, " _"]]
) -> list[LandmarkColumn]:
    """Returns the measures of a task from its positives' ranks, what is ignored already taken out.

    Args:
        formula: The benchmark's.
        task: The positives of each query.
        ranks: For each query the ranks of the positives that are ranked, from 0, ascending.
    """
    measures: list[tuple[Quantity, Callable[[Int64[np.ndarray, " hits"], int], float]]]
    if formula == "rectangular at 100":
        measures = [(Quantity("mAP@100", task=task.name), rectangular_at_100)]
    elif formula == "recall":
        measures = [(Quantity("R", k, task.name), partial(_found_within, k=k)) for k in RECALLS_AT]
    else:
        measures = [
            (Quantity("mAP", task=task.name), trapezoidal),
            *((Quantity("mP", k, task.name), partial(precision_at, k=k)) for k in PRECISIONS_AT),
        ]
    columns = []
    for quantity, measure in measures:
        values = [
            float("nan") if positives is None else measure(hits, len(positives))
            for hits, positives in zip(ranks, task.positives, strict=True)
        ]
        columns.append(LandmarkColumn(quantity, np.array(values, dtype=np.float64)))
    return columns


def ranks_without(
    ranks: Ranks, query: int, task: Task, *, head: Int64[np.ndarray, " top"] | None = None
) -> Int64[np.ndarray, " hits"]:
    """Returns the ranks of a task's positives, from 0, ascending, after what it ignores has left.

    Args:
        ranks: With every positive and ignored image of the query marked.
        query: Its number.
        task: The positives and what is ignored.
        head: The first answers in another order, without ignored ones: the same images, re-ranked.
    """
    marked, places = ranks.marked[query], ranks.places[query]
    ranked = places >= 0
    ignored = np.sort(places[ranked & _among(marked, task.ignored[query])])
    positive = ranked & _among(marked, task.positives[query] or frozenset())
    hits = places[positive] - np.searchsorted(ignored, places[positive])
    if head is not None and len(head):
        order = np.argsort(head)
        at = order[np.minimum(np.searchsorted(head, marked[positive], sorter=order), len(head) - 1)]
        hits = np.where(head[at] == marked[positive], at, hits)
    return np.sort(hits)


def _found_within(ranks: Int64[np.ndarray, " hits"], positives: int, *, k: int) -> float:
    """Returns whether one of the first k answers is right; NaN where no right one exists."""
    return float(len(ranks) > 0 and int(ranks[0]) < k) if positives else float("nan")


def _among(marked: Int64[np.ndarray, " m"], some: frozenset[int]) -> Bool[np.ndarray, " m"]:
    return np.isin(marked, np.fromiter(some, dtype=np.int64, count=len(some)))


@dataclass(frozen=True, slots=True)
class RevisitedResult:
    """One protocol's result.

    Attributes:
        difficulty: ``easy``, ``medium`` or ``hard``.
        average_precisions: One a query, a fraction; NaN where the query has no positive under this protocol.
    """

    difficulty: str
    average_precisions: tuple[float, ...]

    @property
    def mean_average_precision(self) -> float:
        """The mean over the queries that have a positive; NaN where none has."""
        values = np.array(self.average_precisions)
        counted = values[~np.isnan(values)]
        return float(counted.mean()) if len(counted) else float("nan")


def evaluate_revisited(
    ids: Sequence[Int64[np.ndarray, " ranks"]], truths: Sequence[QueryTruth], difficulty: str
) -> RevisitedResult:
    """Returns the average precision of every query under one protocol.

    What the protocol ignores is taken out of the ranking first; the formula is `average_precision`
    (Radenovic et al., "Revisiting Oxford and Paris", CVPR 2018, section 4).

    Args:
        ids: Database indices of each query, best first, without padding; may be truncated.
        truths: The same queries' ground truth.
        difficulty: ``easy``, ``medium`` or ``hard``.

    Raises:
        InvalidInput: There are more or fewer rankings than queries.

    >>> import numpy as np
    >>> from resight.datasets.revisited import QueryTruth
    >>> from resight.features import Box
    >>> truth = QueryTruth(Box(0, 0, 9, 9), easy=frozenset({1}), hard=frozenset({2}), junk=frozenset({0}))
    >>> evaluate_revisited([np.array([0, 2, 1])], [truth], "easy").mean_average_precision
    1.0
    """
    if len(ids) != len(truths):
        raise InvalidInput(f"{len(ids)} rankings were given for {len(truths)} queries")
    values = []
    for row, truth in zip(ids, truths, strict=True):
        positives, ignored = truth.positives(difficulty), truth.ignored(difficulty)
        ranked = row[~np.isin(row, list(ignored))]
        values.append(average_precision(np.isin(ranked, list(positives)), len(positives)))
    return RevisitedResult(difficulty, tuple(values))
