"""Photos to descriptors, in memory or in a file, and what a model looks at in them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from resight import images
from resight.collection import BrokenPhoto, find_photos
from resight.collection.scan import Scan, scan
from resight.errors import InvalidInput
from resight.features import ImageFeatures
from resight.files import Progress, silent, whole_file, whole_files
from resight.models import Attention, Model
from resight.models.extract import extract
from resight.reports.attention import attention_over, contact_sheet

__all__ = [
    "DescribedPhotos",
    "attention_of",
    "check_names",
    "describe_each",
    "describe_photos",
    "folder_names",
    "refuse_empty",
    "write_attention",
    "write_descriptors",
]

_PICTURES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_MOST_SHOWN = 100
"""Photos whose attention one picture shows: every kind of picture has a limit of its height."""

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True, eq=False)
class DescribedPhotos:
    """Photos with their descriptors, and those that cannot be read.

    Attributes:
        paths: Absolute, one a row of descriptors.
        descriptors: float32 ``(n, dim)``, unit L2 norm.
        features: Local features of all photos together.
        feature_bytes: What these take in a collection.
        broken: What could not be described, and why.
    """

    paths: list[Path]
    descriptors: Float32[np.ndarray, "n dim"]
    features: int
    feature_bytes: int
    broken: list[BrokenPhoto]


def describe_photos(
    model: Model, photos: Sequence[Path], *, purpose: str = "describe", progress: Progress = silent
) -> DescribedPhotos:
    """Returns the photos under files and folders, described.

    Args:
        model: Describes them.
        photos: Files and folders.
        purpose: What the photos are for, for the error where there is none.
        progress: Called with photos done and photos in all.

    Raises:
        InvalidInput: A path does not exist, or not one photo can be described.
    """
    paths, rows, broken = [], [], []
    features = stored = 0
    for outcome in describe_each(model, scan(photos), progress=progress):
        if isinstance(outcome, BrokenPhoto):
            broken.append(outcome)
            continue
        path, described = outcome
        paths.append(path)
        rows.append(described.descriptor)
        if described.local is not None:
            features += len(described.local)
            stored += len(model.codec.encode(described.local).to_bytes())
    refuse_empty(len(paths), photos, broken, purpose=purpose)
    return DescribedPhotos(paths, np.stack(rows), features, stored, broken)


def describe_each(
    model: Model, scanned: Scan, *, progress: Progress = silent
) -> Iterator[tuple[Path, ImageFeatures] | BrokenPhoto]:
    """Yields each photo with its features, or what is wrong with it."""
    yield from scanned.broken
    for done, row in enumerate(extract([photo.path for photo in scanned.photos], model), 1):
        progress(done, len(scanned.photos))
        if row.features is None:
            yield BrokenPhoto(str(row.path), row.reason or "it cannot be described")
        else:
            yield row.path, row.features


def refuse_empty(count: int, photos: Sequence[Path], broken: Sequence[BrokenPhoto], *, purpose: str) -> None:
    """Returns if there is a photo.

    Raises:
        InvalidInput: There is none; the first broken one is named.
    """
    if not count:
        why = f": {broken[0].path}: {broken[0].reason}" if broken else ""
        raise InvalidInput(f"there is no photo to {purpose} under {folder_names(photos)}{why}")


def folder_names(photos: Sequence[Path]) -> str:
    """Returns the names of the folders among some paths, and of those that hold the files among them."""
    whole = [Path(os.path.realpath(photo)) for photo in photos]
    names = list(dict.fromkeys(path.name if path.is_dir() else path.parent.name for path in whole))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def check_names(photos: Iterable[Path]) -> None:
    """Returns if a list of names can hold the paths of photos, one a line.

    Raises:
        InvalidInput: A path would be two lines.
    """
    for photo in photos:
        if len(str(photo).splitlines()) > 1:
            raise InvalidInput(f"a line of the list of names cannot hold the line break in {str(photo)!r}")


def write_descriptors(described: DescribedPhotos, path: Path) -> None:
    """Writes the descriptors as ``.npy``, and beside them the photos' paths, one a line, as ``.names.txt``.

    Raises:
        InvalidInput: A path would be two lines.
        OSError: A file cannot be written.
    """
    check_names(described.paths)
    stream = io.BytesIO()
    np.save(stream, described.descriptors, allow_pickle=False)
    names = "".join(f"{photo}\n" for photo in described.paths)
    with whole_files([path, path.with_suffix(".names.txt")]) as (rows, lines):
        rows.write(stream.getbuffer())
        lines.write(names.encode())


def attention_of(model: Model, photos: Sequence[Path], path: Path) -> Attention:
    """Returns the attention of a model, which a picture shall show over some photos.

    Raises:
        InvalidInput: The model has none, or the picture's file cannot show that of so many photos.
    """
    attention = None if model.local is None else model.local.attention
    if attention is None:
        raise InvalidInput(
            f"the model {model.name} has no attention to write: take a bundle of a trained DELG network"
        )
    if path.suffix.lower() not in _PICTURES:
        raise InvalidInput(f"attention is written as .jpg, .png or .webp, not as {path.name!r}")
    count = len(find_photos(photos))
    if count > _MOST_SHOWN:
        raise InvalidInput(
            f"one picture shows the attention over {_MOST_SHOWN} photos at most, "
            f"not over {count:,}: name fewer"
        )
    return attention


def write_attention(attention: Attention, photos: Sequence[Path], max_side: int, path: Path) -> None:
    """Writes the attention of a model over some photos into one picture.

    Raises:
        UnreadableImage: A photo has become unreadable.
        OSError: The picture cannot be written.
    """
    pictures = []
    for file in photos:
        photo = images.read(file, max_side=max_side)
        pictures.append(attention_over(photo, attention.map_of(photo), attention.field))
    with whole_file(path) as stream:
        Image.fromarray(contact_sheet(pictures)).save(stream, _PICTURES[path.suffix.lower()], quality=90)
