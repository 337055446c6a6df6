"""Photos to features: files read ahead in threads, described in threads, returned in order."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BufferedReader
from pathlib import Path

import numpy as np

from resight import images
from resight.errors import InvalidInput, UnreadableImage
from resight.features import ImageFeatures
from resight.files import available_cpus, in_threads
from resight.models.model import Model

__all__ = ["Content", "Extraction", "content_of", "extract"]

HASH_BYTES = 20


@dataclass(frozen=True, slots=True)
class Content:
    """What identifies a file's bytes.

    Attributes:
        hash: BLAKE2b of the file's bytes, 20 bytes long.
        size: Bytes of the file.
        modified_ns: When it was changed last, nanoseconds since 1970, taken before its bytes were read.
    """

    hash: bytes
    size: int
    modified_ns: int


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
        read_seconds: CPU seconds of reading, hashing and decoding.
        describe_seconds: CPU seconds of the model in its thread, an equal share of its batch.
    """

    path: Path
    content: Content | None
    width: int = 0
    height: int = 0
    features: ImageFeatures | None = None
    reason: str | None = None
    read_seconds: float = 0.0
    describe_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Decoded:
    extraction: Extraction
    photo: images.Photo | None


def content_of(path: str | Path) -> Content:
    """Returns what identifies the file's bytes now.

    Raises:
        OSError: It cannot be read.
    """
    try:
        stream = images.open_file(path)
    except UnreadableImage as error:
        raise OSError(errno.EINVAL, error.reason, str(path)) from None
    with stream:
        return _content(stream)


def _content(stream: BufferedReader) -> Content:
    status = os.fstat(stream.fileno())
    digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=HASH_BYTES)).digest()
    return Content(digest, status.st_size, status.st_mtime_ns)


def extract(
    paths: Iterable[str | Path],
    model: Model,
    *,
    workers: int | None = None,
    known: Collection[bytes] = frozenset(),
    max_pixels: int = images.MAX_PIXELS,
) -> Generator[Extraction, None, None]:
    """Yields what became of each file, in the order of ``paths``; a broken one never stops the others.

    Files are read and decoded a few ahead. A model that takes photos one by one is called from as many
    threads; one that takes batches has threads of its own and is called from one. Threads, never forks:
    neither Lance nor GPUs survive a fork. Leaving the iteration early stops the threads.

    Args:
        paths: Files; consumed a few ahead.
        model: Describes them.
        workers: Threads that read, and threads that describe; by default the processors available.
        known: Hashes of contents that are not to be decoded and described, only read.
        max_pixels: Most pixels of a photo that is decoded, see `images.read`.

    Raises:
        InvalidInput: ``workers`` or ``max_pixels`` is not positive.
    """
    threads = available_cpus() if workers is None else workers
    if threads < 1:
        raise InvalidInput(f"workers must be at least 1, not {threads}")
    describers = threads if model.batch_size == 1 else 1
    with (
        _one_thread_each(threads),
        closing(
            in_threads(
                partial(_read, max_side=model.max_side, known=known, max_pixels=max_pixels),
                map(Path, paths),
                workers=threads,
                ahead=2 * threads + model.batch_size,
            )
        ) as decoded,
        closing(
            in_threads(
                partial(_describe, model),
                _batches(decoded, model.batch_size),
                workers=describers,
                # One batch more than threads, so that none of them waits for the caller of this generator.
                ahead=describers + 1,
            )
        ) as described,
    ):
        for batch in described:
            yield from batch


@contextmanager
def _one_thread_each(threads: int) -> Iterator[None]:
    """Keeps OpenCV from starting threads of its own in each of ours, then gives them back."""
    import cv2

    before = cv2.getNumThreads()
    if threads > 1:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _read(path: Path, *, max_side: int, known: Collection[bytes], max_pixels: int) -> _Decoded:
    started = time.thread_time()
    content: Content | None = None
    photo: images.Photo | None = None
    reason: str | None = None
    try:
        # One opening for both, so that a file replaced meanwhile cannot be hashed old and described new.
        with images.open_file(path) as stream:
            content = _content(stream)
            if content.hash not in known:
                photo = images.read(stream, max_side=max_side, max_pixels=max_pixels)
    except UnreadableImage as error:
        reason = error.reason
    except FileNotFoundError:
        reason = "it has disappeared"
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
    except MemoryError:
        reason = "there is not enough memory to decode it"
        content = None
    extraction = Extraction(path, content, reason=reason, read_seconds=time.thread_time() - started)
    return _Decoded(extraction, photo)


def _batches(decoded: Iterable[_Decoded], size: int) -> Iterator[list[_Decoded]]:
    files: list[_Decoded] = []
    photos = 0
    for file in decoded:
        files.append(file)
        photos += file.photo is not None
        # A long run of files without a photo must not keep their neighbours waiting.
        if photos == size or len(files) == 4 * size:
            yield files
            files, photos = [], 0
    if files:
        yield files


def _describe(model: Model, files: list[_Decoded]) -> list[Extraction]:
    photos = [file.photo for file in files if file.photo is not None]
    started = time.thread_time()
    answers = iter(model.extract(photos) if photos else [])
    share = (time.thread_time() - started) / max(len(photos), 1)
    result = []
    for file in files:
        if file.photo is None:
            result.append(file.extraction)
            continue
        features = next(answers)
        done = replace(
            file.extraction, width=file.photo.width, height=file.photo.height, describe_seconds=share
        )
        fault = _fault(features, model.dim)
        result.append(replace(done, reason=fault) if fault else replace(done, features=features))
    return result


def _fault(features: ImageFeatures, dim: int) -> str | None:
    """Returns why features cannot be kept, or None: numbers are checked where they enter."""
    descriptor = features.descriptor
    if descriptor.shape != (dim,) or not np.isfinite(descriptor).all():
        return f"the model's descriptor of it is not {dim} finite numbers"
    if not 0.99 < float(np.linalg.norm(descriptor)) < 1.01:
        return "the model finds nothing in it to describe"
    return None
