"""Which photos may show the same place: those that are nearest by descriptor, or that match the same one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64
from scipy.sparse import coo_matrix

from resight.search import ExactIndex

__all__ = ["candidate_pairs", "linked_pairs"]


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
    return _each_once(np.repeat(np.arange(count), ids.shape[1]), ids.reshape(-1))


def linked_pairs(
    verified: Int64[np.ndarray, "links 3"], pairs: Int64[np.ndarray, "known 2"], neighbours: int
) -> Int64[np.ndarray, "pairs 2"]:
    """Returns pairs of photos that both match a third, and were not compared: COLMAP's transitive matching.

    In a large folder a descriptor ranks photos of other places before some of the same one, and a place falls
    apart; what its photos match leads to the rest.

    Args:
        verified: Rows of two photos, and how many matches one geometry explains; those that are none of
            ``pairs`` do not count.
        pairs: All that were compared, the smaller row first.
        neighbours: So many of each photo at most: those with most matches on the way, the product of both
            steps added over all ways; ties go to the smaller row.
    """
    count = int(pairs.max(initial=0)) + 1
    compared = pairs @ [count, 1]
    first, second, matches = verified[np.isin(verified[:, :2] @ [count, 1], compared)].T
    steps = coo_matrix((matches, (first, second)), shape=(count, count)).tocsr()
    steps = steps + steps.T
    ways = (steps @ steps).tocoo()
    photos, others, matches = (part.astype(np.int64) for part in (ways.row, ways.col, ways.data))
    new = ~np.isin(np.minimum(photos, others) * count + np.maximum(photos, others), compared)
    order = np.lexsort((others, -matches, photos))
    order = order[(new & (photos != others))[order]]
    photos, others = photos[order], others[order]
    nearest = np.arange(len(photos)) - np.searchsorted(photos, photos) < neighbours
    return _each_once(photos[nearest], others[nearest])


def _each_once(
    photos: Int64[np.ndarray, " n"], others: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, "pairs 2"]:
    pairs = np.sort(np.stack([photos, others], axis=1), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
