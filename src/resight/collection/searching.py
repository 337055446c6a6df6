"""A search in a collection: query described, filter, scan, refinement, verification, rows of the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Bool, Float32, Int64

from resight.collection.answer import Answer, Hit, Seconds, ShownKeypoints
from resight.collection.describing import Described, describe_query, has_attention
from resight.collection.query import Query, RefineMethod
from resight.collection.resident import ResidentIndex
from resight.collection.roots import Key
from resight.collection.schema import metadata_names
from resight.collection.seen import SeenPhotos
from resight.collection.store import Store
from resight.collection.stored_local import StoredLocal
from resight.collection.stored_photos import has_changed
from resight.errors import CollectionDamaged, InvalidInput
from resight.features import LocalFeatures
from resight.models.codec import LocalCodec, as_stored
from resight.models.model import Model
from resight.search.expansion import search_expanded
from resight.search.geometry.reranking import VerifiedRanking
from resight.search.geometry.verdict import verdict
from resight.search.geometry.verification import Verification, verify_answers
from resight.search.ranking import Ranking
from resight.search.reciprocal import rerank_reciprocal
from resight.search.super_global import rerank_super_global

__all__ = ["Ranked", "Searcher"]

UNWANTED_DEPTH = 1000
"""So many answers are ranked beyond those that are shown where some may be left out for what they show."""

SAME_SIMILARITY = 0.999
"""Similarity from which two descriptors are of one picture: their halves differ by 0.0005 at most."""

_DEPTHS = {"reciprocal": 100, "superglobal": 400}
"""Answers that a re-ranking by descriptors looks at; those of the papers."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """A query with the photos that are nearest to it, to be verified.

    Attributes:
        described: The query.
        ranking: One row; its ids are row ids.
        searched: Photos that were searched, after the filter.
        load: Seconds of bringing the descriptors into memory.
        search: Seconds of filter, scan and query expansion.
    """

    described: Described
    ranking: Ranking
    searched: int
    load: float
    search: float


@final
class Searcher:
    """Answers queries in three steps, so that one scan can serve several of them: describe, rank, answer.

    Safe to use from several threads.
    """

    def __init__(self, store: Store, resident: ResidentIndex, load_model: Callable[[], Model]) -> None:
        self._store = store
        self._resident = resident
        self._load_model = load_model

    def describe(self, query: Query, *, remembered: SeenPhotos | None = None) -> Described:
        """Returns the query with its photos described.

        Args:
            query: Any.
            remembered: Photos of earlier queries, as this model sees them; those of this one are added.

        Raises:
            InvalidInput: The box lies outside its photo, or nothing in a query photo can be recognised.
            NoLocalFeatures: Verification is wanted and the model has none.
            UnreadableImage: A query photo cannot be read.
            ModelError: The model cannot be loaded, or is another.
        """
        started = time.perf_counter()
        return describe_query(self._load_model(), query, started=started, remembered=remembered)

    def rank(self, queries: Sequence[Described]) -> list[Ranked | InvalidInput]:
        """Returns the nearest photos of each query, or why its filter cannot be used.

        Queries of one filter, expansion and refinement share a scan; each gets what it would get alone.

        Raises:
            CollectionDamaged: The collection cannot be read.
        """
        alike: dict[tuple[str | None, int, RefineMethod | None], list[int]] = {}
        for number, described in enumerate(queries):
            query = described.query
            alike.setdefault((query.where, query.expand, query.refine), []).append(number)
        ranked: dict[int, Ranked | InvalidInput] = {}
        with self._resident.lock:
            for numbers in alike.values():
                try:
                    some = [queries[number] for number in numbers]
                    ranked |= zip(numbers, self._rank_or_exactly(some), strict=True)
                except InvalidInput as error:
                    ranked |= dict.fromkeys(numbers, error)
        return [ranked[number] for number in range(len(queries))]

    def rank_these(self, described: Described, ids: Int64[np.ndarray, " n"]) -> Ranked:
        """Returns some photos as the ranking of a query, to be verified; those that are gone are left out.

        Raises:
            CollectionDamaged: The collection cannot be read.
        """
        started = time.perf_counter()
        with self._resident.lock:
            index = self._resident.searched()
            loaded = time.perf_counter()
            allowed = np.intersect1d(ids, index.ids)
            ranking = index.search(described.descriptor[None], max(1, len(allowed)), allowed=allowed)
        done = time.perf_counter()
        return Ranked(described, ranking, len(allowed), loaded - started, done - loaded)

    def answer(self, ranked: Ranked) -> Answer:
        """Returns the answer to a query: its nearest photos verified, in their order, with their rows.

        Raises:
            CollectionDamaged: The collection cannot be read.
        """
        started = time.perf_counter()
        store, described, ranking, model = self._store, ranked.described, ranked.ranking, self._load_model()
        query, depth = described.query, described.depth
        stored = StoredLocal(store, model.codec)
        if depth and query.without:
            ranking = _without_shown(described, ranking, depth, stored)
        head = ranking.row(0)[0][:depth]
        local = stored.of(head)
        found = [
            (row, number, None if row in stored.damaged else match)
            for row, (number, match) in zip(
                head.tolist(), _matches(described, local, model.codec), strict=True
            )
        ]
        verified = VerifiedRanking.of(ranking, [[match for _, _, match in found]])
        numbers = {row: number for row, number, match in found if match is not None}
        keypoints = {}
        if has_attention(model):
            pairs = zip(head.tolist(), local, strict=True)
            keypoints = {row: ShownKeypoints.of(features) for row, features in pairs if features is not None}
        verify = time.perf_counter() - started
        hits = _hits(store, verified, query.top, numbers, keypoints)
        learned = store.header.probability
        if learned is not None and query.refine is None and not query.expand:
            # Of scores that are no inner products with the query it knows nothing.
            hits = [replace(hit, probability=learned.of(hit.similarity, hit.match)) for hit in hits]
        if query.refine is None:
            hits = self._with_parts(hits, described.descriptor)
        total = time.perf_counter() - described.started
        seconds = Seconds(described.seconds, ranked.load, ranked.search, verify, total)
        damage = tuple(stored.notes())
        notes = (*store.roots.notes(), *self._resident.notes(), *damage)
        return Answer(described.photos, hits, ranked.searched, seconds, notes, damage)

    def _with_parts(self, hits: list[Hit], descriptor: Float32[np.ndarray, " dim"]) -> list[Hit]:
        """Returns hits with the part by which each was found, where it was one."""
        with self._resident.lock:
            regions = self._resident.regions()
        if regions is None:
            return hits
        return [
            replace(
                hit,
                part=None
                if hit.id is None
                else regions.part_of(hit.id, descriptor, hit.similarity, (hit.width, hit.height)),
            )
            for hit in hits
        ]

    def _rank_or_exactly(self, queries: Sequence[Described]) -> list[Ranked]:
        """Returns what `_rank_alike` does, by the exact scan where the kept index turns out to be damaged."""
        try:
            return self._rank_alike(queries)
        except CollectionDamaged:
            if not self._resident.lay_aside():
                raise
        return self._rank_alike(queries)

    def _rank_alike(self, queries: Sequence[Described]) -> list[Ranked]:
        """Returns the nearest photos of queries with one filter, expansion and refinement."""
        started = time.perf_counter()
        first = queries[0].query
        index = self._resident.searched()
        if first.refine == "diffusion":
            # Its graph counts as loading: it is built once.
            self._resident.diffusion()
        loaded = time.perf_counter()
        allowed = None if first.where is None else self._store.ids_where(first.where)
        if allowed is not None:
            # A photo may have come or gone between the two reads.
            allowed = np.intersect1d(allowed, index.ids)
        searched = len(index) if allowed is None else len(allowed)
        depths = [
            max(1, min(max(each.query.top, each.depth) + UNWANTED_DEPTH * bool(each.query.without), searched))
            for each in queries
        ]
        descriptors = np.stack([each.descriptor for each in queries])
        rankings = _ranking(self._resident, descriptors, max(depths), first, allowed)
        ranked = []
        for row, (described, k) in enumerate(zip(queries, depths, strict=True)):
            # A refinement looks at more than a query asks for, and all of it counts.
            k = max(k, min(_DEPTHS.get(first.refine or "", 0), searched))
            ranking = Ranking(rankings.ids[row : row + 1, :k], rankings.scores[row : row + 1, :k])
            if described.query.without:
                copies = _copies(index.descriptors(ranking.row(0)[0]), described.unwanted)
                ranking = _keep(ranking, ~copies)
            ranked.append((described, ranking))
        done = time.perf_counter()
        return [
            Ranked(described, ranking, searched, loaded - started, done - loaded)
            for described, ranking in ranked
        ]


def _ranking(
    resident: ResidentIndex,
    descriptors: Float32[np.ndarray, "queries dim"],
    k: int,
    query: Query,
    allowed: Int64[np.ndarray, " m"] | None,
) -> Ranking:
    """Returns the best k or more for each descriptor, refined as the query says; hold the resident's lock."""
    if query.refine == "diffusion":
        return resident.diffusion().rank(descriptors, k)
    index = resident.searched()
    searched = len(index) if allowed is None else len(allowed)
    k = max(1, min(max(k, _DEPTHS.get(query.refine or "", 0)), searched))
    # Never more than there are: memory is asked for that many.
    n = min(query.expand, searched)
    ranking = search_expanded(index, descriptors, k, n=n, allowed=allowed)
    regions = resident.regions() if query.refine is None else None
    if regions is not None:
        return regions.with_parts(ranking, descriptors, k, allowed)
    if query.refine == "reciprocal":
        return rerank_reciprocal(ranking, descriptors, index.descriptors, top=_DEPTHS["reciprocal"])
    if query.refine == "superglobal":
        return rerank_super_global(ranking, descriptors, index.descriptors, top=_DEPTHS["superglobal"])
    return ranking


