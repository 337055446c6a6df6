"""What stands in the places of a recipe, and what a part of one's own must keep to stand there."""

from __future__ import annotations

from resight.images.augment import CentreCrop, LongSide, RandomResizedCrop, ResizeRandomCrop, Stretch
from resight.settings.choice import Family

__all__ = ["TRANSFORMS"]

TRANSFORMS = Family(
    "transform",
    lambda: {
        each.kind: each for each in (ResizeRandomCrop, RandomResizedCrop, Stretch, CentreCrop, LongSide)
    },
)
"""The transforms of `resight.images.augment`."""
