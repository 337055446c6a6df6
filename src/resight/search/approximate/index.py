"""Approximate search: the nearest lists of each query by codes, and the best of them by the descriptors.

Answers have the scores of an exact search; some of the nearest may be missing. What has been added since the
parts were written is searched exactly, and what has been removed is passed over, until they are written anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import faiss
import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from resight.errors import InvalidInput
from resight.search.approximate.codes import Codes
from resight.search.approximate.part import Part
from resight.search.exact.index import LARGEST_PADDED, ExactIndex
from resight.search.exact.order import exact_scores, top_k
from resight.search.ranking import PADDING_ID, Ranking

__all__ = ["ApproximateIndex", "Effort"]

LARGEST_SHARE = 0.25
"""Of the lists; where more had to be looked at, all descriptors are scanned exactly, which is as quick."""

FEWEST_ALLOWED = 10_000
"""Rows; so few are compared one by one."""


_Found = tuple[Int64[np.ndarray, "q n"], Float32[np.ndarray, "q n"]]
"""Ids and scores of answers, in any order, padded."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What a search for some number of answers looks at.

    Attributes:
        k: Most answers it is enough for.
        probes: Lists.
        shortlist: Rows that are compared by their descriptors, for each answer.
    """

    k: int
    probes: int
    shortlist: int


@final
class ApproximateIndex:
    """Parts on disk, and what has changed since; one of the kinds of `resight.search.index.SearchIndex`.

    Args:
        codes: Of all parts.
        parts: Rows on disk.
        efforts: By rising k; a search for more answers than the last is exact.
        fingerprint: Of the model that made the descriptors.
    """

    def __init__(
        self, codes: Codes, parts: Sequence[Part], efforts: Sequence[Effort], *, fingerprint: str
    ) -> None:
        self.codes, self.parts, self.efforts = codes, list(parts), list(efforts)
        self.added = ExactIndex(codes.dim, fingerprint=fingerprint)
        self.gone = [np.zeros(len(part), dtype=bool) for part in parts]
        self._gone = [0] * len(parts)
        self._exact: list[ExactIndex] = []
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.parts)) - sum(self._gone) + len(self.added)

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return self.codes.dim

    @property
    def fingerprint(self) -> str:
        """Of the model that made the descriptors."""
        return self.added.fingerprint

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """Ids of all that can be searched."""
        held = [part.ids[~gone] for part, gone in zip(self.parts, self.gone, strict=True)]
        return np.concatenate([np.empty(0, np.int64), *held, self.added.ids])

    def add(self, ids: Int64[np.ndarray, " n"], descriptors: Float[np.ndarray, "n dim"]) -> None:
        """Takes descriptors under new ids, to be searched exactly.

        Raises:
            InvalidInput: What `ExactIndex.add` refuses, or an id is in a part.
        """
        held = np.asarray(ids)[self._places(np.asarray(ids))[0] >= 0]
        if len(held):
            raise InvalidInput(f"id {held[0]} is already in the index; remove it before adding it again")
        self.added.add(ids, descriptors)

    def remove(self, ids: Int64[np.ndarray, " m"]) -> int:
        """Takes ids out and returns how many were here."""
        ids = np.unique(np.asarray(ids, dtype=np.int64))
        part, row = self._places(ids)
        for number in range(len(self.parts)):
            self.gone[number][row[part == number]] = True
            self._gone[number] = int(np.count_nonzero(self.gone[number]))
        return int(np.count_nonzero(part >= 0)) + self.added.remove(ids)

    def descriptors(self, ids: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m dim"]:
        """Returns the stored descriptors of ids.

        Raises:
            InvalidInput: An id is not in the index.
            CollectionDamaged: A part is damaged.
        """
        ids = np.asarray(ids, dtype=np.int64)
        part, row = self._places(ids)
        found = np.empty((len(ids), self.dim), dtype=np.float32)
        rest = part < 0
        if rest.any():
            found[rest] = self.added.descriptors(ids[rest])
        for number, one in enumerate(self.parts):
            own = np.flatnonzero(part == number)
            if len(own):
                one.check(np.searchsorted(one.ends, row[own], side="right") - 1)
                found[own] = one.halves[row[own]]
        return found

    def search(
        self,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        *,
        allowed: Int64[np.ndarray, " m"] | None = None,
    ) -> Ranking:
        """Returns k answers for each query, as `resight.search.index.SearchIndex.search` says.

        Raises:
            InvalidInput: What `ExactIndex.search` refuses.
            CollectionDamaged: A part is damaged.
        """
        if k > len(self) and len(queries) * k > LARGEST_PADDED:
            raise InvalidInput(f"k is {k:,}, and {len(self):,} are searched: ask for no more")
        members = self._members(allowed)
        count = sum(
            len(part) if member is None else int(np.count_nonzero(member))
            for part, member in zip(self.parts, members, strict=True)
        )
        queries = self.added.checked(queries, k)
        added = self._search_added(queries, k, allowed)
        share = 1.0 if allowed is None else count / max(1, sum(map(len, self.parts)))
        effort = self._effort(k, share)
        if effort is None or (allowed is not None and count <= FEWEST_ALLOWED):
            return _merged([*added, *self._scan(queries, k, members)], len(queries), k)
        ranking = _merged([*added, *self._look(queries, k, members, effort)], len(queries), k)
        # The lists near a query may hold less than it asks for, as where a filter takes what is far from it.
        short = np.flatnonzero(ranking.ids[:, max(0, min(k, count) - 1)] < 0)
        if count and len(short):
            part = [(ids[short], scores[short]) for ids, scores in added]
            whole = _merged([*part, *self._scan(queries[short], k, members)], len(short), k)
            ids, scores = ranking.ids.copy(), ranking.scores.copy()
            ids[short], scores[short] = whole.ids, whole.scores
            ranking = Ranking(ids, scores)
        return ranking

    def look(self, queries: Float32[np.ndarray, "q dim"], k: int, effort: Effort) -> Ranking:
        """Returns the best of the nearest lists alone: less than k answers where these hold less."""
        looked = self._look(np.ascontiguousarray(queries), k, self._members(None), effort)
        return _merged(looked, len(queries), k)

    def _search_added(
        self, queries: Float32[np.ndarray, "q dim"], k: int, allowed: Int64[np.ndarray, " m"] | None
    ) -> list[_Found]:
        """Returns the best of what lies in no part: a ranking, or none where there is nothing."""
        if not len(self.added):
            return []
        ranking = self.added.search(queries, min(k, len(self.added)), allowed=allowed)
        return [(ranking.ids, ranking.scores)]

    def _effort(self, k: int, share: float) -> Effort | None:
        """Returns what a search for k answers looks at where a share of the rows is allowed; None for all."""
        for effort in self.efforts:
            if k <= effort.k:
                probes = int(np.ceil(effort.probes / max(share, 1e-9)))
                most = LARGEST_SHARE * self.codes.lists
                return None if probes > max(most, effort.probes) else Effort(k, probes, effort.shortlist)
        return None

    def _members(self, allowed: Int64[np.ndarray, " m"] | None) -> list[Bool[np.ndarray, " n"] | None]:
        """Returns for each part the rows that are searched; None for all of them."""
        if allowed is None:
            return [~gone if count else None for gone, count in zip(self.gone, self._gone, strict=True)]
        part, row = self._places(np.asarray(allowed, dtype=np.int64))
        members = [np.zeros(len(one), dtype=bool) for one in self.parts]
        for number, member in enumerate(members):
            member[row[part == number]] = True
        return [*members]

    def _look(
        self,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        members: Sequence[Bool[np.ndarray, " n"] | None],
        effort: Effort,
    ) -> list[_Found]:
        """Returns the best of the nearest lists, a ranking a part."""
        before = faiss.omp_get_max_threads()
        # FAISS's idle threads spin where others want the processor.
        faiss.omp_set_num_threads(1)
        try:
            nearness = queries @ self.codes.centroids.T
            probes = min(effort.probes, self.codes.lists)
            probed = np.argpartition(-nearness, probes - 1, axis=1)[:, :probes].astype(np.int64)
            near = nearness[np.arange(len(queries))[:, None], probed]
            rankings = []
            for part, member in zip(self.parts, members, strict=True):
                selector = None
                if member is not None:
                    # FAISS's Python layer replaces the constructor.
                    bits = np.packbits(member, bitorder="little")
                    selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg,arg-type]
                count = min(max(k * effort.shortlist, 1), len(part))
                if count:
                    rows = part.search(queries, probed, near, count, selector)
                    rankings.append(_rescored(part, queries, rows, k))
            return rankings
        finally:
            faiss.omp_set_num_threads(before)

    def _scan(
        self,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        members: Sequence[Bool[np.ndarray, " n"] | None],
    ) -> list[_Found]:
        """Returns the best of all rows, a ranking a part."""
        if not self._exact:
            for part in self.parts:
                part.check(np.arange(self.codes.lists))
                rows = np.arange(len(part))
                self._exact.append(ExactIndex.over(rows, part.halves, fingerprint=self.fingerprint))
        rankings = []
        for part, exact, member in zip(self.parts, self._exact, members, strict=True):
            allowed = None if member is None else np.flatnonzero(member)
            ranking = exact.search(queries, min(k, max(1, len(part))), allowed=allowed)
            padding = ranking.ids == PADDING_ID
            ids = part.ids[np.where(padding, 0, ranking.ids)] if len(part) else ranking.ids
            rankings.append((np.where(padding, PADDING_ID, ids), ranking.scores))
        return rankings

    def _places(self, ids: Int64[np.ndarray, " m"]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the part and the row in it of each id, -1 where no part has it."""
        if self._sorted is None:
            every = np.concatenate([np.empty(0, np.int64), *(part.ids for part in self.parts)])
            order = np.argsort(every, kind="stable")
            self._sorted = every[order], order
        known, order = self._sorted
        if not len(known):
            return np.full(len(ids), -1), np.full(len(ids), -1)
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        row = np.where(known[place] == ids, order[place], -1)
        starts = np.cumsum([0, *map(len, self.parts)])
        part = np.where(row < 0, -1, np.searchsorted(starts, row, side="right") - 1)
        row = np.where(row < 0, -1, row - starts[part])
        for number, gone in enumerate(self.gone):
            part[(part == number) & gone[np.where(part == number, row, 0)]] = -1
        return part, np.where(part < 0, -1, row)


