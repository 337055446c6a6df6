"""The data of a recipe: which benchmark, which transforms, which sampler."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from resight.datasets.dataset import LabelledImages
from resight.images.augment import (
    CentreCrop,
    LongSide,
    RandomResizedCrop,
    ResizeRandomCrop,
    Stretch,
    Transform,
)
from resight.training.samplers import ClassBalancedSampler, MPerClassSampler, PlainSampler, Sampler
from resight.training.settings import Settings

__all__ = ["DataSettings", "PackSettings", "SamplerSettings", "SelectionSettings", "TransformSettings"]


class _ResizeRandomCrop(Settings):
    kind: Literal["resize_random_crop"]
    size: PositiveInt = 224
    resize: PositiveInt = 252
    mirror: float = 0.5

    def build(self) -> Transform:
        return ResizeRandomCrop(self.size, self.resize, self.mirror)


class _RandomResizedCrop(Settings):
    kind: Literal["random_resized_crop"]
    size: PositiveInt = 224
    least_area: PositiveFloat = 0.08
    ratio: PositiveFloat = 4 / 3
    mirror: float = 0.5

    def build(self) -> Transform:
        return RandomResizedCrop(self.size, self.least_area, self.ratio, self.mirror)


class _Stretch(Settings):
    kind: Literal["stretch"]
    size: PositiveInt = 224

    def build(self) -> Transform:
        return Stretch(self.size)


class _CentreCrop(Settings):
    kind: Literal["centre_crop"]
    size: PositiveInt = 224
    resize: PositiveInt = 256

    def build(self) -> Transform:
        return CentreCrop(self.size, self.resize)


class _LongSide(Settings):
    kind: Literal["long_side"]
    size: PositiveInt = 1024

    def build(self) -> Transform:
        return LongSide(self.size)


TransformSettings: TypeAlias = Annotated[
    _ResizeRandomCrop | _RandomResizedCrop | _Stretch | _CentreCrop | _LongSide, Field(discriminator="kind")
]
"""The transforms of `resight.images.augment`, which explains them."""


class PackSettings(Settings):
    """Photos decoded and resized once, in a file.

    Attributes:
        file: Where; made from the benchmark's training and test photos where it is not there.
        side: Rows and columns of each photo, pixels, when it is made.
        rule: ``stretch`` or ``crop``, when it is made.
    """

    file: str
    side: PositiveInt = 252
    rule: Literal["stretch", "crop"] = "stretch"


class DataSettings(Settings):
    """Which photos, and what they go through.

    Attributes:
        benchmark: ``folder``, ``table``, ``cub200``, ``cars196``, ``sop`` or ``inshop``.
        root: Where the copy is.
        boxes: Whether photos are cropped to their boxes.
        allow_deviating: Take a copy of an official set with other counts than the published ones.
        packed: Read photos from a packed file.
        train_transform: In training.
        test_transform: In validation; its size is also that at which the finished model sees photos.
    """

    benchmark: str
    root: str
    boxes: bool = False
    allow_deviating: bool = False
    packed: PackSettings | None = None
    train_transform: TransformSettings
    test_transform: TransformSettings


class _Plain(Settings):
    kind: Literal["plain"]
    batch: PositiveInt

    def build(self, images: LabelledImages, *, seed: int) -> Sampler:
        return PlainSampler(len(images), self.batch, seed)


class _ClassBalanced(Settings):
    kind: Literal["class_balanced"]
    batch: PositiveInt

    def build(self, images: LabelledImages, *, seed: int) -> Sampler:
        return ClassBalancedSampler(images.labels, self.batch, seed)


class _MPerClass(Settings):
    kind: Literal["m_per_class"]
    batch: PositiveInt
    per_class: PositiveInt = 4
    few: Literal["repeat", "skip"] = "repeat"

    def build(self, images: LabelledImages, *, seed: int) -> Sampler:
        return MPerClassSampler(images.labels, self.batch, self.per_class, seed, few=self.few)


SamplerSettings: TypeAlias = Annotated[_Plain | _ClassBalanced | _MPerClass, Field(discriminator="kind")]
"""The samplers of `resight.training.samplers`; ``batch`` counts the images of all processes together."""


class SelectionSettings(Settings):
    """Which weights are kept.

    Attributes:
        on: ``validation``: the best on classes held out of the training classes, which are then not trained
            on. ``last``: those of the last step, all training classes trained on. ``test``: the best on the
            test classes, as many papers do; such results are marked and compare with nothing else.
        metric: What best means.
        share: Part of the training classes that is held out.
        seed: Draws them.
        every: Epochs between measurements; the last epoch is always measured.
    """

    on: Literal["validation", "last", "test"] = "validation"
    metric: Literal["map_at_r", "r_precision", "recall_at_1"] = "map_at_r"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: NonNegativeInt = 0
    every: PositiveInt = 1
