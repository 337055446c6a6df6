"""Photos to features: read ahead in threads, described in threads, returned in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from jaxtyping import UInt8

from resight import images
from resight.errors import InvalidInput, UnreadableImage
from resight.features import Box, ImageFeatures
from resight.files import Stamp, available_cpus, in_threads
from resight.images import Photo, PhotoSource, photo_of, several_photos
from resight.images.content import Content, content_in
from resight.images.opening import open_photo, stamp_in
from resight.models.library_threads import opencv_shared

__all__ = [
    "NOTHING_SHOWN",
    "Extraction",
    "Extractor",
    "PhotoModel",
    "describe_photos",
    "extract",
    "shows_nothing",
]

NOTHING_SHOWN = "nothing in it can be recognised"
"""Why a whole photo cannot be searched: it is of one colour, or has no keypoint and nothing else counts."""

_BLANK_LEVELS = 8
"""Of 256: what noise and compression leave between neighbouring pixels of one colour."""

_BEND = 12
"""Of 256: how far a smooth change of colour leaves a straight line over two steps of `_SAMPLES` a side."""

_SAMPLES = 32


class PhotoModel(Protocol):
    """What describing photos needs of a model: `resight.models.Model` has it."""

    @property
    def dim(self) -> int:
        """Length of a descriptor."""

    @property
    def max_side(self) -> int:
        """Long side in pixels at which whole photos are shown to it."""

    @property
    def batch_size(self) -> int:
        """Photos that it describes together."""

    def memory_of(self, rows: int, columns: int) -> float:
        """Returns the bytes that describing a photo of this size takes beside the model."""

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns the features of each photo; safe to call from several threads at once."""


Item = TypeVar("Item")
Note = TypeVar("Note")


@dataclass(frozen=True, slots=True)
class Extraction:
    """What became of one file.

    Attributes:
        path: The file.
        content: Of the very bytes that were described; None if they could not be read.
        width: Width of the whole upright photo, pixels; 0 without features.
        height: Height of the whole upright photo, pixels; 0 without features.
        features: None if the content was known already, or there is a reason.
        reason: Why the photo could not be described, without the path, or None.
        warning: What is wrong with the file though its pixels could be read, or None.
        capture: When and where the photo was taken, as far as its EXIF data say.
        read_seconds: CPU seconds of reading, hashing and decoding.
        describe_seconds: CPU seconds of the model in its thread, an equal share of its batch.
    """

    path: Path
    content: Content | None
    width: int = 0
    height: int = 0
    features: ImageFeatures | None = None
    reason: str | None = None
    warning: str | None = None
    capture: images.Capture = field(default_factory=images.Capture)
    read_seconds: float = 0.0
    describe_seconds: float = 0.0


class Extractor(Protocol):
    """Describes files: `extract` here, or something that has others do it."""

    def __call__(
        self,
        paths: Iterable[str | Path],
        model: PhotoModel,
        *,
        workers: int | None,
        known: Collection[bytes],
        given: Mapping[str, ImageFeatures] | None,
        max_pixels: int,
        memory: int | None,
    ) -> Generator[Extraction, None, None]:
        """Yields what became of each file, in the order of ``paths``."""
        ...


@dataclass(frozen=True, slots=True)
class _Read(Generic[Note]):
    """A photo that was read, or none, and what else is known of it."""

    note: Note
    photo: images.Photo | None
    given: ImageFeatures | None = None


@dataclass(frozen=True, slots=True)
class _Described(Generic[Note]):
    """The same with its features, where there is a photo, and the CPU seconds they took."""

    note: Note
    photo: images.Photo | None
    features: ImageFeatures | None
    seconds: float


