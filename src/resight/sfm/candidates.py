"""Which photos may show the same place: those that are nearest by descriptor."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from resight.search import ExactIndex

__all__ = ["candidate_pairs"]

_BLOCK = 256


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
    found = []
    for start in range(0, count, _BLOCK):
        ids = index.search(descriptors[start : start + _BLOCK], min(neighbours + 1, count)).ids
        rows = np.arange(start, start + len(ids))
        found.append(np.stack([np.repeat(rows, ids.shape[1]), ids.reshape(-1)], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1) if found else np.zeros((0, 2), np.int64)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
