"""A landmark benchmark's photos described: queries cropped to their boxes, database images whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from resight.datasets.landmark_folder import LandmarkFolder
from resight.errors import InvalidInput, UnreadableImage
from resight.features import LocalFeatures
from resight.files import Progress
from resight.models.codec import as_stored
from resight.models.extract import extract
from resight.models.model import Model

__all__ = ["LandmarkDescriptors", "describe_landmarks"]


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkDescriptors:
    """What a model says of a benchmark's photos.

    Attributes:
        database: float32 ``(n, dim)``; zeros where the model finds nothing to describe.
        queries: float32 ``(q, dim)``.
        database_local: Local features of each database image, as a collection would store them; empty where
            they were not kept.
        query_local: Of each query, inside its box, as they are compared with stored ones.
        nothing_in: Database images in which the model finds nothing; they score 0.
    """

    database: Float32[np.ndarray, "n dim"]
    queries: Float32[np.ndarray, "q dim"]
    database_local: tuple[LocalFeatures | None, ...]
    query_local: tuple[LocalFeatures | None, ...]
    nothing_in: tuple[str, ...]


def describe_landmarks(
    model: Model,
    folder: LandmarkFolder,
    *,
    crop: bool = True,
    keep_local: bool | None = False,
    progress: Progress | None = None,
) -> LandmarkDescriptors:
    """Returns the descriptors of a benchmark's photos.

    A cropped query is shown at the pixel scale that its whole photo would have in the database: as small as
    there, and never enlarged.

    Args:
        model: Describes the photos.
        folder: The benchmark.
        crop: Whether queries are cropped to their boxes.
        keep_local: Whether local features are kept, for verification; None: if the model has any.
        progress: Called with the photos done and how many there are.

    Raises:
        InvalidInput: A photo is missing, queries are to be cropped and have no box, or the model has no local
            features to keep.
        UnreadableImage: A photo is broken, a box lies outside its query, or the model finds nothing in one.
    """
    if keep_local and model.local is None:
        raise InvalidInput(f"{model.name} has no local features: evaluate it without --verify")
    keeps_local = model.local is not None if keep_local is None else keep_local
    folder.require_photos()
    queries, total = len(folder.queries), len(folder.queries) + len(folder.database)
    paths = [folder.root / path for path in (*folder.queries, *folder.database)]
    boxes = [*(folder.truth.boxes if crop else [None] * queries), *[None] * len(folder.database)]
    descriptors = np.zeros((total, model.dim), dtype=np.float32)
    local: list[LocalFeatures | None] = []
    nothing: list[str] = []
    for row, photo in enumerate(extract(paths, model, boxes=boxes)):
        if photo.features is not None:
            descriptors[row] = photo.features.descriptor
        elif row < queries or photo.width == 0:
            raise UnreadableImage(photo.path, photo.reason or "it cannot be read")
        else:
            nothing.append(folder.database[row - queries])
        if keeps_local:
            own = None if photo.features is None else photo.features.local
            local.append(None if own is None else _compared(model, own, stored=row >= queries))
        if progress is not None:
            progress(row + 1, total)
    return LandmarkDescriptors(
        descriptors[queries:],
        descriptors[:queries],
        tuple(local[queries:]),
        tuple(local[:queries]),
        tuple(nothing),
    )


def _compared(model: Model, features: LocalFeatures, *, stored: bool) -> LocalFeatures:
    """Returns local features as verification compares them: those of the database are stored beforehand."""
    if stored:
        return model.codec.decode(model.codec.encode(features))
    return as_stored(model.codec, features)