def _copies(
    descriptors: Float32[np.ndarray, "answers dim"], unwanted: Float32[np.ndarray, "n dim"]
) -> Bool[np.ndarray, " answers"]:
    """Returns which answers are one of the unwanted photos, or a copy of one."""
    return (descriptors @ unwanted.T >= SAME_SIMILARITY).any(axis=1)


def _without_shown(described: Described, ranking: Ranking, depth: int, stored: StoredLocal) -> Ranking:
    """Leaves out answers that geometry confirms to show what an unwanted photo shows.

    Those that move up are looked at in turn, until none of the first ``depth`` is such an answer.
    """
    kept = 0
    while len(some := ranking.row(0)[0][kept:depth]):
        shown = np.zeros(len(some), dtype=bool)
        answers = stored.of(some)
        for features in described.unwanted_local:
            if features is not None:
                matches = verify_answers(as_stored(stored.codec, features), answers)
                shown |= np.array([verdict(match) == "confirmed" for match in matches], dtype=bool)
        ranking = _keep(ranking, np.concatenate([np.ones(kept, dtype=bool), ~shown]))
        kept += int(np.count_nonzero(~shown))
    return ranking


def _keep(ranking: Ranking, are_kept: Bool[np.ndarray, " head"]) -> Ranking:
    """Returns the ranking of one query with some of its first answers alone, and all others."""
    ids, scores = ranking.row(0)
    kept = np.concatenate([are_kept, np.ones(len(ids) - len(are_kept), dtype=bool)])
    return Ranking(ids[kept][None], scores[kept][None])


