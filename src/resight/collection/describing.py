"""A query's photos as the model sees them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from resight import images
from resight.collection.answer import QueryPhoto, ShownKeypoints
from resight.collection.query import VERIFY_DEPTH, Query
from resight.collection.seen import SeenPhoto, SeenPhotos
from resight.errors import InvalidInput, NoLocalFeatures
from resight.features import Box, LocalFeatures
from resight.images import PhotoSource
from resight.models.extract import shows_nothing
from resight.models.model import Model
from resight.search.expansion import combine

__all__ = ["Described", "describe_query", "has_attention"]


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """A query whose photos have been described.

    Attributes:
        query: What is searched for.
        depth: Answers that are verified.
        photos: Those of the thing first.
        descriptor: float32 ``(dim,)``: of the one photo, or of all combined.
        local: Local features of the photos of the thing, inside the box where there is one.
        unwanted: float32 ``(n, dim)``: of each photo of what the answers must not show.
        unwanted_local: Local features of these.
        started: When describing began, on the clock of ``time.perf_counter``.
        seconds: How long it took.
    """

    query: Query
    depth: int
    photos: list[QueryPhoto]
    descriptor: Float32[np.ndarray, " dim"]
    local: list[LocalFeatures | None]
    unwanted: Float32[np.ndarray, "n dim"]
    unwanted_local: list[LocalFeatures | None]
    started: float
    seconds: float

    @property
    def boxes(self) -> list[Box]:
        """What is searched for in each photo of the thing, in its pixels."""
        return [
            photo.box or Box(0.0, 0.0, float(photo.width), float(photo.height))
            for photo in self.photos
            if photo.wanted
        ]


def describe_query(
    model: Model, query: Query, *, started: float, remembered: SeenPhotos | None = None
) -> Described:
    """Returns a query with its photos described.

    Args:
        model: Describes them.
        query: Any.
        started: When the search began, on the clock of ``time.perf_counter``.
        remembered: Photos of earlier queries, as this model sees them; those of this one are added.

    Raises:
        InvalidInput: The box lies outside its photo, or nothing in a photo can be recognised.
        NoLocalFeatures: Verification is wanted and the model has none.
        UnreadableImage: A photo cannot be read.
    """
    depth = _depth(model, query)
    remembered = remembered or SeenPhotos(0)
    photos: list[QueryPhoto] = []
    descriptors: list[Float32[np.ndarray, " dim"]] = []
    local: list[LocalFeatures | None] = []
    for source in [*query.photos, *query.without]:
        is_wanted = len(photos) < len(query.photos)
        box, limit = query.box if is_wanted else None, query.max_pixels
        seen = remembered.get(source, box, limit, partial(_seen, model, source, box, limit))
        attended = seen.features.local if has_attention(model) else None
        keypoints = None if attended is None else ShownKeypoints.of(attended)
        photos.append(QueryPhoto(source, seen.region, seen.width, seen.height, is_wanted, keypoints))
        descriptors.append(seen.features.descriptor)
        local.append(seen.features.local)
    rows = np.stack(descriptors)
    count = len(query.photos)
    if not any(each is not None and len(each) for each in local[:count]):
        # Without a keypoint in the query inliers say nothing of an answer: it stays unchecked.
        depth = 0
    combined = combine(rows[:count], rows[count:])
    seconds = time.perf_counter() - started
    return Described(
        query, depth, photos, combined, local[:count], rows[count:], local[count:], started, seconds
    )


def _seen(model: Model, source: PhotoSource, box: Box | None, max_pixels: int) -> SeenPhoto:
    """Returns a photo of a query, described.

    Raises:
        InvalidInput: The box lies outside the photo, or nothing in it can be recognised.
        UnreadableImage: The photo cannot be read.
    """
    with images.from_bucket(source) as given:
        photo = images.photo_of(given, max_side=model.max_side, box=box, max_pixels=max_pixels)
    (features,) = model.extract([photo])
    if shows_nothing(photo, features):
        name = source if isinstance(source, str | Path) else "the query photo"
        where = "the box of " if box is not None else ""
        raise InvalidInput(
            f"nothing in {where}{name} can be recognised: it is of one colour, or shows nothing but smooth "
            "areas; search for another photo"
        )
    return SeenPhoto(photo.width, photo.height, photo.region if box is not None else None, features)


def has_attention(model: Model) -> bool:
    """Returns whether the model's local features say where it looks."""
    local = model.facts.local
    return local is not None and local.attention


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
