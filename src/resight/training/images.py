"""The photos of a recipe: opened, split by classes, and packed where the recipe says so."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Int64
from lightning_fabric import Fabric
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from resight.datasets.dataset import Benchmark, LabelledImages, shared_classes, validation_split
from resight.datasets.landmark_folder import LandmarkFolder
from resight.datasets.registry import load, open_landmarks
from resight.datasets.table import KS
from resight.errors import InvalidInput
from resight.evaluation.card import TEST_CLASSES
from resight.files import typed_path
from resight.images.augment import CentreCrop, ResizeRandomCrop, Stretch, Transform
from resight.settings.choice import Choice, Settings
from resight.settings.foreign import foreign_part, is_dotted
from resight.settings.marks import ADDED_LATER
from resight.training.augmentation import Augmented, Step, try_steps
from resight.training.loading import DevicePhotos, PackedPhotos, PhotoFiles, Photos
from resight.training.packed import PackedImages, file_digests, pack, photo_digests
from resight.training.parts import TRANSFORMS, Dataset

__all__ = ["DataSettings", "Images", "LandmarkSettings", "PackSettings", "SelectionSettings", "open_images"]

_LOG = logging.getLogger(__name__)

# What is left of a GPU's memory is for the network.
_SHARE_OF_GPU = 0.25
_TRIED = 224
"""Side in pixels of the photo that augmentation is tried on, where the transform before has no size."""


class PackSettings(Settings):
    """Photos decoded and resized once, in a file.

    Attributes:
        file: Path of the file, ``photos.pack`` in the run's folder by default. It is made where it does not
            exist, and made anew where it holds other photos (by the bytes of their files), another side or
            another rule.
        side: Rows and columns of each photo in pixels.
        rule: How photos are brought to that size.
    """

    file: str | None = None
    side: PositiveInt = 252
    rule: Literal["stretch", "crop"] = "stretch"


class DataSettings(Settings):
    """Which photos are trained and measured on, and how they are transformed.

    Attributes:
        benchmark: ``folder``, ``table``, ``tuples``, ``cub200``, ``cars196``, ``sop`` or ``inshop``, or
            ``package.module:Name`` for a set of your own, made with the root.
        root: Folder of the benchmark's copy, or the table's path.
        boxes: Whether photos are cropped to their boxes.
        allow_deviating: Take a copy of an official set with other counts than the published ones.
        packed: Read photos from a packed file.
        train_transform: Transform of training photos.
        augment: Transforms of torchvision (``torchvision.transforms.v2``) that follow it, by their names
            there, such as ``[{kind: ColorJitter, brightness: 0.4}, {kind: RandAugment}]``.
        test_transform: Transform of validation photos; its size is also that at which the trained model
            describes photos.
    """

    benchmark: str
    root: str
    boxes: bool = False
    allow_deviating: bool = False
    packed: PackSettings | None = None
    train_transform: Annotated[Choice, TRANSFORMS]
    augment: Annotated[tuple[Step, ...], ADDED_LATER] = ()
    test_transform: Annotated[Choice, TRANSFORMS]

    @model_validator(mode="after")
    def _try_augmentation(self) -> DataSettings:
        try:
            try_steps(self.augment, getattr(self.train_transform.make(), "size", _TRIED))
        except InvalidInput as error:
            raise PydanticCustomError("unfit", "{sentence}", {"sentence": str(error)}) from None
        return self

    def training_transform(self) -> Transform:
        """Returns the transform of training photos with the augmentation after it."""
        transform: Transform = self.train_transform.make()
        return (
            Augmented(transform, tuple(step.make() for step in self.augment)) if self.augment else transform
        )


class LandmarkSettings(Settings):
    """A landmark benchmark that chooses the weights, such as the revisited Oxford or a folder of its layout.

    Attributes:
        root: Its folder, as ``resight evaluate`` takes it: ``gnd_*.pkl`` beside ``jpg/`` and ``queries/``.
        benchmark: Its name, as ``resight evaluate`` takes it; ``revisited`` for any folder of that layout.
        task: Whose mean average precision is compared; ``medium`` by default, where there is one, else the
            last.
        crop: Whether queries are cropped to their boxes.
    """

    root: str
    benchmark: str = "revisited"
    task: str | None = None
    crop: bool = True


class SelectionSettings(Settings):
    """Which weights of a run are kept.

    Attributes:
        on: ``validation``: the best on the set's own validation photos where it has any, of whichever
            classes, else on classes held out of the training classes, which are then not trained on.
            ``last``: those of the last step, all training classes trained on. ``test``: the best on the
            test classes, as many papers do; such results are marked and compare with nothing else.
            ``landmarks``: the best on a landmark benchmark, all training classes trained on.
        metric: The measure that is compared; of landmarks ``landmarks.task`` says which.
        share: Part of the training classes that is held out, where the set has no validation photos.
        seed: Draws the classes held out.
        every: Epochs between measurements; the last epoch is always measured.
        landmarks: The benchmark, where ``on`` is ``landmarks``.
    """

    on: Literal["validation", "last", "test", "landmarks"] = "validation"
    metric: Literal["map_at_r", "r_precision", "recall_at_1"] = "map_at_r"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: NonNegativeInt = 0
    every: PositiveInt = 1
    landmarks: Annotated[LandmarkSettings | None, ADDED_LATER] = None

    @model_validator(mode="after")
    def _fit(self) -> SelectionSettings:
        if (self.on == "landmarks") != (self.landmarks is not None):
            raise PydanticCustomError(
                "unfit", "on: landmarks and landmarks: {root: DIR} go together: give both or neither"
            )
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """The photos a run trains on, and those that choose its weights.

    Attributes:
        train: What is trained on.
        validation: What chooses the weights; ``None`` where landmarks do, or the last ones are kept.
        landmarks: The landmark benchmark that chooses the weights, where one does.
        chosen_on: What ``validation`` is, in words for every protocol card of the model.
        benchmark: Whole; its test photos are what the finished model is measured on.
        packed: The packed file, where there is one.
        digests: SHA-256 of each photo's file by its path.
        landmark_digests: The same of the landmarks' queries and database images, in their order.
    """

    train: LabelledImages
    validation: LabelledImages | None
    chosen_on: str
    landmarks: LandmarkFolder | None
    benchmark: Benchmark
    packed: PackedImages | None
    digests: Mapping[str, str]
    landmark_digests: tuple[str, ...]

    @property
    def pairs(self) -> Int64[np.ndarray, "pairs 2"] | None:
        """Rows of ``train`` that are a query and its positive; None where the set has labels alone."""
        if self.benchmark.pairs is None:
            return None
        row_of = {path: row for row, path in enumerate(self.train.paths)}
        rows = np.array([row_of.get(path, -1) for path in self.benchmark.train.paths], dtype=np.int64)
        pairs = rows[self.benchmark.pairs]
        return pairs[(pairs >= 0).all(axis=1)]

    def fingerprint(self, of: LabelledImages) -> str:
        """64 hexadecimal digits that change with any path, label, box or byte of one of the sets."""
        return _fingerprint(of.fingerprint, [self.digests[path] for path in of.paths])

    @property
    def validation_fingerprint(self) -> str:
        """64 hexadecimal digits of lists and bytes of what chooses the weights; empty where nothing does."""
        if self.landmarks is not None:
            return _fingerprint(self.landmarks.truth.fingerprint, self.landmark_digests)
        return "" if self.validation is None else self.fingerprint(self.validation)

    def photos(self, of: LabelledImages, transform: Transform, device: torch.device) -> Photos:
        """Returns the quickest way to transformed photos of one of the sets, for all that only trains.

        Mining is part of training: negatives are chosen among the pixels that are trained on, packed ones
        where there is a pack, as the authors of GeM do. What is measured comes by `measured`.
        """
        if self.packed is None:
            return PhotoFiles(of)
        fits = device.type == "cuda" and len(of) * self.packed.side**2 * 3 < _SHARE_OF_GPU * _free(device)
        if fits and isinstance(transform, ResizeRandomCrop) and transform.resize == self.packed.side:
            return DevicePhotos(self.packed, of, device)
        return PackedPhotos(self.packed, of)

    def measured(self, of: LabelledImages, transform: Transform) -> Photos:
        """Returns the photos of a set as the finished model will be shown them.

        From their files, but where the packed ones are what the transform makes: a photo that is resized
        twice is another one.
        """
        if self.packed is None:
            return PhotoFiles(of)
        side = self.packed.side
        packed_by = {"stretch": Stretch(side), "crop": CentreCrop(side, side)}[self.packed.rule]
        return PackedPhotos(self.packed, of) if transform == packed_by else PhotoFiles(of)


def open_images(settings: DataSettings, selection: SelectionSettings, fabric: Fabric, run: Path) -> Images:
    """Returns the photos of a recipe, all their bytes looked at once by the first process.

    It packs them where the recipe says so and the packed file is not there, or is not theirs.

    Raises:
        InvalidInput: The benchmark or one of its photos cannot be read, or the packed file is damaged.
    """
    benchmark = _read(settings)
    everything = _joined(benchmark)
    digests: tuple[str, ...] = photo_digests(everything) if fabric.is_global_zero else ()
    digests = fabric.broadcast(digests)
    packed = None
    if settings.packed is not None:
        file = run / "photos.pack" if settings.packed.file is None else typed_path(settings.packed.file)
        if fabric.is_global_zero:
            _pack(everything, digests, file, settings.packed)
        fabric.barrier()
        packed = PackedImages(file)
    train, validation, chosen_on = _chosen(benchmark, selection)
    landmarks = _landmarks(selection.landmarks)
    landmark_digests: tuple[str, ...] = ()
    if landmarks is not None:
        truth = landmarks.truth
        chosen_on = f"the landmarks of {truth.benchmark} ({truth.fingerprint[:16]})"
        paths = (*landmarks.queries, *landmarks.database)
        own = file_digests(landmarks.root, paths, name=truth.benchmark) if fabric.is_global_zero else ()
        landmark_digests = fabric.broadcast(own)
    return Images(
        train,
        validation,
        chosen_on,
        landmarks,
        benchmark,
        packed,
        dict(zip(everything.paths, digests, strict=True)),
        landmark_digests,
    )


def _landmarks(settings: LandmarkSettings | None) -> LandmarkFolder | None:
    """Returns the landmark benchmark that chooses the weights, its photos all there."""
    if settings is None:
        return None
    folder = open_landmarks(settings.benchmark, typed_path(settings.root))
    folder.require_photos()
    return folder


def _fingerprint(lists: str, digests: Sequence[str]) -> str:
    return hashlib.sha256("".join([lists, *digests]).encode()).hexdigest()


def _chosen(
    benchmark: Benchmark, selection: SelectionSettings
) -> tuple[LabelledImages, LabelledImages | None, str]:
    """Returns what is trained on, what chooses the weights, and what that is in words."""
    if selection.on in ("last", "landmarks"):
        return benchmark.train, None, ""
    if selection.on == "test":
        return benchmark.train, benchmark.test, TEST_CLASSES
    if benchmark.validation is not None:
        return benchmark.train, benchmark.validation, _words_of(benchmark, benchmark.validation)
    train, validation = validation_split(benchmark.train, share=selection.share, seed=selection.seed)
    return train, validation, "held-out training classes"


def _words_of(benchmark: Benchmark, validation: LabelledImages) -> str:
    """Returns what a set's own validation photos are to its training and test classes."""
    classes, trained = validation.classes, shared_classes(validation, benchmark.train)
    tested = shared_classes(validation, benchmark.test)
    if tested and not shared_classes(benchmark.train, benchmark.test):
        # New classes are what is measured, and these are no longer new.
        return f"{TEST_CLASSES} (validation photos, {tested:,} of their {classes:,} classes)"
    known = {0: "none of them trained", classes: "all of them trained"}
    return f"validation photos of {classes:,} classes, {known.get(trained, f'{trained:,} of them trained')}"


