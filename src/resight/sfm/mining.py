"""Hard negatives: photos of other places that the network takes for the query's."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput

__all__ = ["hard_negatives"]

_BLOCK_BYTES = 1 << 27


def hard_negatives(
    queries: Float32[np.ndarray, "queries dim"],
    query_clusters: Int64[np.ndarray, " queries"],
    pool: Float32[np.ndarray, "pool dim"],
    pool_clusters: Int64[np.ndarray, " pool"],
    count: int,
) -> Int64[np.ndarray, "queries count"]:
    """Returns rows of the pool: of each query the most similar ones, all of other clusters, one a cluster.

    ``search_negatives`` of the authors' code (cnnimageretrieval-pytorch, ``traindataset.py``): walk down the
    ranking and take a photo if its cluster is neither the query's nor that of a photo already taken. Photos
    of the same similarity come in the order of the pool.

    Args:
        queries: Unit L2 norm.
        query_clusters: Their clusters.
        pool: Unit L2 norm.
        pool_clusters: Their clusters.
        count: Negatives of each query.

    Raises:
        InvalidInput: The pool shows too few clusters.
    """
    distinct = np.unique(pool_clusters)
    at_least = len(distinct) - int(np.isin(query_clusters, distinct).any())
    if at_least < count:
        raise InvalidInput(
            f"{count} negatives of different clusters are wanted, and the pool of {len(pool):,} photos shows "
            f"{at_least} besides the query's: take a larger pool (sampler.pool), photos of more places, or "
            "fewer negatives (sampler.negatives)"
        )
    rows = np.empty((len(queries), count), dtype=np.int64)
    block = max(1, _BLOCK_BYTES // (16 * max(len(pool), 1)))
    for start in range(0, len(queries), block):
        scores = queries[start : start + block] @ pool.T
        for query, ranking in enumerate(np.argsort(-scores, axis=1, kind="stable"), start):
            clusters = pool_clusters[ranking]
            other = ranking[clusters != query_clusters[query]]
            _, first = np.unique(pool_clusters[other], return_index=True)
            rows[query] = other[np.sort(first)[:count]]
    return rows