def _matches(
    described: Described, answers: Sequence[LocalFeatures | None], codec: LocalCodec
) -> list[tuple[int, Verification]]:
    """Returns for each answer the query photo with most inliers and its match; the first photo at ties.

    ``answers`` are local features as they are compared. Query photos are verified one by one.
    """
    if not answers:
        return []
    local = [as_stored(codec, features) for features in described.local if features is not None]
    by_photo = [
        verify_answers(features, answers, region=box)
        for features, box in zip(local, described.boxes, strict=True)
    ]
    return [
        max(enumerate(matches), key=lambda match: (match[1].inliers, -match[0]))
        for matches in zip(*by_photo, strict=True)
    ]


def _hits(
    store: Store,
    ranking: VerifiedRanking,
    top: int,
    queries: Mapping[int, int],
    keypoints: Mapping[int, ShownKeypoints],
) -> list[Hit]:
    """Returns the first photos of a ranking; one that was removed a moment ago is left out.

    Args:
        store: Holds their rows.
        ranking: Of one query; its ids are row ids.
        top: How many at most.
        queries: Number of the query photo that each verified row is matched with.
        keypoints: To be shown, by row id.
    """
    ids, similarities, matches = ranking.row(0)
    ids = ids[:top]
    names = metadata_names(store.schema)
    stamp = ("file_size", "modified_ns", "hash")
    table = store.rows(ids, ["root", "path", "width", "height", "broken", *stamp, *names])
    rows = {row["_rowid"]: row for row in table.to_pylist() if row["broken"] is None}
    roots = store.roots
    hits: list[Hit] = []
    for row_id, similarity, match in zip(ids.tolist(), similarities.tolist(), matches, strict=False):
        if row_id not in rows:
            continue
        row = rows[row_id]
        key = Key(row["root"], row["path"])
        path, is_here = roots.path_of(key), roots.is_here(key)
        changed = is_here and has_changed(path, *(row[name] for name in stamp))
        hits.append(
            Hit(
                rank=len(hits) + 1,
                similarity=similarity,
                path=path,
                width=row["width"],
                height=row["height"],
                match=match,
                query=queries.get(row_id),
                metadata={name: row[name] for name in names if row[name] is not None},
                keypoints=keypoints.get(row_id),
                missing=not is_here or (changed and not roots.is_named_here(key.root)),
                changed=changed,
                id=row_id,
            )
        )
    return hits
