"""Answers of the library as programs see them, over HTTP and MCP alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resight.collection import Answer, Collection, Hit, QueryPhoto, written_score
from resight.collection.groups import GroupKind
from resight.errors import CollectionDamaged
from resight.images import PhotoSource
from resight.pipelines.classify import Classifier, Vote
from resight.reports.verdict import verdict_reason
from resight.serving.shapes import (
    Groups,
    GroupShape,
    HitShape,
    Label,
    Matches,
    QueryShape,
    SearchAnswer,
    VoteShape,
)

__all__ = ["groups_shape", "label_shape", "matches_shape", "search_shape"]


def search_shape(
    answer: Answer, ids: Sequence[int | None], *, offset: int, top: int, most: int
) -> SearchAnswer:
    """Returns a page of an answer that was asked one hit deeper than the page's end.

    Args:
        answer: Of the search.
        ids: Number of each query photo; None for an upload.
        offset: Hits before the page.
        top: Hits of the page.
        most: Depth to which pages go.
    """
    end = offset + top
    return SearchAnswer(
        hits=[_hit(hit) for hit in answer.hits[offset:end]],
        searched=answer.searched,
        seconds=answer.seconds.total,
        queries=[_photo(photo, number) for photo, number in zip(answer.queries, ids, strict=True)],
        found=answer.is_found,
        more=len(answer.hits) > end and end < most,
        notes=list(answer.notes),
    )


def groups_shape(collection: Collection, of: GroupKind) -> Groups:
    """Returns the groups of a collection as far as they have been computed.

    Raises:
        CollectionError: The collection is gone or cannot be read.
    """
    found = collection.known_groups(of)
    if found is None:
        return Groups(computed=False, groups=[], note="groups are not computed: `resight groups` does it")
    numbers = collection.numbers()
    groups = [
        GroupShape(kind=group.kind, ids=[numbers[each.path] for each in group if each.path in numbers])
        for group in found
    ]
    return Groups(computed=True, groups=[group for group in groups if len(group.ids) > 1])


def label_shape(collection: Collection, photo: PhotoSource, label: str | None, max_pixels: int) -> Label:
    """Returns which labelled thing of a collection a photo shows.

    Raises:
        InvalidInput: The photos have no such labels.
        UnreadableImage: The photo cannot be read.
        CollectionError: The collection is gone or cannot be read.
    """
    classifier = Classifier(collection, label=label)
    said = classifier.classify(photo, max_pixels=max_pixels)
    return Label(
        label=said.label,
        best=said.best,
        confidence=said.confidence,
        threshold=classifier.threshold,
        votes=[_vote(vote) for vote in said.votes],
        others=[_vote(vote) for vote in said.others],
    )


def _vote(vote: Vote) -> VoteShape:
    return VoteShape(id=vote.hit.id or 0, path=vote.hit.path, label=vote.label, score=vote.score)


def _hit(hit: Hit) -> HitShape:
    return HitShape(
        id=hit.id or 0,
        path=hit.path,
        rank=hit.rank,
        score=written_score(hit),
        inliers=hit.inliers,
        verdict=hit.verdict,
        box=None if hit.box is None else hit.box.corners,
        probability=hit.probability,
        expected=None if hit.match is None else hit.match.expected,
        why=verdict_reason(hit.match),
        query=hit.query,
        width=hit.width,
        height=hit.height,
        metadata=dict(hit.metadata),
        missing=hit.missing,
        changed=hit.changed,
    )


def _photo(photo: QueryPhoto, number: int | None) -> QueryShape:
    return QueryShape(
        id=number,
        width=photo.width,
        height=photo.height,
        box=None if photo.box is None else photo.box.corners,
        wanted=photo.wanted,
    )


def matches_shape(answer: Answer, query_id: int | None) -> Matches:
    """Returns where a query and its one answer agree.

    Raises:
        CollectionDamaged: What the collection holds of the answer cannot be compared.
    """
    (hit,), (photo,) = answer.hits, answer.queries
    match = hit.match
    if match is None:
        raise CollectionDamaged("; ".join(answer.notes))
    points = np.concatenate([match.query_points, match.answer_points], axis=1).astype(float).tolist()
    return Matches(
        query=_photo(photo, query_id),
        answer=QueryShape(id=hit.id, width=hit.width, height=hit.height, box=None, wanted=True),
        inliers=match.inliers,
        expected=match.expected,
        verdict=hit.verdict,
        probability=hit.probability,
        why=verdict_reason(match),
        points=points,
        region=None if match.region is None else match.region.astype(float).tolist(),
        box=None if hit.box is None else hit.box.corners,
        transform=None if match.transform is None else match.transform.tolist(),
    )
