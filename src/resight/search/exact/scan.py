"""Proposals for an exact search: the best of all rows by float32 sums, quickly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import pairwise

import faiss
import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it comes without types

__all__ = ["just_below", "near_best", "one_thread", "propose"]

BLOCKED_FROM = 12
"""Queries from which decoding rows once, for a matrix product, beats a scan for each query; two cores."""

BLOCK = 1024
"""Rows decoded at once: 2 MB of float32 at 512 dimensions, which stay in a core's cache."""

_IN_TURN = threading.Lock()

Proposals = tuple[Float32[np.ndarray, "q m"], Int64[np.ndarray, "q m"]]


def propose(
    codes: faiss.IndexScalarQuantizer,
    halves: Float16[np.ndarray, "n dim"],
    queries: Float32[np.ndarray, "q dim"],
    count: int,
    member: Bool[np.ndarray, " n"] | None,
    *,
    threads: int,
) -> list[tuple[Float32[np.ndarray, " count"], Int64[np.ndarray, " count"]]]:
    """Returns for each query scores and rows of the best by a sum in float32, unordered.

    Args:
        codes: Of halves; holds the rows, or none of them where they are elsewhere.
        halves: The rows.
        queries: One a row.
        count: Rows that are proposed; at most as many as are searched.
        member: Rows that are searched; all of them by default.
        threads: Each scans a part of the rows.
    """
    in_blocks = len(queries) >= BLOCKED_FROM or codes.ntotal != len(halves)

    def part(limits: tuple[int, int]) -> Proposals:
        if in_blocks:
            return _scan_blocks(codes, halves, queries, count, member, *limits)
        return _scan_each(codes, queries, count, member, *limits)

    if threads == 1:
        return _per_query(*one_thread(lambda: part((0, len(halves)))))
    ranges = pairwise(len(halves) * part // threads for part in range(threads + 1))
    # FAISS gives one thread to a query, and its idle OpenMP threads spin: tens of milliseconds where others
    # want the processor, as do those of matrix products. So threads of ours, with one of theirs each.
    blas = threadpool_limits(1, user_api="blas") if in_blocks else nullcontext()
    pool = ThreadPoolExecutor(threads, initializer=faiss.omp_set_num_threads, initargs=(1,))
    # Two scans at once would restore each other's limit; each uses all threads anyway.
    with _IN_TURN if in_blocks else nullcontext(), blas, pool:
        parts = list(pool.map(part, ranges))
    scores, rows = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
    chosen = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return _per_query(np.take_along_axis(scores, chosen, 1), np.take_along_axis(rows, chosen, 1))


def near_best(scanned: Float32[np.ndarray, " n"], k: int, bound: float) -> Int64[np.ndarray, " m"]:
    """Returns which may be among the k best: one below all of the k best by twice the bound is not."""
    kth = np.partition(scanned, len(scanned) - k)[len(scanned) - k]
    return (scanned >= just_below(float(kth) - 2 * bound)).nonzero()[0]


def just_below(threshold: float) -> float:
    """Returns a little less: it is compared in float32, and no row shall fall out by its rounding."""
    return threshold - abs(threshold) * 2.0**-23


def _per_query(
    scores: Float32[np.ndarray, "q count"], rows: Int64[np.ndarray, "q count"]
) -> list[tuple[Float32[np.ndarray, " count"], Int64[np.ndarray, " count"]]]:
    return list(zip(scores, rows, strict=True))


def one_thread(scan: Callable[[], Proposals]) -> Proposals:
    """Returns what a scan in this thread gives, with one OpenMP thread; the thread's setting stays."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        return scan()
    finally:
        faiss.omp_set_num_threads(before)


def _scan_each(
    codes: faiss.IndexScalarQuantizer,
    queries: Float32[np.ndarray, "q dim"],
    count: int,
    member: Bool[np.ndarray, " n"] | None,
    start: int,
    stop: int,
) -> Proposals:
    """Returns the best of some rows by FAISS; padded with -inf."""
    scores = np.empty((len(queries), count), dtype=np.float32)
    rows = np.empty((len(queries), count), dtype=np.int64)
    restriction = None
    if member is not None or (start, stop) != (0, codes.ntotal):
        restriction = _restrict(start, stop, member)
    # Not search(): faiss.contrib.torch_utils, which other retrieval packages import, replaces it for the
    # whole process by one without parameters. FAISS's type hints do not tell of search_c.
    search = codes.search_c  # type: ignore[attr-defined]
    outputs = faiss.swig_ptr(scores), faiss.swig_ptr(rows)
    search(len(queries), faiss.swig_ptr(queries), count, *outputs, restriction)
    # FAISS pads the end with row -1.
    if rows[:, -1].min() < 0:
        scores[rows < 0] = -np.inf
    return scores, rows


def _scan_blocks(
    codes: faiss.IndexScalarQuantizer,
    halves: Float16[np.ndarray, "n dim"],
    queries: Float32[np.ndarray, "q dim"],
    count: int,
    member: Bool[np.ndarray, " n"] | None,
    start: int,
    stop: int,
) -> Proposals:
    """Returns the best of some rows by matrix products over blocks of decoded rows; padded with -inf."""
    flat = halves.view(np.uint8)
    buffer = np.empty((BLOCK, codes.d), dtype=np.float32)
    decode = codes.sa_decode_c  # type: ignore[attr-defined]
    every = None if member is None else start + np.flatnonzero(member[start:stop])
    best = _Best(len(queries), count)
    for first in range(0, stop - start if every is None else len(every), BLOCK):
        if every is None:
            block = np.arange(start + first, min(start + first + BLOCK, stop))
            rows = flat[block[0] : block[-1] + 1]
        else:
            block = every[first : first + BLOCK]
            rows = flat[block]
        decode(len(block), faiss.swig_ptr(rows), faiss.swig_ptr(buffer))
        # In this order of factors, as the product is twice as quick.
        best.offer((buffer[: len(block)] @ queries.T).T, block)
    return best.taken()


class _Best:
    """The best rows of each query so far, and those offered since the last time they were sorted out."""

    def __init__(self, queries: int, count: int) -> None:
        self._count = count
        self._scores = np.full((queries, count), -np.inf, dtype=np.float32)
        self._rows = np.full((queries, count), -1, dtype=np.int64)
        self._lowest = np.full(queries, -np.inf, dtype=np.float32)
        self._waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._waits = 0

    def offer(self, scores: Float32[np.ndarray, "q block"], rows: Int64[np.ndarray, " block"]) -> None:
        """Takes the scores of a block of rows."""
        place, query = np.nonzero(self._lowest < scores.T)
        if len(place):
            self._waiting.append((query, scores.T[place, query], rows[place]))
            self._waits += len(place)
        if self._waits > 2 * self._scores.size:
            self._sort_out()

    def taken(self) -> Proposals:
        """Returns scores and rows of the best."""
        self._sort_out()
        return self._scores, self._rows

    def _sort_out(self) -> None:
        if not self._waiting:
            return
        query, scores, rows = (np.concatenate(side) for side in zip(*self._waiting, strict=True))
        self._waiting, self._waits = [], 0
        order = np.argsort(query, kind="stable")
        ends = np.searchsorted(query[order], np.arange(len(self._scores) + 1))
        for number in range(len(self._scores)):
            own = order[ends[number] : ends[number + 1]]
            if not len(own):
                continue
            all_scores = np.concatenate([self._scores[number], scores[own]])
            all_rows = np.concatenate([self._rows[number], rows[own]])
            chosen = np.argpartition(-all_scores, self._count - 1)[: self._count]
            self._scores[number], self._rows[number] = all_scores[chosen], all_rows[chosen]
        self._lowest = self._scores.min(axis=1)


def _restrict(start: int, stop: int, member: Bool[np.ndarray, " n"] | None) -> faiss.SearchParameters:
    """Returns what makes FAISS scan rows from start to stop, those of ``member`` only where it is given."""
    selector: faiss.IDSelector = faiss.IDSelectorRange(start, stop)
    if member is not None:
        part = np.zeros_like(member)
        part[start:stop] = member[start:stop]
        # FAISS's Python layer replaces both constructors; its type hints tell of the generated ones.
        selector = faiss.IDSelectorBitmap(np.packbits(part, bitorder="little"))  # type: ignore[call-arg,arg-type]
    return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
