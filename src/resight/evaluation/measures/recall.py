"""Recall at k, as metric learning counts it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from resight.errors import InvalidInput

__all__ = ["recall_at_k"]


def recall_at_k(relevant: Bool[np.ndarray, "queries ranks"], k: int) -> float:
    """Returns the share of queries with at least one positive among their first k answers.

    Every query counts, one without any positive as a miss (Oh Song et al., CVPR 2016). Where queries are
    part of the database the caller takes each out of its own answers by its index, never by its rank.

    Args:
        relevant: Whether the answer at each rank is a positive, best first.
        k: How many answers are looked at, from 1 to the number of ranks.

    Raises:
        InvalidInput: There is no query, or k is out of range.
    """
    queries, ranks = relevant.shape
    if queries == 0 or not 1 <= k <= ranks:
        raise InvalidInput(
            f"recall needs at least one query and k from 1 to {ranks}, got {queries} and k={k}"
        )
    return float(relevant[:, :k].any(axis=1).mean())
