"""Average precision of one ranking, in the form of the Oxford and Paris benchmarks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from resight.errors import InvalidInput

__all__ = ["average_precision"]


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
    """
    ranks = np.flatnonzero(relevant)
    if len(ranks) > positives:
        raise InvalidInput(f"{len(ranks)} positives are ranked, but the query has only {positives}")
    if positives == 0:
        return float("nan")
    found = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    after = (found + 1) / (ranks + 1)
    return float(np.sum(before + after) / (2 * positives))
