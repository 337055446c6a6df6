"""Photos shown to a model as they were when its training measured it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64

from resight.datasets.dataset import LabelledImages
from resight.errors import InvalidInput
from resight.features import ImageFeatures
from resight.files import in_threads
from resight.images.augment import CentreCrop, LongSide, Stretch
from resight.models.model import Model

__all__ = ["TestTransform", "transform_of", "transformed_features"]

TestTransform: TypeAlias = Stretch | CentreCrop | LongSide
"""What a photo goes through before it is measured; nothing in it is random."""

_TRANSFORMS: dict[str, type[TestTransform]] = {each.kind: each for each in (Stretch, CentreCrop, LongSide)}
_LARGEST = 4096
"""Pixels: a bundle from elsewhere may ask for any size."""


def transform_of(model: Model) -> TestTransform | None:
    """Returns how photos were shown when training measured the model; ``None`` where the model does not say.

    So does a model whose transform was one of a recipe's own.

    Raises:
        InvalidInput: The bundle names a transform of ours with settings that cannot be.
    """
    stored = model.training.get("transform")
    if not isinstance(stored, Mapping) or stored.get("kind") not in _TRANSFORMS:
        return None
    settings = {name: value for name, value in stored.items() if name != "kind"}
    sizes = list(settings.values())
    if not all(isinstance(size, int) and 1 <= size <= _LARGEST for size in sizes):
        raise InvalidInput(
            f"the model {model.name} was measured on photos at sizes {sizes}: accepted are 1 to {_LARGEST}"
        )
    try:
        return _TRANSFORMS[str(stored["kind"])](**settings)  # type: ignore[arg-type]  # whole numbers, all of them
    except TypeError as error:
        raise InvalidInput(f"the model {model.name} has a transform that cannot be: {error}") from None


def transformed_features(
    model: Model, photos: LabelledImages, transform: TestTransform
) -> Iterator[ImageFeatures]:
    """Yields the features of each photo of a set, shown through a transform, in order.

    Raises:
        UnreadableImage: A photo is missing or broken.
    """
    nothing = np.empty(0)

    def described(rows: Int64[np.ndarray, " batch"]) -> list[ImageFeatures]:
        whole = [photos.photo(int(row)) for row in rows]
        return model.extract([replace(each, pixels=transform.apply(each.pixels, nothing)) for each in whole])

    starts = range(0, len(photos), model.batch_size)
    batches = [np.arange(start, min(start + model.batch_size, len(photos))) for start in starts]
    for features in in_threads(described, batches):
        yield from features