def _rescored(
    part: Part, queries: Float32[np.ndarray, "q dim"], rows: Int64[np.ndarray, "q count"], k: int
) -> _Found:
    """Returns the k best of some rows by their descriptors."""
    k = min(k, rows.shape[1])
    ids = np.full((len(queries), k), PADDING_ID, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for number, query in enumerate(queries):
        own = rows[number][rows[number] >= 0]
        exact = exact_scores(part.halves[own], query)
        own_ids = part.ids[own]
        first = top_k(exact, own_ids, k)
        ids[number, : len(first)], scores[number, : len(first)] = own_ids[first], exact[first]
    return ids, scores


def _merged(found: Sequence[_Found], queries: int, k: int) -> Ranking:
    """Returns the k best of answers to the same queries, which share no id; ties go to the smaller id."""
    ids = np.full((queries, k), PADDING_ID, dtype=np.int64)
    scores = np.full((queries, k), -np.inf, dtype=np.float32)
    every = [np.concatenate(side, axis=1) for side in zip(*found, strict=True)]
    for row, (own_ids, own_scores) in enumerate(zip(*every, strict=True)):
        here = np.flatnonzero(own_ids != PADDING_ID)
        first = here[np.lexsort((own_ids[here], -own_scores[here]))[:k]]
        ids[row, : len(first)], scores[row, : len(first)] = own_ids[first], own_scores[first]
    return Ranking(ids, scores)
