"""Exact search by inner product over descriptors held once, as halves.

The scores are those of the stored, float16-rounded descriptors, and the k best are proved complete:

1. A scan in float32 (`resight.search.exact.scan`) proposes candidates.
2. Candidates are scored again in float64 and rounded as `resight.search.exact` says; this is the score.
3. A float32 sum of ``dim`` products in any order differs from the true one by at most
   ``gamma * |query| * |row|``, ``gamma = dim u / (1 - dim u)``, ``u = 2**-24`` (N. J. Higham, Accuracy and
   Stability of Numerical Algorithms, 2nd ed. 2002, section 3.1). So a row that was not proposed cannot reach
   the k-th score when its scanned score plus this bound, and half a step of rounding, lies below it; where
   it could, every row that could is scored (`ExactIndex._multiply`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import final

import faiss
import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.search.exact.few import first_of_few, first_of_one
from resight.search.exact.index_file import read_index, write_index
from resight.search.exact.order import STEPS, exact_scores, top_k
from resight.search.exact.rows import RowTable
from resight.search.exact.scan import just_below, near_best, propose
from resight.search.ranking import PADDING_ID, Ranking

__all__ = ["ExactIndex"]

BLOCK = 8192
"""Rows decoded to float32 at once: 16 MB at 512 dimensions."""
QUERY_BLOCK = 256
MARGIN = 32
"""Candidates fetched beyond k; among 200,000 random unit vectors the bound needs about one."""
LARGEST_SCANNED_K = 1024
LARGEST_PADDED = 1 << 24
"""Answers of all queries together that are padded where an index has fewer: 200 MB."""

LARGEST_DECODED = 1 << 21
"""Numbers of a small index, which are also held as float32: 8 MB, 4096 rows at 512 dimensions."""

THREADED_FROM = 20_000
"""Rows from which two threads are worth their start."""
HALF_STEP = 0.5 / STEPS
LARGEST_VALUE = 1e30
"""Larger numbers in a query would overflow float32 sums."""


@final
class ExactIndex:
    """Descriptors with ids, searched exactly.

    Score is the inner product, larger is better; ties go to the smaller id. One copy of the descriptors is
    held, 2 bytes a number. Several threads may search at once, while none adds or removes.

    Args:
        dim: Length of a descriptor.
        fingerprint: Of the model that made the descriptors.

    Raises:
        InvalidInput: ``dim`` is not positive.
    """

    def __init__(self, dim: int, *, fingerprint: str) -> None:
        if dim < 1:
            raise InvalidInput(f"an index needs a positive dimension, not {dim}")
        self._dim, self._fingerprint = dim, fingerprint
        self._table = RowTable()
        # FAISS's fp16 codes are the IEEE halves themselves, so they serve as the one copy of the descriptors.
        self._codes = faiss.IndexScalarQuantizer(
            dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        self._longest = 0.0
        self._decoded: Float32[np.ndarray, "n dim"] | None = None
        self._borrowed: Float16[np.ndarray, "n dim"] | None = None

    @classmethod
    def over(
        cls, ids: Int64[np.ndarray, " n"], halves: Float16[np.ndarray, "n dim"], *, fingerprint: str
    ) -> ExactIndex:
        """Returns an index over descriptors in memory, or in a mapped file, without a copy of them.

        Args:
            ids: Unique, not negative.
            halves: Finite; not to be changed as long as the index is used.
            fingerprint: Of the model that made the descriptors.

        Nothing can be added to it or removed.
        """
        index = cls(halves.shape[1], fingerprint=fingerprint)
        index._table.append(ids)
        index._longest, index._borrowed = _longest(halves), halves
        return index

    def __len__(self) -> int:
        return len(self._table)

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """Of the model that made the descriptors."""
        return self._fingerprint

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """Ids in the order in which they were added, read-only."""
        return self._table.ids

    def add(self, ids: Int64[np.ndarray, " n"], descriptors: Float[np.ndarray, "n dim"]) -> None:
        """Stores descriptors, rounded to float16, under new ids; all of them or none.

        Raises:
            InvalidInput: Shapes differ, an id is negative or taken, or a number is not finite as a float16.
        """
        ids = _as_ids(ids, "ids")
        descriptors = np.asarray(descriptors)
        if descriptors.shape != (len(ids), self._dim) or descriptors.dtype.kind != "f":
            raise InvalidInput(
                f"{len(ids)} ids need floating-point descriptors of shape ({len(ids)}, {self._dim}), "
                f"not {descriptors.dtype} {descriptors.shape}"
            )
        self._table.check_new(ids)
        with np.errstate(over="ignore", invalid="ignore"):
            halves = np.ascontiguousarray(descriptors, dtype="<f2")
        # The exponent of infinities and NaN is all ones; comparing bits is faster than isfinite on halves.
        if halves.size and (halves.view(np.uint16) & 0x7FFF).max() >= 0x7C00:
            row = int(np.flatnonzero(~np.isfinite(halves).all(axis=1))[0])
            raise InvalidInput(
                f"the descriptor of id {ids[row]} holds NaN, infinity or a value beyond 65504; "
                "descriptors must be finite"
            )
        self._longest = max(self._longest, _longest(halves))
        if len(ids):
            self._decoded = None
            self._codes.add_sa_codes(halves.view(np.uint8))
        self._table.append(ids)

    def remove(self, ids: Int64[np.ndarray, " m"]) -> int:
        """Takes ids out and returns how many were here; the other ids keep their descriptors."""
        rows = self._table.rows_of(_as_ids(ids, "ids"))
        remaining = np.ones(len(self), dtype=np.bool_)
        remaining[rows[rows >= 0]] = False
        gone = int(np.count_nonzero(~remaining))
        if gone:
            self._decoded = None
            self._codes.remove_ids(faiss.IDSelectorBatch(np.flatnonzero(~remaining)))
            self._table.keep(remaining)
        return gone

    def descriptors(self, ids: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m dim"]:
        """Returns the stored descriptors of ids, as rounded to float16.

        Raises:
            InvalidInput: An id is not in the index.
        """
        ids = _as_ids(ids, "ids")
        rows = self._table.rows_of(ids)
        if (rows < 0).any():
            raise InvalidInput(f"id {ids[rows < 0][0]} is not in the index")
        return self._halves()[rows].astype(np.float32)

    def search(
        self,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        *,
        allowed: Int64[np.ndarray, " m"] | None = None,
    ) -> Ranking:
        """Returns the k best of the index for each query, ``(q, k)``.

        Args:
            queries: One descriptor a row, finite.
            k: Answers a query; rows are padded with id -1 and score -inf where there are fewer.
            allowed: Only these ids are searched; unknown ones are ignored.

        Raises:
            InvalidInput: ``k`` is not positive or far over what is searched, or queries have another shape or
                are not finite.
        """
        queries = self.checked(np.asarray(queries), k)
        decoded = self._small()
        if (
            decoded is not None
            and allowed is None
            and self._borrowed is None
            and len(queries) == 1
            and k <= LARGEST_SCANNED_K
        ):
            ranking = first_of_one(self._codes, decoded, self.ids, queries, k, self._error)
            if ranking is not None:
                return ranking
        member: Bool[np.ndarray, " n"] | None = None
        searched = len(self)
        if allowed is not None:
            rows = self._table.rows_of(_as_ids(allowed, "allowed"))
            member = np.zeros(len(self), dtype=np.bool_)
            member[rows[rows >= 0]] = True
            searched = int(np.count_nonzero(member))
        if k > searched and len(queries) * k > LARGEST_PADDED:
            raise InvalidInput(f"k is {k:,}, and {searched:,} are searched: ask for no more")
        size = min(k, searched)
        ranking_ids = np.empty((len(queries), k), dtype=np.int64)
        scores = np.empty((len(queries), k), dtype=np.float32)
        if size < k:
            ranking_ids[:, size:], scores[:, size:] = PADDING_ID, -np.inf
        if size == 0:
            return Ranking(ranking_ids, scores)
        if decoded is not None:
            for start in range(0, len(queries), QUERY_BLOCK):
                some = queries[start : start + QUERY_BLOCK]
                found = first_of_few(decoded, self.ids, some, size, self._error, member)
                for row, (first, first_scores) in enumerate(found, start):
                    ranking_ids[row, :size], scores[row, :size] = first, first_scores
            return Ranking.proved(ranking_ids, scores)
        left = list(range(len(queries)))
        if len(queries) and size <= LARGEST_SCANNED_K:
            fetched = min(size + MARGIN, searched)
            left = []
            proposed = (
                pair
                for start in range(0, len(queries), QUERY_BLOCK)
                for pair in self._propose(queries[start : start + QUERY_BLOCK], fetched, member)
            )
            for query, (scanned, rows) in enumerate(proposed):
                bound = self._error(queries[query])
                close = rows[near_best(scanned, size, bound)]
                best, best_scores = self._first(close, self._score(queries[query], close), size)
                unseen = float(scanned.min()) + bound
                if fetched == searched or unseen < best_scores[-1]:
                    ranking_ids[query, :size], scores[query, :size] = self.ids[best], best_scores
                else:
                    left.append(query)
        for start in range(0, len(left), QUERY_BLOCK):
            part = left[start : start + QUERY_BLOCK]
            ranking_ids[part, :size], scores[part, :size] = self._multiply(queries[part], size, member)
        return Ranking(ranking_ids, scores)

    def checked(self, queries: Float[np.ndarray, "q dim"], k: int) -> Float32[np.ndarray, "q dim"]:
        """Returns queries as they are searched.

        Raises:
            InvalidInput: What `search` refuses of any index.
        """
        if queries.ndim != 2 or queries.shape[1] != self._dim or queries.dtype.kind != "f":
            raise InvalidInput(
                f"queries must be floating-point of shape (q, {self._dim}), "
                f"not {queries.dtype} {queries.shape}"
            )
        if queries.dtype != np.float32 or not queries.flags.c_contiguous:
            with np.errstate(over="ignore"):
                queries = np.ascontiguousarray(queries, dtype=np.float32)
        # NaN is not at most anything.
        if not np.abs(queries).max(initial=0.0) <= LARGEST_VALUE:
            raise InvalidInput(f"queries must be finite and at most {LARGEST_VALUE:g} in magnitude")
        if k < 1:
            raise InvalidInput(f"k must be at least 1, not {k}")
        return queries

    def _halves(self) -> Float16[np.ndarray, "n dim"]:
        """Returns the stored descriptors without a copy; valid until the next add or remove."""
        if self._borrowed is not None:
            return self._borrowed
        flat = faiss.rev_swig_ptr(self._codes.codes.data(), self._codes.codes.size())
        return flat.view("<f2").reshape(len(self), self._dim)

    def _bound(self, query: Float[np.ndarray, " dim"]) -> float:
        """Returns how far a scanned score can lie from the exact inner product."""
        gamma = self._dim * 2.0**-24 / (1 - self._dim * 2.0**-24)
        wide = np.asarray(query, dtype=np.float64)
        length = math.sqrt(wide @ wide)
        # 1 %: norms of rows are computed in float32. The last term: products that underflow.
        return 1.01 * gamma * length * self._longest + self._dim * 2.0**-125

    def _error(self, query: Float[np.ndarray, " dim"]) -> float:
        """Returns how far a scanned score can lie from the rounded one."""
        return self._bound(query) + HALF_STEP

    def _score(
        self, query: Float32[np.ndarray, " dim"], rows: Int64[np.ndarray, " m"]
    ) -> Float64[np.ndarray, " m"]:
        """Returns the scores of some rows."""
        scores, wide, stored = np.empty(len(rows)), query.astype(np.float64), self._halves()
        for start in range(0, len(rows), BLOCK):
            scores[start : start + BLOCK] = exact_scores(stored[rows[start : start + BLOCK]], wide)
        return scores

    def _first(
        self, rows: Int64[np.ndarray, " m"], scores: Float64[np.ndarray, " m"], k: int
    ) -> tuple[Int64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        """Returns the k best of scored rows."""
        order = top_k(scores, self.ids[rows], k)
        return rows[order], scores[order]

    def _propose(
        self, queries: Float32[np.ndarray, "q dim"], count: int, member: Bool[np.ndarray, " n"] | None
    ) -> list[tuple[Float32[np.ndarray, " count"], Int64[np.ndarray, " count"]]]:
        """Returns for each query scanned scores and rows of the ``count`` best by that score, unordered."""
        threads = 2 if len(self) >= THREADED_FROM else 1
        return propose(self._codes, self._halves(), queries, count, member, threads=threads)

    def _small(self) -> Float32[np.ndarray, "n dim"] | None:
        """Returns the rows of a small index, decoded once: what a search of few rows takes is decoding."""
        decoded = self._decoded
        if decoded is None and len(self) * self._dim <= LARGEST_DECODED:
            decoded = self._decoded = self._halves().astype(np.float32)
        return decoded

    def _multiply(
        self, queries: Float32[np.ndarray, "q dim"], k: int, member: Bool[np.ndarray, " n"] | None
    ) -> tuple[Int64[np.ndarray, "q k"], Float32[np.ndarray, "q k"]]:
        """Returns the k best by matrix products over blocks of rows, complete by construction.

        After each block the best k so far are exact. A later row matters only if its scanned score plus the
        bound reaches the k-th of them, and is among the k best of its block up to twice the bound.
        """
        bounds = np.array([self._bound(query) for query in queries], dtype=np.float64)
        best = [np.empty(0, dtype=np.int64)] * len(queries)
        scores = [np.empty(0)] * len(queries)
        every = np.arange(len(self)) if member is None else np.flatnonzero(member)
        for start in range(0, len(every), BLOCK):
            block = every[start : start + BLOCK]
            halves = self._halves()
            rows = halves[block[0] : block[-1] + 1] if member is None else halves[block]
            scanned = queries @ rows.astype(np.float32).T
            for query, bound in enumerate(bounds):
                threshold = -np.inf if len(best[query]) < k else scores[query][-1] - bound - HALF_STEP
                near = np.flatnonzero(scanned[query] >= just_below(threshold))
                if len(near) > k:
                    near = near[near_best(scanned[query, near], k, bound + HALF_STEP)]
                if len(near):
                    new = block[near]
                    best[query], scores[query] = self._first(
                        np.concatenate([best[query], new]),
                        np.concatenate([scores[query], self._score(queries[query], new)]),
                        k,
                    )
        return self.ids[np.stack(best)], np.stack(scores).astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Writes the index as one safetensors file, whole or not at all.

        Raises:
            StorageFailed: The disk refuses.
        """
        write_index(Path(path), self.ids, self._halves(), fingerprint=self._fingerprint)

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | None = None) -> ExactIndex:
        """Returns the index that ``save`` wrote; its rankings are identical.

        Args:
            path: The file.
            fingerprint: Of the model whose queries will come; another index is refused.

        Raises:
            CollectionNotFound: There is no such file.
            CollectionDamaged: The file is damaged, or something else.
            ModelMismatch: Another model made the descriptors.
        """
        ids, halves, made_by = read_index(Path(path), fingerprint=fingerprint)
        index = cls(halves.shape[1], fingerprint=made_by)
        index.add(ids, halves)
        return index


def _longest(halves: Float16[np.ndarray, "n dim"]) -> float:
    """Returns the length of the longest row."""
    longest = 0.0
    for start in range(0, len(halves), BLOCK):
        rows = halves[start : start + BLOCK].astype(np.float32)
        longest = max(longest, float(np.sqrt(np.einsum("nd,nd->n", rows, rows).max())))
    return longest


def _as_ids(ids: Int64[np.ndarray, " n"], name: str) -> Int64[np.ndarray, " n"]:
    array = np.asarray(ids)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise InvalidInput(f"{name} must be whole numbers in one row, not {array.dtype} {array.shape}")
    return array.astype(np.int64)
