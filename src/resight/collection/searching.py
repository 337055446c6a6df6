"""A search in a collection: filter, scan, refinement, verification, and the rows of what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from resight.collection.answer import Answer, Hit, Keypoints, Seconds
from resight.collection.metadata import metadata_names
from resight.collection.querying import Query, describe_query
from resight.collection.refining import check_refinement, refined_ranking
from resight.collection.resident import ResidentIndex
from resight.collection.roots import Key
from resight.collection.store import Store
from resight.errors import CollectionDamaged, InvalidInput, NoLocalFeatures
from resight.features import Box, LocalFeatures
from resight.models.codec import LocalCodec, as_stored
from resight.models.model import Model, attending, codec_of
from resight.search.geometry import verification
from resight.search.ranking import Ranking

__all__ = ["answer_query"]

LOCAL_ROWS = 64
"""Local features read from the disk at once: 13 MB at 200 kB a photo."""


def answer_query(
    store: Store,
    resident: ResidentIndex,
    load_model: Callable[[], Model],
    wanted: Sequence[str | Path],
    *,
    unwanted: Sequence[str | Path],
    box: Box | None,
    top: int,
    verify: int,
    expand: int,
    where: str | None,
    refine: str | None = None,
) -> Answer:
    """Returns the answer to a query; `Collection.answer` says what the arguments mean.

    Raises:
        InvalidInput: A number, the box or the filter cannot be right.
        NoLocalFeatures: Verification is wanted and the model has none.
        UnreadableImage: A query photo cannot be read.
        CollectionDamaged: The collection cannot be read.
    """
    for name, number, least in (("top", top, 1), ("verify", verify, 0), ("expand", expand, 0)):
        if number < least:
            raise InvalidInput(f"{name} must be at least {least}, not {number}")
    check_refinement(refine, expand=expand, where=where)
    clock = [time.perf_counter()]
    model = load_model()
    query = describe_query(model, wanted, unwanted, box)
    clock.append(time.perf_counter())
    with resident.lock:
        index = resident.current()
        if refine == "diffusion":
            # Its graph counts as loading: it is built once.
            resident.diffusion()
        clock.append(time.perf_counter())
        allowed = None if where is None else store.ids_where(where)
        if allowed is not None:
            # A photo may have come or gone between the two reads.
            allowed = np.intersect1d(allowed, index.ids)
        searched = len(index) if allowed is None else len(allowed)
        k = max(1, min(max(top, verify), searched))
        ranking = refined_ranking(
            resident, query.descriptor, k, refine=refine, expand=expand, allowed=allowed
        )
    clock.append(time.perf_counter())
    ids, scores = ranking.row(0)
    found: dict[int, tuple[int, verification.Verification]] = {}
    keypoints: dict[int, Keypoints] = {}
    if verify:
        codec = codec_of(model)
        local = _local_features(store, ids[:verify], codec)
        if attending(model) is not None:
            heads = zip(ids[:verify].tolist(), local, strict=True)
            keypoints = {row_id: Keypoints.of(one) for row_id, one in heads if one is not None}
        ids, scores, found = _verified(ranking, query, local, codec)
    clock.append(time.perf_counter())
    hits = _hits(store, ids[:top], scores[:top], found, keypoints)
    described, loaded, scanned, verified = (after - before for before, after in pairwise(clock))
    seconds = Seconds(described, loaded, scanned, verified, time.perf_counter() - clock[0])
    return Answer(query.photos, hits, searched, seconds)


def _verified(
    ranking: Ranking, query: Query, answers: Sequence[LocalFeatures | None], codec: LocalCodec | None
) -> tuple[
    Int64[np.ndarray, " found"],
    Float32[np.ndarray, " found"],
    dict[int, tuple[int, verification.Verification]],
]:
    """Returns ids and scores re-ranked by geometry, and by id the query photo that fits best with the fit.

    ``answers`` are the local features of the first ids, which are verified, as they are compared. Several
    query photos are verified one by one; an answer counts the inliers of its best.
    """
    local = [features for features in query.local if features is not None]
    if len(local) < len(query.local):
        raise NoLocalFeatures("this model has no local features to verify with: search without verify")
    if codec is not None:
        local = [as_stored(codec, features) for features in local]
    top = len(answers)
    ids, scores = ranking.row(0)
    head, head_scores = ids[:top], scores[:top]
    several = Ranking(
        np.repeat(head[None], len(local), axis=0), np.repeat(head_scores[None], len(local), axis=0)
    )
    _, fits = verification.rerank(several, local, lambda _: answers, top=top, regions=query.boxes)
    best = {
        row_id: max(
            ((number, by_id[row_id]) for number, by_id in enumerate(fits)),
            key=lambda fit: (fit[1].inliers, -fit[0]),
        )
        for row_id in head.tolist()
    }
    inliers = np.array([best[row_id][1].inliers for row_id in head.tolist()], dtype=np.int64)
    order, head_scores = verification.sort_by_inliers(head_scores, inliers)
    return np.concatenate([head[order], ids[top:]]), np.concatenate([head_scores, scores[top:]]), best


def _local_features(
    store: Store, ids: Int64[np.ndarray, " n"], codec: LocalCodec | None
) -> list[LocalFeatures | None]:
    """Returns local features by row id as they are compared, None where a row is gone or has none.

    Reads these rows alone, and once: every query photo is compared with the same answers.

    Raises:
        CollectionDamaged: Those of a photo cannot be understood.
    """
    found: dict[int, LocalFeatures] = {}
    for start in range(0, len(ids), LOCAL_ROWS):
        table = store.rows(ids[start : start + LOCAL_ROWS], ["path", "local"])
        columns = (table[name] for name in ("_rowid", "path", "local"))
        for row_id, path, data in zip(*columns, strict=True):
            if data.is_valid:
                try:
                    stored = LocalFeatures.from_bytes(data.as_buffer().to_pybytes())
                except InvalidInput as error:
                    raise CollectionDamaged(
                        f"what {store.path} holds of {path} is damaged: {error}; remove that photo and index "
                        "it again"
                    ) from None
                found[row_id.as_py()] = stored if codec is None else codec.decode(stored)
    return [found.get(row_id) for row_id in ids.tolist()]


def _hits(
    store: Store,
    ids: Int64[np.ndarray, " n"],
    scores: Float32[np.ndarray, " n"],
    found: dict[int, tuple[int, verification.Verification]],
    keypoints: dict[int, Keypoints],
) -> list[Hit]:
    """Returns the photos of some rows in order; one that was removed a moment ago is left out."""
    names = metadata_names(store.schema)
    table = store.rows(ids, ["root", "path", "width", "height", "broken", *names])
    rows = {row["_rowid"]: row for row in table.to_pylist() if row["broken"] is None}
    roots = store.roots
    hits: list[Hit] = []
    for row_id, score in zip(ids.tolist(), scores.tolist(), strict=True):
        if row_id not in rows:
            continue
        row = rows[row_id]
        query, fit = found.get(row_id, (None, None))
        region = None if fit is None else fit.region
        hits.append(
            Hit(
                rank=len(hits) + 1,
                score=score,
                path=roots.path_of(Key(row["root"], row["path"])),
                width=row["width"],
                height=row["height"],
                inliers=None if fit is None else fit.inliers,
                expected=None if fit is None else fit.expected,
                query=query,
                query_points=None if fit is None else fit.query_points,
                answer_points=None if fit is None else fit.answer_points,
                transform=None if fit is None else fit.transform,
                region=region,
                box=None if region is None else _bounds(region, row["width"], row["height"]),
                metadata={name: row[name] for name in names if row[name] is not None},
                keypoints=keypoints.get(row_id),
            )
        )
    return hits


def _bounds(region: Float32[np.ndarray, "4 2"], width: int, height: int) -> Box | None:
    """Returns the smallest box around a region inside a photo, or None when none of it is inside.

    A region's corners are positions (the first pixel's centre is 0), a box runs along edges (it is 0.5).
    """
    x0, y0 = np.maximum(region.min(axis=0) + 0.5, 0.0).tolist()
    x1, y1 = np.minimum(region.max(axis=0) + 0.5, (width, height)).tolist()
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
