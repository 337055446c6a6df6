"""Batches for the loop: which photos, cut how, decoded in threads ahead of their turn.

Threads, not processes: a GPU and the stores of photos do not survive a fork, and decoding releases the lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64, UInt8
from torch import Tensor

from resight.datasets.dataset import LabelledImages
from resight.files import in_threads
from resight.images.augment import ResizeRandomCrop, Transform
from resight.training.packed import PackedImages
from resight.training.parallel import part_of
from resight.training.samplers import Sampler
from resight.training.tuple_sampler import TupleSampler

__all__ = ["Batch", "DevicePhotos", "PackedPhotos", "PhotoFiles", "Photos", "TrainingBatches", "in_order"]

# Keeps the transforms' numbers apart from others drawn with the same seed and epoch.
_STREAM = 0x7A61F3


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The part of a global batch that one process describes, and the labels of all of it.

    Attributes:
        groups: RGB uint8 ``(images, height, width, 3)`` on the device, those of one size together.
        order: Which row of the joined groups each image is; ``None`` if they are in order.
        labels: int64, of the whole global batch, on the device.
    """

    groups: tuple[UInt8[Tensor, "images height width 3"], ...]
    order: Int[Tensor, " part"] | None
    labels: Int[Tensor, " batch"]


class Photos(Protocol):
    """Where transformed photos come from."""

    @property
    def parallel(self) -> bool:
        """Whether `transformed` may be called from several threads and gains by it."""
        ...

    def transformed(
        self, indices: Int64[np.ndarray, " n"], transform: Transform, numbers: Float64[np.ndarray, "n draws"]
    ) -> list[Tensor]:
        """Returns the photos transformed by their numbers, uint8, each alone or all in one tensor."""
        ...


@final
class PhotoFiles:
    """Photos in their files."""

    parallel = True

    def __init__(self, images: LabelledImages) -> None:
        """Takes the set."""
        self._images = images

    def transformed(
        self, indices: Int64[np.ndarray, " n"], transform: Transform, numbers: Float64[np.ndarray, "n draws"]
    ) -> list[Tensor]:
        """Returns each photo read and transformed.

        Raises:
            UnreadableImage: A file is missing or broken.
        """
        pixels = [
            transform.apply(self._images.photo(int(index)).pixels, row)
            for index, row in zip(indices, numbers, strict=True)
        ]
        return [_tensor(each[None]) for each in pixels]


@final
class PackedPhotos:
    """Photos in a packed file."""

    parallel = True

    def __init__(self, packed: PackedImages, images: LabelledImages) -> None:
        """Takes the file and the set.

        Raises:
            InvalidInput: The file lacks a photo of the set.
        """
        self._packed, self._rows = packed, packed.rows(images)

    def transformed(
        self, indices: Int64[np.ndarray, " n"], transform: Transform, numbers: Float64[np.ndarray, "n draws"]
    ) -> list[Tensor]:
        """Returns the photos copied out of the file and transformed, all in one tensor."""
        pixels = np.asarray(self._packed.pixels[self._rows[indices]])
        return [_tensor(transform.apply_batch(pixels, numbers))]


@final
class DevicePhotos:
    """Photos of a packed file in the memory of a GPU, where random crops cost nothing to speak of."""

    parallel = False

    def __init__(self, packed: PackedImages, images: LabelledImages, device: torch.device) -> None:
        """Moves the photos of the set to the device.

        Raises:
            InvalidInput: The file lacks a photo of the set.
        """
        self._pixels = _tensor(packed.pixels[packed.rows(images)]).to(device)
        self.side = packed.side

    def transformed(
        self, indices: Int64[np.ndarray, " n"], transform: Transform, numbers: Float64[np.ndarray, "n draws"]
    ) -> list[Tensor]:
        """Returns the crops, bit for bit those of the transform itself, in one tensor on the device.

        Raises:
            TypeError: The transform is no random crop of photos of this size.
        """
        if not isinstance(transform, ResizeRandomCrop) or transform.resize != self.side:
            raise TypeError(f"{transform} is not computed on the device")
        device = self._pixels.device
        corners = (numbers[:, :2] * (transform.resize - transform.size + 1)).astype(np.int64)
        steps = np.arange(transform.size)
        rows = corners[:, :1] + steps
        columns = np.where(numbers[:, 2:] < transform.mirror, steps[::-1], steps) + corners[:, 1:]
        at = torch.from_numpy(np.stack([rows, columns, np.broadcast_to(indices[:, None], rows.shape)])).to(
            device
        )
        return [self._pixels[at[2, :, :1, None], at[0][:, :, None], at[1][:, None, :]]]


@final
class TrainingBatches:
    """The batches of a run: functions of the seed, the epoch and the place in it alone."""

    def __init__(
        self,
        images: LabelledImages,
        photos: Photos,
        transform: Transform,
        sampler: Sampler,
        *,
        seed: int,
        rank: int,
        world: int,
        device: torch.device,
        workers: int,
    ) -> None:
        """Joins the parts.

        Raises:
            InvalidInput: The global batch cannot be dealt out evenly.
        """
        self._labels, self._photos, self._transform, self._sampler = images.labels, photos, transform, sampler
        self._seed, self._device, self._workers = seed, device, workers
        self._part = part_of(sampler.batch, rank=rank, world=world)
        self.batch_size = sampler.batch

    @property
    def tuples(self) -> TupleSampler | None:
        """The sampler, where it lays out tuples that must be mined before each epoch."""
        return self._sampler if isinstance(self._sampler, TupleSampler) else None

    def __len__(self) -> int:
        return self._sampler.batches_per_epoch

    def epoch(self, epoch: int, *, start: int, stop: int) -> Iterator[Batch]:
        """Yields this process's part of the batches from ``start`` to before ``stop``, prepared ahead.

        Raises:
            UnreadableImage: A file is missing or broken.
        """
        chosen = self._sampler.batches(epoch)

        def prepare(number: int) -> tuple[list[Tensor], Int64[np.ndarray, " batch"]]:
            # Drawn for the whole global batch: a photo meets the same fate at any number of processes.
            generator = np.random.default_rng([_STREAM, self._seed, epoch, number])
            numbers = generator.random((len(chosen[number]), self._transform.draws))
            indices = chosen[number]
            pixels = self._photos.transformed(indices[self._part], self._transform, numbers[self._part])
            return pixels, self._labels[indices]

        places = range(start, stop)
        prepared = (
            in_threads(prepare, places, workers=self._workers)
            if self._photos.parallel
            else map(prepare, places)
        )
        for pixels, labels in prepared:
            groups, order = in_order(pixels, self._device)
            yield Batch(groups, order, _to_device(torch.from_numpy(labels), self._device))


def in_order(pixels: Sequence[Tensor], device: torch.device) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Returns photos on the device, those of one size joined, and which row of the joined each photo is."""
    if len(pixels) == 1:
        return (_to_device(pixels[0], device),), None
    by_size: dict[tuple[int, ...], list[int]] = {}
    for number, photo in enumerate(pixels):
        by_size.setdefault(tuple(photo.shape[1:]), []).append(number)
    groups = tuple(
        _to_device(torch.cat([pixels[number] for number in members]), device) for members in by_size.values()
    )
    if len(groups) == 1:
        return groups, None
    places = torch.tensor([number for members in by_size.values() for number in members])
    return groups, _to_device(torch.argsort(places), device)


def _tensor(pixels: UInt8[np.ndarray, "..."]) -> Tensor:
    # Pillow's pixels are read-only, which torch knows no way to say.
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"]))


def _to_device(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