def _read(settings: DataSettings) -> Benchmark:
    root = str(typed_path(settings.root))
    if is_dotted(settings.benchmark):
        if settings.boxes:
            raise InvalidInput(f"{settings.benchmark} has no boxes: crop photos yourself, or use them whole")
        own: Any = foreign_part(settings.benchmark, may_import=True)
        made: Dataset = own(root=root)
        ks, validation = getattr(made, "ks", KS), getattr(made, "validation", None)
        return Benchmark(made.name, made.train, made.test, ks, validation)
    return load(settings.benchmark, root, boxes=settings.boxes, allow_deviating=settings.allow_deviating)


def _joined(benchmark: Benchmark) -> LabelledImages:
    """Returns the photos to train on and to be measured on as one set."""
    parts = benchmark.parts
    boxes = None
    if any(part.boxes is not None for part in parts):
        boxes = tuple(box for part in parts for box in part.boxes or (None,) * len(part))
    starts = np.cumsum([0, *(part.classes for part in parts[:-1])])
    return LabelledImages(
        benchmark.name,
        benchmark.train.root,
        tuple(path for part in parts for path in part.paths),
        np.concatenate([part.labels + start for part, start in zip(parts, starts, strict=True)]),
        tuple(name for part in parts for name in part.label_names),
        boxes,
    )


def _pack(everything: LabelledImages, digests: tuple[str, ...], file: Path, settings: PackSettings) -> None:
    """Packs the photos into the file, unless it holds them already, whole."""
    side, rule = settings.side, settings.rule
    if file.exists():
        if PackedImages(file, verify=True).is_of(everything, digests, side=side, rule=rule):
            return
        _LOG.warning(
            "%s holds other photos than %s, or at another size: it is made anew", file, everything.name
        )
    pack(everything, file, side=side, rule=rule)


def _free(device: torch.device) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    return int(free)
