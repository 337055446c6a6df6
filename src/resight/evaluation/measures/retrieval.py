"""Measures of one ranking or a few: average precision in its forms, precision and recall at k."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from resight.errors import InvalidInput

__all__ = [
    "average_precision",
    "map_at_r",
    "precision_at",
    "r_precision",
    "recall_at_k",
    "rectangular_at_100",
    "trapezoidal",
]

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

    >>> import numpy as np
    >>> round(average_precision(np.array([True, False, True]), positives=2), 4)
    0.7917
    """
    return trapezoidal(np.flatnonzero(relevant), positives)


def trapezoidal(ranks: Int64[np.ndarray, " hits"], positives: int) -> float:
    """Returns `average_precision` from the ranks of the positives.

    Args:
        ranks: Of the positives that are ranked, from 0, ascending.
        positives: How many positives the query has.

    Returns:
        A fraction in [0, 1]; NaN where the query has no positive.

    Raises:
        InvalidInput: More positives are ranked than there are.

    >>> import numpy as np
    >>> round(trapezoidal(np.array([0, 2]), positives=2), 4)
    0.7917
    """
    if len(ranks) > positives:
        raise InvalidInput(f"{len(ranks)} positives are ranked, but the query has only {positives}")
    if positives == 0:
        return float("nan")
    before = np.arange(len(ranks))
    lower = np.where(ranks == 0, 1.0, before / np.maximum(ranks, 1))
    upper = (before + 1) / (ranks + 1)
    return float(np.sum(lower + upper) / (2 * positives))


def rectangular_at_100(ranks: Int64[np.ndarray, " hits"], positives: int) -> float:
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

    >>> import numpy as np
    >>> round(rectangular_at_100(np.array([0, 2]), positives=2), 4)
    0.8333
    """
    if len(ranks) > positives:
        raise InvalidInput(f"{len(ranks)} positives are ranked, but the query has only {positives}")
    if positives == 0:
        return float("nan")
    within = ranks[ranks < _SUBMITTED]
    return float(np.sum((np.arange(len(within)) + 1) / (within + 1)) / min(positives, _SUBMITTED))


def precision_at(ranks: Int64[np.ndarray, " hits"], positives: int, k: int) -> float:
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

    >>> import numpy as np
    >>> round(precision_at(np.array([0, 2]), positives=2, k=5), 4)
    0.6667
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

    >>> import numpy as np
    >>> recall_at_k(np.array([[True, False], [False, False]]), k=1)
    0.5
    """
    queries, ranks = relevant.shape
    if queries == 0 or not 1 <= k <= ranks:
        raise InvalidInput(
            f"recall needs at least one query and k from 1 to {ranks}, got {queries} and k={k}"
        )
    return float(relevant[:, :k].any(axis=1).mean())


def map_at_r(relevant: Bool[np.ndarray, " ranks"], positives: int) -> float:
    """Returns ``1/R · Σ P(i)`` over the positives at ranks i ≤ R, where P(i) is the precision of the first i.

    R is how many positives the query has (Musgrave et al., "A Metric Learning Reality Check", ECCV 2020,
    section 3.2). `evaluate_labels` computes the same for many queries at once.

    Args:
        relevant: Whether the answer at each rank is a positive, best first, the query itself taken out; at
            least R ranks, or all there are.
        positives: R.

    Returns:
        A fraction in [0, 1]; NaN where the query has no positive: leave it out of a mean.

    >>> import numpy as np
    >>> map_at_r(np.array([True, False, True]), positives=2)
    0.5
    """
    if positives == 0:
        return float("nan")
    ranks = np.flatnonzero(relevant[:positives])
    return float(np.sum((np.arange(len(ranks)) + 1) / (ranks + 1)) / positives)


def r_precision(relevant: Bool[np.ndarray, " ranks"], positives: int) -> float:
    """Returns the share of positives among the first R answers, R being how many the query has.

    Musgrave et al., ECCV 2020, section 3.2. `evaluate_labels` computes the same for many queries at once.

    Args:
        relevant: As for `map_at_r`.
        positives: R.

    Returns:
        A fraction in [0, 1]; NaN where the query has no positive: leave it out of a mean.

    >>> import numpy as np
    >>> r_precision(np.array([True, False, True]), positives=2)
    0.5
    """
    return float(np.count_nonzero(relevant[:positives]) / positives) if positives else float("nan")
