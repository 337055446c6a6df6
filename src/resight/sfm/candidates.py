"""Which photos may show the same place: those that are nearest by descriptor."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from resight.search import ExactIndex

__all__ = ["candidate_pairs"]


def candidate_pairs(
    descriptors: Float32[np.ndarray, "photos dim"], neighbours: int
) -> Int64[np.ndarray, "pairs 2"]:
    """Returns each photo with its nearest ones, the smaller row first, each pair once, sorted.

    Args:
        descriptors: Unit L2 norm.
        neighbours: How many of each; all of them where there are fewer.
    """
    count = len(descriptors)
    index = ExactIndex(descriptors.shape[1], fingerprint="photos")
    index.add(np.arange(count), descriptors)
    ids = index.search(descriptors, min(neighbours + 1, max(count, 1))).ids
    pairs = np.sort(np.stack([np.repeat(np.arange(count), ids.shape[1]), ids.reshape(-1)], axis=1), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
