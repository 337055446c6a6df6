"""Mean average precision by the protocols of the revisited Oxford and Paris benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from resight.datasets.revisited import QueryTruth
from resight.errors import InvalidInput
from resight.evaluation.measures.retrieval import average_precision

__all__ = ["RevisitedResult", "evaluate_revisited"]


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
    """
    if len(ids) != len(truths):
        raise InvalidInput(f"{len(ids)} rankings were given for {len(truths)} queries")
    values = []
    for row, truth in zip(ids, truths, strict=True):
        positives, ignored = truth.positives(difficulty), truth.ignored(difficulty)
        kept = row[~np.isin(row, list(ignored))]
        values.append(average_precision(np.isin(kept, list(positives)), len(positives)))
    return RevisitedResult(difficulty, tuple(values))
