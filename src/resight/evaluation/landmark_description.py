"""A landmark benchmark's photos described: queries cropped to their boxes, database images whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from resight import images
from resight.datasets.landmark_folder import LandmarkFolder
from resight.errors import InvalidInput, UnreadableImage
from resight.features import ImageFeatures, LocalFeatures
from resight.files import Progress
from resight.models.codec import as_stored
from resight.models.extract import extract
from resight.models.model import Model, codec_of

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
        UnreadableImage: A photo is broken, or the model finds nothing in a query.
    """
    folder.require_photos()
    total = len(folder.queries) + len(folder.database)
    queries: list[ImageFeatures] = []
    for query in range(len(folder.queries)):
        queries.append(_query(model, folder, query, crop=crop))
        if progress is not None:
            progress(len(queries), total)
    none = all(one.local is None for one in queries)
    if keep_local and none:
        raise InvalidInput(f"{model.name} has no local features: evaluate it without --verify")
    keep_local = not none if keep_local is None else keep_local
    codec = codec_of(model)
    database = np.zeros((len(folder.database), model.dim), dtype=np.float32)
    local: list[LocalFeatures | None] = []
    nothing: list[str] = []
    paths = [folder.root / path for path in folder.database]
    for row, done in enumerate(extract(paths, model)):
        if done.features is not None:
            database[row] = done.features.descriptor
        elif done.width == 0:
            raise UnreadableImage(done.path, done.reason or "it cannot be read")
        else:
            nothing.append(folder.database[row])
        if keep_local:
            found = done.features.local if done.features is not None else None
            local.append(found if codec is None or found is None else codec.decode(codec.encode(found)))
        if progress is not None:
            progress(len(queries) + row + 1, total)
    return LandmarkDescriptors(
        database,
        np.stack([one.descriptor for one in queries]).astype(np.float32),
        tuple(local),
        tuple(
            one.local if codec is None or one.local is None else as_stored(codec, one.local)
            for one in queries
            if keep_local
        ),
        tuple(nothing),
    )


def _query(model: Model, folder: LandmarkFolder, query: int, *, crop: bool) -> ImageFeatures:
    path, box = folder.root / folder.queries[query], folder.truth.boxes[query]
    try:
        photo = images.read(path, max_side=model.max_side, box=box if crop else None)
    except InvalidInput as error:
        raise UnreadableImage(path, str(error)) from None
    features = model.extract([photo])[0]
    if not np.isfinite(features.descriptor).all() or not features.descriptor.any():
        raise UnreadableImage(path, "the model finds nothing in this query to describe")
    return features
