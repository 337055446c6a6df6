"""Query photos, read and described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from resight import images
from resight.collection.answer import Keypoints, QueryPhoto
from resight.errors import InvalidInput
from resight.features import Box, LocalFeatures
from resight.models.model import Model, attending
from resight.search.combination import combine

__all__ = ["Query", "describe_query"]


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What is searched for.

    Attributes:
        photos: The query photos, wanted ones first.
        descriptor: float32 ``(dim,)``: of the one photo, or of all combined.
        local: Local features of the wanted photos, inside the box where there is one.
    """

    photos: list[QueryPhoto]
    descriptor: Float32[np.ndarray, " dim"]
    local: list[LocalFeatures | None]

    @property
    def boxes(self) -> list[Box]:
        """What is searched for in each wanted photo, in its pixels."""
        return [
            photo.box or Box(0.0, 0.0, float(photo.width), float(photo.height))
            for photo in self.photos
            if photo.wanted
        ]


def describe_query(
    model: Model, wanted: Sequence[str | Path], unwanted: Sequence[str | Path], box: Box | None
) -> Query:
    """Returns the query that some photos make.

    Raises:
        InvalidInput: No photo, a box with several, or one outside its photo.
        UnreadableImage: A photo cannot be read.
    """
    if not wanted:
        raise InvalidInput("a search needs at least one query photo")
    if box is not None and len(wanted) > 1:
        raise InvalidInput(
            f"a box belongs to one query photo, not to {len(wanted)}: crop the others beforehand"
        )
    photos: list[QueryPhoto] = []
    descriptors: list[Float32[np.ndarray, " dim"]] = []
    local: list[LocalFeatures | None] = []
    for path in [*wanted, *unwanted]:
        is_wanted = len(photos) < len(wanted)
        photo = images.read(path, max_side=model.max_side, box=box if is_wanted else None)
        (features,) = model.extract([photo])
        shown = photo.region if box is not None and is_wanted else None
        seen = features.local if attending(model) is not None else None
        keypoints = None if seen is None else Keypoints.of(seen)
        photos.append(QueryPhoto(str(path), shown, photo.width, photo.height, is_wanted, keypoints))
        descriptors.append(features.descriptor)
        if is_wanted:
            local.append(features.local)
    rows = np.stack(descriptors)
    return Query(photos, combine(rows[: len(wanted)], rows[len(wanted) :]), local)
