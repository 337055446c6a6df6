"""The photos of a recipe: opened, split by classes, and packed where the recipe says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from resight.datasets.catalogue import load
from resight.datasets.dataset import Benchmark, LabelledImages, validation_split
from resight.images.augment import ResizeRandomCrop, Transform
from resight.training.data_settings import DataSettings, PackSettings, SelectionSettings
from resight.training.loading import DevicePhotos, PackedPhotos, PhotoFiles, Photos
from resight.training.packed import PackedImages, pack

__all__ = ["Images", "open_images"]

# What is left of a GPU's memory is for the network.
_SHARE_OF_GPU = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """The photos a run trains on, and those that choose its weights.

    Attributes:
        train: What is trained on.
        validation: What is measured on; ``None`` where the last weights are kept.
        packed: The packed file, where there is one.
    """

    train: LabelledImages
    validation: LabelledImages | None
    packed: PackedImages | None

    def photos(self, of: LabelledImages, transform: Transform, device: torch.device) -> Photos:
        """Returns the quickest way to transformed photos of one of the sets."""
        if self.packed is None:
            return PhotoFiles(of)
        fits = device.type == "cuda" and len(of) * self.packed.side**2 * 3 < _SHARE_OF_GPU * _free(device)
        if fits and isinstance(transform, ResizeRandomCrop) and transform.resize == self.packed.side:
            return DevicePhotos(self.packed, of, device)
        return PackedPhotos(self.packed, of)


def open_images(settings: DataSettings, selection: SelectionSettings, fabric: Fabric) -> Images:
    """Returns the photos of a recipe; packs them in the first process where the packed file is not there yet.

    Raises:
        InvalidInput: The benchmark cannot be read, or the packed file lacks its photos.
    """
    benchmark = load(
        settings.benchmark, settings.root, boxes=settings.boxes, allow_deviating=settings.allow_deviating
    )
    packed = None
    if settings.packed is not None:
        if fabric.is_global_zero and not Path(settings.packed.file).exists():
            _pack(benchmark, settings.packed)
        fabric.barrier()
        packed = PackedImages(settings.packed.file)
    match selection.on:
        case "last":
            return Images(benchmark.train, None, packed)
        case "test":
            return Images(benchmark.train, benchmark.test, packed)
        case "validation":
            train, validation = validation_split(benchmark.train, share=selection.share, seed=selection.seed)
            return Images(train, validation, packed)


def _pack(benchmark: Benchmark, settings: PackSettings) -> None:
    train, test = benchmark.train, benchmark.test
    boxes = None
    if train.boxes is not None or test.boxes is not None:
        boxes = (train.boxes or (None,) * len(train)) + (test.boxes or (None,) * len(test))
    everything = LabelledImages(
        benchmark.name,
        train.root,
        train.paths + test.paths,
        np.concatenate([train.labels, test.labels + train.classes]),
        train.label_names + test.label_names,
        boxes,
    )
    pack(everything, settings.file, side=settings.side, rule=settings.rule)


def _free(device: torch.device) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    return int(free)
