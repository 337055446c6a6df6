"""What a whitening does to photos it has not seen: matching and other pairs, before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput
from resight.evaluation.measures.retrieval import recall_at_k

__all__ = ["Separation", "separation"]


@dataclass(frozen=True, slots=True)
class Separation:
    """How well scores tell matching pairs of photos from others.

    Attributes:
        queries: Photos that another one matches; each is a query against all others.
        pairs: Matching pairs among them.
        recall_at_1: Share of the queries whose best answer matches.
        matching: Mean score of matching pairs.
        non_matching: Mean score of all other pairs.
        distance: Difference of the two means, in standard deviations (the root of the mean of both
            variances; d' of signal detection: Green and Swets, 1966).
    """

    queries: int
    pairs: int
    recall_at_1: float
    matching: float
    non_matching: float
    distance: float


def separation(
    descriptors: Float32[np.ndarray, "n dim"], groups: Int64[np.ndarray, " n"]
) -> Separation | None:
    """Returns how well the descriptors' inner products tell photos of one group from those of others.

    Of equal scores the smaller row comes first. ``None`` where no two photos match, or all do.

    Args:
        descriptors: Of unit L2 norm; all pairs are compared, so thousands at most.
        groups: Which photos match: those of equal numbers.

    Raises:
        InvalidInput: There are more or fewer groups than descriptors.

    >>> import numpy as np
    >>> pairs = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    >>> separation(pairs, np.array([0, 0, 1, 1])).matching
    1.0
    """
    if len(descriptors) != len(groups):
        raise InvalidInput(f"{len(descriptors)} descriptors were given with {len(groups)} groups")
    same = groups[:, None] == groups
    upper = np.triu(np.ones_like(same), 1)
    if not (same & upper).any() or same.all():
        return None
    scores = (descriptors @ descriptors.T).astype(np.float64)
    matching, others = scores[same & upper], scores[~same & upper]
    np.fill_diagonal(scores, -np.inf)
    queries = np.flatnonzero(same.sum(axis=1) > 1)
    hits = same[queries, scores[queries].argmax(axis=1)]
    deviation = np.sqrt((matching.var() + others.var()) / 2)
    gap = float(matching.mean() - others.mean())
    return Separation(
        len(queries),
        len(matching),
        recall_at_k(hits[:, None], 1),
        float(matching.mean()),
        float(others.mean()),
        gap / float(deviation) if deviation > 0 else 0.0,
    )
