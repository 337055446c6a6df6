"""What every model can do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from resight import images
from resight.features import Box, ImageFeatures, ReceptiveField
from resight.models.codec import LocalCodec

__all__ = [
    "Model",
    "WithAttention",
    "WithLocalCodec",
    "Wrapping",
    "attending",
    "codec_of",
]


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
        regions = list(boxes) if boxes is not None else [None] * len(paths)
        descriptors = np.zeros((len(paths), self.dim), dtype=np.float32)
        step = self.batch_size
        for start in range(0, len(paths), step):
            batch = zip(paths[start : start + step], regions[start : start + step], strict=True)
            photos = [images.read(path, max_side=self.max_side, box=box) for path, box in batch]
            for row, features in enumerate(self.extract(photos), start):
                descriptors[row] = features.descriptor
        return descriptors


@runtime_checkable
class WithLocalCodec(Protocol):
    """A model that says how its local features are stored."""

    @property
    def local_codec(self) -> LocalCodec | None:
        """How they are stored; ``None`` for as they are."""


@runtime_checkable
class WithAttention(Protocol):
    """A model whose keypoints lie where its attention is high."""

    @property
    def local_field(self) -> ReceptiveField:
        """What a cell of the attention map sees of the photo as the model is given it."""

    def attention(self, photo: images.Photo) -> Float32[np.ndarray, "rows columns"]:
        """Returns how much each place of the photo matters, at the size the photo is given; not negative."""


@runtime_checkable
class Wrapping(Protocol):
    """A model that passes on the local features of another one unchanged."""

    @property
    def model(self) -> Model:
        """The one they come from."""


def codec_of(model: Model) -> LocalCodec | None:
    """Returns how the local features of a model are stored; ``None`` for as they are."""
    source = _source(model)
    return source.local_codec if isinstance(source, WithLocalCodec) else None


def attending(model: Model) -> WithAttention | None:
    """Returns the model whose attention decides where the keypoints lie, or ``None`` where none does."""
    source = _source(model)
    return source if isinstance(source, WithAttention) else None


def _source(model: Model) -> Model:
    while isinstance(model, Wrapping):
        model = model.model
    return model
