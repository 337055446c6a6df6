"""What all re-rankers by descriptors share: the first answers of each row scored and sorted anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.search.ranking import Ranking

__all__ = ["rescore_heads"]


def rescore_heads(
    ranking: Ranking,
    queries: Float32[np.ndarray, "q dim"],
    descriptors_of: Callable[[Int64[np.ndarray, " n"]], Float32[np.ndarray, "n dim"]],
    rescored: Callable[
        [Float32[np.ndarray, " dim"], Float32[np.ndarray, "m dim"]], Float64[np.ndarray, " m"]
    ],
    *,
    top: int,
) -> Ranking:
    """Returns the ranking with its first ``top`` ids sorted by a new score; the rest is untouched.

    Ties keep the order they had. The new scores of a row stay as they are where all of them reach the
    first score of the rest; else one constant lifts them, so that the lowest equals that score.

    Args:
        ranking: Not changed.
        queries: One descriptor a row.
        descriptors_of: Descriptors of ids, in their order.
        rescored: New scores of candidates for one query, larger is better.
        top: Answers that are re-ranked in each row.

    Raises:
        InvalidInput: ``top`` is negative, or queries or descriptors have another shape or are not finite.
    """
    queries = np.asarray(queries)
    if queries.ndim != 2 or len(queries) != len(ranking) or top < 0:
        raise InvalidInput(
            f"re-ranking {len(ranking)} queries needs as many descriptors and top >= 0, "
            f"got {queries.shape} and {top}"
        )
    if not np.isfinite(queries).all():
        raise InvalidInput("descriptors of the queries must be finite")
    ids, scores = ranking.ids.copy(), ranking.scores.copy()
    for row, query in enumerate(queries.astype(np.float32)):
        row_ids, row_scores = ranking.row(row)
        head = row_ids[:top]
        if len(head) == 0:
            continue
        candidates = np.asarray(descriptors_of(head))
        if candidates.shape != (len(head), len(query)):
            raise InvalidInput(
                f"{len(head)} answers need descriptors of shape ({len(head)}, {len(query)}) like the query, "
                f"got {candidates.shape}"
            )
        if not np.isfinite(candidates).all():
            wrong = head[~np.isfinite(candidates).all(axis=1)][0]
            raise InvalidInput(f"the descriptor of id {wrong} holds NaN or infinity; it must be finite")
        new = rescored(query, candidates.astype(np.float32))
        order = np.argsort(-new, kind="stable")
        ids[row, : len(head)] = head[order]
        scores[row, : len(head)] = _above(new[order], row_scores[len(head) :])
    return Ranking(ids, scores)


def _above(head: Float64[np.ndarray, " m"], rest: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, " m"]:
    """Returns sorted scores, lifted so that none lies below the first of the rest."""
    if len(rest) == 0 or head[-1] >= rest[0]:
        return head.astype(np.float32)
    # Rounding must not bring the last below what it was lifted to.
    return np.maximum((head + (rest[0] - head[-1])).astype(np.float32), rest[0])
