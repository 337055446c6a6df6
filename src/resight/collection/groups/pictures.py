"""The pixels of a collection's photos: small, as they are compared, and the pictures that pages show."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import BinaryIO, final

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from resight import images
from resight.collection.groups.inset import inset_of
from resight.collection.groups.registration import SIDE, Thumbnail
from resight.collection.roots import Key
from resight.collection.store import Store
from resight.errors import UnreadableImage
from resight.features import Box, ImageFeatures
from resight.files import object_path
from resight.images.content import Content, is_unchanged
from resight.images.opening import open_photo
from resight.models.codec import as_stored
from resight.models.extract import shows_nothing
from resight.models.model import Model

__all__ = ["Photo", "Pictures", "photos_of"]

HELD = 400
"""Thumbnails held to be compared: 200 MB."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a collection; of several files with the same bytes one stands for all.

    Attributes:
        hash: Of its bytes.
        row: Id of its row.
        key: Primary key of that.
        width: Of the whole upright photo, pixels.
        height: Of the whole upright photo, pixels.
        file_size: Bytes.
        modified_ns: When its file was changed last.
    """

    hash: bytes
    row: int
    key: Key
    width: int
    height: int
    file_size: int
    modified_ns: int

    @property
    def content(self) -> Content:
        """What identifies its bytes."""
        return Content(self.hash, self.file_size, self.modified_ns)


def photos_of(store: Store) -> list[Photo]:
    """Returns the photos that can be searched, in the order of storage, copies of one file included."""
    columns = ["hash", "root", "path", "width", "height", "file_size", "modified_ns"]
    table = store.table(columns, where="broken IS NULL AND hash IS NOT NULL")
    return [
        Photo(
            row["hash"],
            row["_rowid"],
            Key(row["root"], row["path"]),
            row["width"],
            row["height"],
            row["file_size"] or 0,
            row["modified_ns"] or 0,
        )
        for row in table.to_pylist()
    ]


@final
@dataclass(slots=True)
class Pictures:
    """Reads photos of a collection, as long as their files are there and hold the bytes that were indexed.

    Attributes:
        store: Of the collection.
        sharpness: Of the photos that were read, by hash.
        steps: Their mean quantisation steps (`resight.collection.groups.edges.Looked.steps`), by hash.
    """

    store: Store
    sharpness: dict[bytes, float] = field(default_factory=dict)
    steps: dict[bytes, float] = field(default_factory=dict)
    _held: OrderedDict[bytes, Thumbnail | None] = field(default_factory=OrderedDict)

    def thumbnail(self, photo: Photo) -> Thumbnail | None:
        """Returns a photo to be compared; None where its file is not here or no longer the same."""
        with suppress(KeyError):
            return self._held[photo.hash]
        shown = self._read(photo, SIDE, None)
        thumbnail = None if shown is None else Thumbnail.of(shown)
        if thumbnail is not None:
            self.sharpness[photo.hash] = thumbnail.sharpness
        self._held[photo.hash] = thumbnail
        while len(self._held) > HELD:
            self._held.popitem(last=False)
        return thumbnail

    def inset(self, photo: Photo, model: Model) -> ImageFeatures | None:
        """Returns what a model says of the picture that a photo shows with a page around it, if it does.

        It is described as if it were a photo by itself; positions are those in the photo. Photos in a bucket
        are not looked at, as each would be fetched.
        """
        if object_path(self.store.roots.path_of(photo.key)) is not None:
            return None
        thumbnail = self.thumbnail(photo)
        place = None if thumbnail is None else inset_of(thumbnail.pixels)
        if thumbnail is None or place is None:
            return None
        rows, columns = thumbnail.pixels.shape[:2]
        across, down = photo.width / columns, photo.height / rows
        box = Box(place.x0 * across, place.y0 * down, place.x1 * across, place.y1 * down)
        enlarged = max(photo.width, photo.height) / max(box.width, box.height)
        shown = self._read(photo, round(model.max_side * enlarged), box)
        return None if shown is None else _alone(shown, model)

    def _read(self, photo: Photo, side: int, box: Box | None) -> images.Photo | None:
        if not self.store.roots.is_here(photo.key):
            return None
        try:
            with open_photo(self.store.roots.path_of(photo.key)) as stream:
                if not is_unchanged(stream, photo.content):
                    return None
                stream.seek(0)
                shown = images.read(stream, max_side=side, box=box)
                if photo.hash not in self.steps:
                    stream.seek(0)
                    self.steps[photo.hash] = _steps(stream)
                return shown
        except (OSError, UnreadableImage):
            return None


def _alone(shown: images.Photo, model: Model) -> ImageFeatures | None:
    """Returns what a model says of a part of a photo as of a photo by itself, placed in the whole."""
    width, height = shown.region.width, shown.region.height
    alone = replace(shown, width=round(width), height=round(height), region=Box(0, 0, width, height))
    (features,) = model.extract([alone])
    if features.local is None or shows_nothing(alone, features):
        return None
    local = as_stored(model.codec, features.local)
    origin = np.array([shown.region.x0, shown.region.y0], dtype=np.float32)
    return replace(features, local=replace(local, positions=local.positions + origin))


def _steps(stream: BinaryIO) -> float:
    """Returns the mean step of the quantisation of brightness in a JPEG file, 0 in another."""
    try:
        with Image.open(stream) as opened:
            tables = opened.quantization if isinstance(opened, JpegImageFile) else {}
            return float(np.mean(tables.get(0, 0.0)))
    except (OSError, SyntaxError, ValueError):
        # What Pillow does not know, such as HEIC.
        return 0.0
