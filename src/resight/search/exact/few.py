"""Exact searches among few rows, where calls take as long as the scan: the rows are held as float32, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.search.exact.order import exact_scores, top_k
from resight.search.exact.scan import just_below, near_best, one_thread
from resight.search.ranking import Ranking

__all__ = ["first_of_few", "first_of_one"]

MARGIN = 32
"""Rows proposed beyond k."""

PRODUCT_FROM = 4
"""Queries from which a matrix product is quicker: before it multiplies, it copies the rows."""

Error = Callable[[Float64[np.ndarray, " dim"]], float]
"""Takes a query and returns how far a sum in float32 can lie from a score."""


def first_of_one(
    codes: faiss.IndexScalarQuantizer,
    decoded: Float32[np.ndarray, "n dim"],
    ids: Int64[np.ndarray, " n"],
    queries: Float32[np.ndarray, "1 dim"],
    k: int,
    error: Error,
) -> Ranking | None:
    """Returns the ranking for one query; None where more rows are near than are proposed, or fewer than k.

    FAISS reads halves, half of the bytes of decoded rows.

    Args:
        codes: Halves.
        decoded: The same rows.
        ids: Of the rows.
        queries: One row.
        k: Answers.
        error: Of the scan.
    """
    count = min(k + MARGIN, len(ids))
    if k > count:
        return None

    def scan() -> tuple[Float32[np.ndarray, " count"], Int64[np.ndarray, " count"]]:
        scanned, rows = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.int64)
        # Not search(), as in `resight.search.exact.scan`; all rows are scanned, so that none is padded.
        outputs = faiss.swig_ptr(scanned), faiss.swig_ptr(rows)
        codes.search_c(1, faiss.swig_ptr(queries), count, *outputs, None)  # type: ignore[attr-defined]
        return scanned, rows

    scanned, rows = one_thread(scan)
    wide = queries[0].astype(np.float64)
    # They are sorted, and those beyond the k-th few.
    last, lowest = k, just_below(float(scanned[k - 1]) - 2 * error(wide))
    while last < count and scanned[last] >= lowest:
        last += 1
    if last == count < len(ids):
        return None
    best_ids, scores = _first(decoded, ids, rows[:last], wide, k)
    return Ranking.proved(best_ids[None], scores.astype(np.float32)[None])


def first_of_few(
    decoded: Float32[np.ndarray, "n dim"],
    ids: Int64[np.ndarray, " n"],
    queries: Float32[np.ndarray, "q dim"],
    k: int,
    error: Error,
    member: Bool[np.ndarray, " n"] | None,
) -> Iterator[tuple[Int64[np.ndarray, " k"], Float64[np.ndarray, " k"]]]:
    """Yields ids and scores of the k best for each query, best first.

    Args:
        decoded: All rows.
        ids: Of the rows.
        queries: One a row.
        k: At most as many as are searched.
        error: Of the scan.
        member: Rows that are searched; all of them by default.
    """
    alone = len(queries) < PRODUCT_FROM
    sums = np.vecdot(decoded, queries[:, None]) if alone else (decoded @ queries.T).T
    if member is not None:
        sums[:, ~member] = -np.inf
    for query, scanned in zip(queries, sums, strict=True):
        wide = query.astype(np.float64)
        yield _first(decoded, ids, near_best(scanned, k, error(wide)), wide, k)


def _first(
    decoded: Float32[np.ndarray, "n dim"],
    ids: Int64[np.ndarray, " n"],
    near: Int64[np.ndarray, " m"],
    query: Float64[np.ndarray, " dim"],
    k: int,
) -> tuple[Int64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Returns ids and scores of the k best of the rows that may be among them."""
    near_ids, scores = ids[near], exact_scores(decoded[near], query)
    order = top_k(scores, near_ids, k)
    return near_ids[order], scores[order]
