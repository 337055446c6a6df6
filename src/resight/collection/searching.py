"""A search in a collection: query described, filter, scan, refinement, verification, rows of the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from resight import images
from resight.collection.answer import Answer, Hit, QueryPhoto, Seconds, ShownKeypoints
from resight.collection.query import VERIFY_DEPTH, Query
from resight.collection.resident import ResidentIndex
from resight.collection.roots import Key
from resight.collection.schema import metadata_names
from resight.collection.store import Store
from resight.collection.stored_local import StoredLocal
from resight.collection.stored_photos import has_changed
from resight.errors import InvalidInput, NoLocalFeatures
from resight.features import Box, LocalFeatures
from resight.models.codec import LocalCodec, as_stored
from resight.models.extract import shows_nothing
from resight.models.model import Model
from resight.search.expansion import combine, search_expanded
from resight.search.geometry.reranking import VerifiedRanking
from resight.search.geometry.verdict import verdict
from resight.search.geometry.verification import Verification, verify_answers
from resight.search.ranking import Ranking
from resight.search.reciprocal import rerank_reciprocal
from resight.search.super_global import rerank_super_global

__all__ = ["answer_query"]

UNWANTED_DEPTH = 1000
"""So many answers are ranked beyond those that are shown where some may be left out for what they show."""

SAME_SIMILARITY = 0.999
"""Similarity from which two descriptors are of one picture: their halves differ by 0.0005 at most."""

_DEPTHS = {"reciprocal": 100, "superglobal": 400}
"""Answers that a re-ranking by descriptors looks at; those of the papers."""


def answer_query(
    store: Store, resident: ResidentIndex, load_model: Callable[[], Model], query: Query
) -> Answer:
    """Returns the answer to a query.

    Raises:
        InvalidInput: The box lies outside its photo, nothing in a query photo can be recognised, or the
            filter cannot be understood.
        NoLocalFeatures: Verification is wanted and the model has none.
        UnreadableImage: A query photo cannot be read.
        CollectionDamaged: The collection cannot be read.
    """
    clock = [time.perf_counter()]
    model = load_model()
    depth = _depth(model, query)
    described = _describe(model, query)
    clock.append(time.perf_counter())
    with resident.lock:
        index = resident.current()
        if query.refine == "diffusion":
            # Its graph counts as loading: it is built once.
            resident.diffusion()
        clock.append(time.perf_counter())
        allowed = None if query.where is None else store.ids_where(query.where)
        if allowed is not None:
            # A photo may have come or gone between the two reads.
            allowed = np.intersect1d(allowed, index.ids)
        searched = len(index) if allowed is None else len(allowed)
        more = UNWANTED_DEPTH if query.without else 0
        k = max(1, min(max(query.top, depth) + more, searched))
        ranking = _ranking(resident, described.descriptor, k, query, allowed)
        if query.without:
            copies = _copies(index.descriptors(ranking.row(0)[0]), described.unwanted)
            ranking = _keep(ranking, ~copies)
    clock.append(time.perf_counter())
    stored = StoredLocal(store, model.codec)
    if depth and query.without:
        ranking = _without_shown(described, ranking, depth, stored)
    head = ranking.row(0)[0][:depth]
    local = stored.of(head)
    found = [
        (row, number, None if row in stored.damaged else match)
        for row, (number, match) in zip(head.tolist(), _matches(described, local, model.codec), strict=True)
    ]
    verified = VerifiedRanking.of(ranking, [[match for _, _, match in found]])
    queries = {row: number for row, number, match in found if match is not None}
    keypoints = {}
    if _has_attention(model):
        pairs = zip(head.tolist(), local, strict=True)
        keypoints = {row: ShownKeypoints.of(features) for row, features in pairs if features is not None}
    clock.append(time.perf_counter())
    hits = _hits(store, verified, query.top, queries, keypoints)
    describe, load, search, verify = (after - before for before, after in pairwise(clock))
    seconds = Seconds(describe, load, search, verify, time.perf_counter() - clock[0])
    return Answer(described.photos, hits, searched, seconds, (*store.roots.notes(), *stored.notes()))


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """A query's photos as the model sees them.

    Attributes:
        photos: Those of the thing first.
        descriptor: float32 ``(dim,)``: of the one photo, or of all combined.
        local: Local features of the photos of the thing, inside the box where there is one.
        unwanted: float32 ``(n, dim)``: of each photo of what the answers must not show.
        unwanted_local: Local features of these.
    """

    photos: list[QueryPhoto]
    descriptor: Float32[np.ndarray, " dim"]
    local: list[LocalFeatures | None]
    unwanted: Float32[np.ndarray, "n dim"]
    unwanted_local: list[LocalFeatures | None]

    @property
    def boxes(self) -> list[Box]:
        """What is searched for in each photo of the thing, in its pixels."""
        return [
            photo.box or Box(0.0, 0.0, float(photo.width), float(photo.height))
            for photo in self.photos
            if photo.wanted
        ]


def _depth(model: Model, query: Query) -> int:
    """Returns how many answers are verified.

    Raises:
        NoLocalFeatures: The query says a number and the model has no local features.
    """
    has_local = model.facts.local is not None
    if query.verify == "auto":
        return VERIFY_DEPTH if has_local else 0
    if query.verify and not has_local:
        raise NoLocalFeatures("this model has no local features to verify with: search without verify")
    return query.verify


def _has_attention(model: Model) -> bool:
    local = model.facts.local
    return local is not None and local.attention


def _describe(model: Model, query: Query) -> _Described:
    photos: list[QueryPhoto] = []
    descriptors: list[Float32[np.ndarray, " dim"]] = []
    local: list[LocalFeatures | None] = []
    for source in [*query.photos, *query.without]:
        is_wanted = len(photos) < len(query.photos)
        photo = images.photo_of(
            source,
            max_side=model.max_side,
            box=query.box if is_wanted else None,
            max_pixels=query.max_pixels,
        )
        (features,) = model.extract([photo])
        if shows_nothing(photo, features):
            name = source if isinstance(source, str | Path) else "the query photo"
            where = "the box of " if query.box is not None and is_wanted else ""
            raise InvalidInput(
                f"nothing in {where}{name} can be recognised: it is of one colour, or shows nothing but "
                "smooth areas; search for another photo"
            )
        box = photo.region if query.box is not None and is_wanted else None
        attended = features.local if _has_attention(model) else None
        keypoints = None if attended is None else ShownKeypoints.of(attended)
        photos.append(QueryPhoto(source, box, photo.width, photo.height, is_wanted, keypoints))
        descriptors.append(features.descriptor)
        local.append(features.local)
    rows = np.stack(descriptors)
    count = len(query.photos)
    combined = combine(rows[:count], rows[count:])
    return _Described(photos, combined, local[:count], rows[count:], local[count:])


def _ranking(
    resident: ResidentIndex,
    descriptor: Float32[np.ndarray, " dim"],
    k: int,
    query: Query,
    allowed: Int64[np.ndarray, " m"] | None,
) -> Ranking:
    """Returns the best k or more for one descriptor, refined as the query says; hold the resident's lock."""
    if query.refine == "diffusion":
        return resident.diffusion().rank(descriptor[None], k)
    index = resident.current()
    searched = len(index) if allowed is None else len(allowed)
    k = max(1, min(max(k, _DEPTHS.get(query.refine or "", 0)), searched))
    # Never more than there are: memory is asked for that many.
    n = min(query.expand, searched)
    ranking = search_expanded(index, descriptor[None], k, n=n, allowed=allowed)
    if query.refine == "reciprocal":
        return rerank_reciprocal(ranking, descriptor[None], index.descriptors, top=_DEPTHS["reciprocal"])
    if query.refine == "superglobal":
        return rerank_super_global(ranking, descriptor[None], index.descriptors, top=_DEPTHS["superglobal"])
    return ranking


def _copies(
    descriptors: Float32[np.ndarray, "answers dim"], unwanted: Float32[np.ndarray, "n dim"]
) -> Bool[np.ndarray, " answers"]:
    """Returns which answers are one of the unwanted photos, or a copy of one."""
    return (descriptors @ unwanted.T >= SAME_SIMILARITY).any(axis=1)


def _without_shown(described: _Described, ranking: Ranking, depth: int, stored: StoredLocal) -> Ranking:
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
    described: _Described, answers: Sequence[LocalFeatures | None], codec: LocalCodec
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
            )
        )
    return hits