def extract(
    paths: Iterable[str | Path],
    model: PhotoModel,
    *,
    boxes: Sequence[Box | None] | None = None,
    workers: int | None = None,
    known: Collection[bytes] = frozenset(),
    given: Mapping[str, ImageFeatures] | None = None,
    max_pixels: int = images.MAX_PIXELS,
    memory: int | None = None,
) -> Generator[Extraction, None, None]:
    """Yields what became of each file, in the order of ``paths``; a broken one never stops the others.

    Files are read and decoded a few ahead. A model that takes photos one by one is called from as many
    threads; one that takes batches has threads of its own and is called from one. Threads, never forks:
    neither Lance nor GPUs survive a fork. Leaving the iteration early stops the threads.

    Args:
        paths: Files; consumed a few ahead.
        model: Describes them.
        boxes: The part of each photo that is described, in its pixels; None: all of it.
        workers: Threads that read, and threads that describe; by default the processors available.
        known: Hashes of contents that are not to be decoded and described, only read.
        given: Features of some files by their path: these are read, for their size, and not described.
        max_pixels: Most pixels of a photo that is decoded, see `images.read`.
        memory: Bytes that all photos together may take beside the model while they are decoded and
            described: as many are under way at once as fit, and at least one. `images.usual_memory` by
            default.

    Raises:
        InvalidInput: ``workers`` or ``max_pixels`` is not positive, the memory is less than a photo of
            ``max_pixels`` takes, or there are more or fewer boxes than files.
    """
    budget = images.PixelBudget.of_memory(memory, max_pixels)
    files = budget.for_files()

    def read(item: tuple[str | Path, Box | None]) -> _Read[Extraction]:
        held = (given or {}).get(str(item[0]))
        one = _read_file(Path(item[0]), item[1], model.max_side, known, max_pixels, budget, files)
        return one if held is None else replace(one, given=held)

    described = _in_order(read, _with_boxes(paths, boxes), model, workers, budget)
    try:
        for one in described:
            if one.photo is None or one.features is None:
                yield one.note
                continue
            width, height = one.photo.width, one.photo.height
            done = replace(one.note, width=width, height=height, describe_seconds=one.seconds)
            fault = _fault(one.features, model.dim)
            if fault is None and shows_nothing(one.photo, one.features):
                fault = NOTHING_SHOWN
            yield replace(done, reason=fault) if fault else replace(done, features=one.features)
    finally:
        described.close()


def describe_photos(
    photos: PhotoSource | Iterable[PhotoSource],
    model: PhotoModel,
    *,
    boxes: Sequence[Box | None] | None = None,
    workers: int | None = None,
) -> Generator[ImageFeatures, None, None]:
    """Yields the features of each photo in order, as `extract` does of files; a broken one is raised.

    Args:
        photos: Photos of any form that `resight.images.photo_of` takes, or one of them; consumed a few ahead.
        model: Describes them.
        boxes: The part of each photo that is described, in its pixels; None: all of it.
        workers: Threads that read, and threads that describe; by default the processors available.

    Raises:
        UnreadableImage: A photo is missing or broken.
        InvalidInput: A value is no photo, a box lies outside its photo, there are more or fewer boxes than
            photos, or ``workers`` is not positive.
    """

    def read(item: tuple[PhotoSource, Box | None]) -> _Read[None]:
        return _Read(None, photo_of(item[0], max_side=model.max_side, box=item[1]))

    described = _in_order(read, _with_boxes(several_photos(photos), boxes), model, workers, None)
    try:
        for one in described:
            if one.features is not None:
                yield one.features
    finally:
        described.close()


def _with_boxes(
    items: Iterable[Item], boxes: Sequence[Box | None] | None
) -> Iterator[tuple[Item, Box | None]]:
    count = 0
    for item in items:
        if boxes is not None and count == len(boxes):
            raise InvalidInput(f"there are {len(boxes)} boxes for more photos: give each a box or None")
        yield item, None if boxes is None else boxes[count]
        count += 1
    if boxes is not None and count < len(boxes):
        raise InvalidInput(f"there are {len(boxes)} boxes for {count} photos: give each a box or None")


def _in_order(
    read: Callable[[Item], _Read[Note]],
    items: Iterable[Item],
    model: PhotoModel,
    workers: int | None,
    budget: images.PixelBudget | None,
) -> Generator[_Described[Note], None, None]:
    """Yields each item read and, where that gives a photo, described, in order."""
    threads = available_cpus() if workers is None else workers
    if threads < 1:
        raise InvalidInput(f"workers must be at least 1, not {threads}")
    describers, size = (threads if model.batch_size == 1 else 1), model.batch_size
    with (
        opencv_shared(threads),
        closing(in_threads(read, items, workers=threads, ahead=2 * threads + size)) as photos,
        closing(
            in_threads(
                partial(_describe, model, budget),
                _batches(photos, size, partial(_memory, model), inf if budget is None else budget.bytes),
                workers=describers,
                # One batch more than threads, so that none of them waits for the caller of this generator.
                ahead=describers + 1,
            )
        ) as described,
    ):
        for batch in described:
            yield from batch


class _Changing(Exception):
    """A file is another after reading than before."""


