"""Measures of rankings: average precision as the landmark benchmarks count it, precision and recall at k."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from resight.errors import InvalidInput

__all__ = ["average_precision", "precision_at", "recall_at_k", "rectangular_at_100", "trapezoidal"]

_SUBMITTED = 100


def average_precision(relevant: Bool[np.ndarray, " ranks"], positives: int) -> float:
    """Returns the area under the precision-recall curve of one query, by the trapezoidal rule.

    The j-th positive (from 0) at position r_j (from 0) adds ``(p0 + p1) / 2 / positives`` with
    ``p0 = j / r_j`` (1 where r_j = 0) and ``p1 = (j + 1) / (r_j + 1)``: Philbin et al., CVPR 2007, as the
    revisited benchmarks compute it (Radenovic et al., CVPR 2018). scikit-learn's ``average_precision_score``
    is the rectangular rule and gives larger values.

    Args:
        relevant: Whether the answer at each rank is a positive, best first, ignored ("junk") images and
            the query itself already taken out. It may be truncated: positives it lacks count as misses.
        positives: How many positives the query has in the database, ranked or not.

    Returns:
        A fraction in [0, 1]; NaN where the query has no positive: leave it out of a mean.

    Raises:
        InvalidInput: More positives are ranked than there are.

    >>> average_precision(np.array([True, False, True]), 2)
    0.7916666666666666
    """
    return trapezoidal(np.flatnonzero(relevant), positives)


def trapezoidal(ranks: Int64[np.ndarray, " ranked"], positives: int) -> float:
    """Returns `average_precision` from the ranks of the positives that are ranked, from 0, ascending.

    Raises:
        InvalidInput: More positives are ranked than there are.
    """
    if len(ranks) > positives:
        raise InvalidInput(f"{len(ranks)} positives are ranked, but the query has only {positives}")
    if positives == 0:
        return float("nan")
    earlier = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, earlier / np.maximum(ranks, 1))
    after = (earlier + 1) / (ranks + 1)
    return float(np.sum(before + after) / (2 * positives))


def rectangular_at_100(ranks: Int64[np.ndarray, " ranked"], positives: int) -> float:
    """Returns the average precision among the first 100 answers by the rectangular rule.

    Each positive within them adds ``(positives up to there / rank from 1) / min(positives, 100)``: the
    retrieval measure of Google Landmarks v2 (Weyand et al., CVPR 2020, section 5.1).

    Args:
        ranks: Of the positives that are ranked, from 0, ascending.
        positives: How many positives the query has.

    Returns:
        A fraction in [0, 1]; NaN where the query has no positive.

    Raises:
        InvalidInput: More positives are ranked than there are.

    >>> rectangular_at_100(np.array([0, 2]), 2)
    0.8333333333333333
    """
    if len(ranks) > positives:
        raise InvalidInput(f"{len(ranks)} positives are ranked, but the query has only {positives}")
    if positives == 0:
        return float("nan")
    within = ranks[ranks < _SUBMITTED]
    return float(np.sum((np.arange(len(within)) + 1) / (within + 1)) / min(positives, _SUBMITTED))


def precision_at(ranks: Int64[np.ndarray, " ranked"], positives: int, k: int) -> float:
    """Returns the share of positives among the first k answers, of the revisited benchmarks.

    The answers end with the last positive: ``k`` becomes ``min(last rank + 1, k)``, so that a query with
    fewer than k positives can reach 1 (Radenovic et al., CVPR 2018, as their program computes it). A query
    none of whose positives is ranked has 0, where that program stops.

    Args:
        ranks: Of the positives that are ranked, from 0, ascending.
        positives: How many positives the query has.
        k: How many answers are looked at.

    Returns:
        A fraction in [0, 1]; NaN where the query has no positive.

    >>> precision_at(np.array([0, 2]), 2, 10)
    0.6666666666666666
    """
    if positives == 0:
        return float("nan")
    if len(ranks) == 0:
        return 0.0
    looked_at = min(int(ranks[-1]) + 1, k)
    return float(np.count_nonzero(ranks < looked_at) / looked_at)


def recall_at_k(relevant: Bool[np.ndarray, "queries ranks"], k: int) -> float:
    """Returns the share of queries with at least one positive among their first k answers.

    Every query counts, one without any positive as a miss (Oh Song et al., CVPR 2016). Where queries are
    part of the database the caller takes each out of its own answers by its index, never by its rank.

    Args:
        relevant: Whether the answer at each rank is a positive, best first.
        k: How many answers are looked at, from 1 to the number of ranks.

    Raises:
        InvalidInput: There is no query, or k is out of range.

    >>> recall_at_k(np.array([[False, True], [False, False]]), 2)
    0.5
    """
    queries, ranks = relevant.shape
    if queries == 0 or not 1 <= k <= ranks:
        raise InvalidInput(
            f"recall needs at least one query and k from 1 to {ranks}, got {queries} and k={k}"
        )
    return float(relevant[:, :k].any(axis=1).mean())
