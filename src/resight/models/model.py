"""What every model can do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from resight import images
from resight.features import Box, ImageFeatures

__all__ = ["Model", "describe_paths"]


class Model(Protocol):
    """Turns photos into descriptors of unit length, and into local features where it has them."""

    @property
    def name(self) -> str:
        """What `load_model` takes to load this model again: a zoo name or a bundle's path."""

    @property
    def dim(self) -> int:
        """Length of a descriptor."""

    @property
    def fingerprint(self) -> str:
        """Sixteen or more hexadecimal digits that differ whenever descriptors could differ."""

    @property
    def max_side(self) -> int:
        """Long side in pixels at which the model wants to see whole photos; smaller ones are not enlarged."""

    @property
    def batch_size(self) -> int:
        """How many photos `extract` likes at once; 1 where it does nothing together."""

    def extract(self, photos: Sequence[images.Photo]) -> list[ImageFeatures]:
        """Returns the features of each photo, keypoints in pixels of the whole upright photo.

        Safe to call from several threads at once.
        """

    def describe(
        self, paths: Sequence[str | Path], *, boxes: Sequence[Box | None] | None = None
    ) -> Float32[np.ndarray, "n dim"]:
        """Returns one descriptor a file, of unit L2 norm; a box restricts a photo to a part of it.

        Raises:
            UnreadableImage: A file is no image.
        """


def describe_paths(
    model: Model, paths: Sequence[str | Path], boxes: Sequence[Box | None] | None = None
) -> Float32[np.ndarray, "n dim"]:
    """Returns ``model.describe(paths, boxes=boxes)`` by reading and extracting batch by batch.

    Raises:
        UnreadableImage: A file is no image.
    """
    regions = list(boxes) if boxes is not None else [None] * len(paths)
    descriptors = np.zeros((len(paths), model.dim), dtype=np.float32)
    for start in range(0, len(paths), model.batch_size):
        batch = zip(
            paths[start : start + model.batch_size], regions[start : start + model.batch_size], strict=True
        )
        photos = [images.read(path, max_side=model.max_side, box=box) for path, box in batch]
        for row, features in enumerate(model.extract(photos), start):
            descriptors[row] = features.descriptor
    return descriptors
