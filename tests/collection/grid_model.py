"""A model of a few lines, so that tests of the collection are fast and know every number."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from resight import images
from resight.features import ImageFeatures, LocalFeatures
from resight.models import Attention, LocalSource, Model, Traits

SIDE = 64
STEP = 8
DIM = 192


def grid_model(name="grid", **options) -> Model:
    """Returns the model of a `GridDescriber`."""
    return Model(GridDescriber(**options), name=name)


@dataclass(frozen=True)
class GridDescriber:
    """Colours on an 8 x 8 grid as descriptor; patches on a grid as local features."""

    delay: float = 0.0
    with_local: bool = True
    attention: Attention | None = None
    fingerprint: str = "0123456789abcdef"

    @property
    def traits(self) -> Traits:
        local = LocalSource("grid", STEP * STEP, "float16", self.attention) if self.with_local else None
        return Traits("grid", DIM, 128, local=local, fingerprint=self.fingerprint)

    def to_bundle(self) -> None:
        return None

    def extract(self, photos: Sequence[images.Photo]) -> list[ImageFeatures]:
        return [self._extract(photo) for photo in photos]

    def _extract(self, photo: images.Photo) -> ImageFeatures:
        if self.delay:
            time.sleep(self.delay)
        small = cv2.resize(photo.pixels, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        values = small - 127.4
        descriptor = (values / np.linalg.norm(values)).astype(np.float32)
        return ImageFeatures(descriptor, self._local(photo) if self.with_local else None)

    def _local(self, photo: images.Photo) -> LocalFeatures:
        grey = cv2.resize(cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY), (SIDE, SIDE))
        corners = [(x, y) for y in range(0, SIDE, STEP) for x in range(0, SIDE, STEP)]
        patches = np.stack([grey[y : y + STEP, x : x + STEP].ravel() for x, y in corners])
        patches = patches - patches.mean(axis=1, keepdims=True) + 1e-3
        shown = np.array(corners, dtype=np.float32) + (STEP - 1) / 2
        scale = np.array(photo.pixels.shape[1::-1], dtype=np.float32) / SIDE
        n = len(corners)
        return LocalFeatures(
            photo.in_full_pixels((shown + 0.5) * scale - 0.5),
            np.full(n, STEP * scale.mean() / photo.scale, dtype=np.float32),
            np.zeros(n, dtype=np.float32),
            np.ones(n, dtype=np.float32),
            patches.astype(np.float16),
        )