def _read_file(
    path: Path,
    box: Box | None,
    max_side: int,
    known: Collection[bytes],
    max_pixels: int,
    budget: images.PixelBudget,
    files: images.PixelBudget,
) -> _Read[Extraction]:
    started = time.thread_time()
    content: Content | None = None
    photo: images.Photo | None = None
    reason: str | None = None
    capture = images.Capture()
    try:
        # One opening for both, so that a file replaced meanwhile cannot be hashed old and described new.
        with open_photo(path) as stream:
            content = content_in(stream)
            capture = images.capture_of(stream)
            if content.hash not in known:
                # The file's bytes, and a copy of them without what is not read.
                with files.taking(2 * content.size / images.PIXEL_BYTES):
                    photo = images.read(
                        stream, max_side=max_side, box=box, max_pixels=max_pixels, budget=budget
                    )
            if stamp_in(stream) != Stamp(content.size, content.modified_ns):
                raise _Changing
    except _Changing:
        reason, content, photo = "it was written to while it was read: index it again", None, None
    except UnreadableImage as error:
        reason = error.reason
    except InvalidInput as error:
        if box is None:
            raise
        # It lies outside the photo.
        reason = str(error)
    except FileNotFoundError:
        reason = "it has disappeared"
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
    except MemoryError:
        reason = "there is not enough memory to decode it"
        content = None
    seconds = time.thread_time() - started
    warning = None if photo is None else photo.warning
    note = Extraction(path, content, reason=reason, warning=warning, capture=capture, read_seconds=seconds)
    return _Read(note, photo)


def _batches(
    photos: Iterable[_Read[Note]], size: int, memory: Callable[[_Read[Note]], float], most: float
) -> Iterator[list[_Read[Note]]]:
    """Yields so many photos together, fewer where they would take more than ``most`` bytes."""
    batch: list[_Read[Note]] = []
    count, taken = 0, 0.0
    for one in photos:
        own = memory(one) if size > 1 else 0.0
        if batch and taken + own > most:
            yield batch
            batch, count, taken = [], 0, 0.0
        batch.append(one)
        count, taken = count + (one.photo is not None), taken + own
        # A long run of files without a photo must not keep their neighbours waiting.
        if count == size or len(batch) == 4 * size:
            yield batch
            batch, count, taken = [], 0, 0.0
    if batch:
        yield batch


def _memory(model: PhotoModel, one: _Read[Note]) -> float:
    """Returns the bytes that describing a photo takes."""
    return 0.0 if one.photo is None or one.given is not None else model.memory_of(*one.photo.pixels.shape[:2])


def _describe(
    model: PhotoModel, budget: images.PixelBudget | None, batch: Sequence[_Read[Note]]
) -> list[_Described[Note]]:
    photos = [one.photo for one in batch if one.photo is not None and one.given is None]
    taken = 0.0 if budget is None else sum(_memory(model, one) for one in batch) / images.PIXEL_BYTES
    with nullcontext() if budget is None else budget.taking(taken):
        started = time.thread_time()
        answers = iter(model.extract(photos) if photos else [])
    share = (time.thread_time() - started) / max(len(photos), 1)
    return [
        _Described(one.note, None, None, 0.0)
        if one.photo is None
        else _Described(one.note, one.photo, one.given or next(answers), 0.0 if one.given else share)
        for one in batch
    ]


def shows_nothing(photo: images.Photo, features: ImageFeatures) -> bool:
    """Returns whether nothing in a photo can be recognised.

    It is of one colour or changes smoothly from one to another, as a clear sky does, or the model had nothing
    to describe it by. Such photos have descriptors that are at similarity 1 of each other.
    """
    return not features.recognisable or _is_smooth(photo.pixels)


def _is_smooth(pixels: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Returns whether no edge is anywhere: a few samples tell for most photos, all pixels for the rest."""
    steps = [max(1, size // _SAMPLES) for size in pixels.shape[:2]]
    samples = pixels[:: steps[0], :: steps[1]].astype(np.int16)
    if any(np.abs(np.diff(samples, n=2, axis=axis)).max(initial=0) > _BEND for axis in (0, 1)):
        return False
    return all(
        np.abs(np.diff(pixels.astype(np.int16), axis=axis)).max(initial=0) <= _BLANK_LEVELS for axis in (0, 1)
    )


def _fault(features: ImageFeatures, dim: int) -> str | None:
    """Returns why features cannot be kept, or None: numbers are checked where they enter."""
    descriptor = features.descriptor
    if descriptor.shape != (dim,) or not np.isfinite(descriptor).all():
        return f"the model's descriptor of it is not {dim} finite numbers"
    if not 0.99 < float(np.linalg.norm(descriptor)) < 1.01:
        return "the model finds nothing in it to describe"
    return None
