"""The order of answers: how scores are rounded, and which answers are the first."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int64

__all__ = ["STEPS", "exact_scores", "rounded", "top_k"]

STEPS = 2.0**30
"""Scores are multiples of ``1 / STEPS``: about 1e-9, far above the error of a float64 sum of unit-length
descriptors, far below what a measure could show."""


def rounded(products: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Returns inner products as scores, rounded to the nearest multiple of ``1 / STEPS``."""
    # 0.0 is added because -0.0 and 0.0 sort apart.
    return np.rint(products * STEPS) / STEPS + 0.0


def exact_scores(
    rows: Float[np.ndarray, "n dim"], query: Float[np.ndarray, " dim"]
) -> Float64[np.ndarray, " n"]:
    """Returns the scores of some rows for a query."""
    # Not a matrix product: here the order of additions is the same for every row.
    return rounded(np.vecdot(rows.astype(np.float64), query.astype(np.float64, copy=False)))


def top_k(
    scores: Float64[np.ndarray, " n"], ids: Int64[np.ndarray, " n"], k: int
) -> Int64[np.ndarray, " first"]:
    """Returns the positions of the k best scores, best first, equal ones by the smaller id.

    Args:
        scores: Larger is better.
        ids: One a score, unique.
        k: How many; all of them where there are fewer.

    >>> top_k(np.array([0.5, 0.7, 0.7]), np.array([4, 9, 2]), 2).tolist()
    [2, 1]
    """
    # Where most of them are among the first, sorting all is quicker than setting the others apart.
    if not 0 < 2 * k < len(scores):
        return np.lexsort((ids, -scores))[:k]
    near = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
    return near[np.lexsort((ids[near], -scores[near]))[:k]]
