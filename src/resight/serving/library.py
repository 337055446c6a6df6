"""The photos of a collection by their number: listed, opened where they may be shown, reduced."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final, cast, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64
from PIL import Image

from resight import images
from resight.collection.filter_terms import kind_of
from resight.collection.roots import Key
from resight.collection.schema import Value, metadata_names
from resight.collection.store import SEARCHABLE, Store
from resight.errors import UnreadableImage
from resight.files import ObjectPath, Stamp
from resight.images.content import content_in
from resight.images.formats import HEAD, detect
from resight.images.opening import ObjectStream, stamp_in
from resight.serving.below import NotBelow, open_below
from resight.serving.cache import ThumbnailCache
from resight.serving.refusals import Refusal
from resight.serving.shapes import MetadataKind, MetadataShape

__all__ = ["SIDES", "Library", "LibraryPhoto", "Original", "as_jpeg"]

SIDES: Final = (256, 512, 1024, 2048)
"""Long sides of thumbnails, pixels."""

_QUALITY = 82
_TYPES: Final = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WebP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "PPM": "image/x-portable-anymap",
    "AVIF": "image/avif",
    "HEIC": "image/heic",
}
"""Type of each format that is read: what a file is, its bytes say. SVG and HTML are none of them."""

_COLUMNS = ("root", "path", "width", "height", "file_size", "modified_ns", "hash")
_LISTINGS = 4
_MOST_VALUES = 100


@dataclass(frozen=True, slots=True)
class LibraryPhoto:
    """A photo of the collection.

    Attributes:
        id: Its number.
        key: Its folder and path below.
        path: Where it is now, absolute.
        width: Of the upright photo, pixels.
        height: Of the upright photo, pixels.
        size: Bytes of the file when it was described.
        modified_ns: When the file was changed last before it was described.
        hash: Of the file's bytes when it was described.
        metadata: The user's values.
        is_here: Whether the file is there and may be shown.
    """

    id: int
    key: Key
    path: str
    width: int
    height: int
    size: int
    modified_ns: int
    hash: bytes
    metadata: dict[str, Value]
    is_here: bool

    @property
    def tag(self) -> str:
        """Changes with the bytes that were described."""
        return self.hash.hex()[:32]


@dataclass(frozen=True, slots=True)
class Original:
    """A photo's file.

    Attributes:
        stream: Of its bytes, at their start.
        size: How many they are.
        type: Of its format.
        tag: Changes with the bytes.
    """

    stream: BufferedReader | ObjectStream
    size: int
    type: str
    tag: str


@final
class Library:
    """Looks at the collection for itself: its reads never wait for a search."""

    def __init__(self, path: Path | ObjectPath, cache: ThumbnailCache) -> None:
        self._store = Store.open(path)
        self._lock = threading.Lock()
        self._cache = cache
        self._listings: dict[tuple[str, int, str | None], pa.Table] = {}

    @property
    def version(self) -> int:
        """Version of the collection now, larger after each change."""
        with self._lock:
            self._store.refresh()
            return self._store.version

    def notes(self) -> list[str]:
        """Returns what is amiss with the collection's folders, a sentence each."""
        with self._lock:
            self._store.refresh()
            return self._store.roots.notes()

    def listed(self, offset: int, limit: int, where: str | None) -> tuple[list[LibraryPhoto], int]:
        """Returns a page of the photos that can be searched, by path, and how many there are.

        Raises:
            InvalidInput: The filter cannot be understood.
            CollectionError: The collection cannot be read.
        """
        with self._lock:
            self._store.refresh()
            listing = self._listing(where)
            ids = listing["_rowid"][offset : offset + limit].to_numpy().astype(np.int64)
            return self._photos(ids), listing.num_rows

    def photos(self, ids: Sequence[int]) -> list[LibraryPhoto]:
        """Returns photos by number, in that order.

        Raises:
            Refusal: The collection has none of such a number.
        """
        if not ids:
            return []
        with self._lock:
            self._store.refresh()
            held = {photo.id: photo for photo in self._photos(np.array(sorted(set(ids)), dtype=np.int64))}
        unknown = [each for each in ids if each not in held]
        if unknown:
            raise Refusal(404, f"the collection has no photo {unknown[0]}: it may have been removed")
        return [held[each] for each in ids]

    def metadata(self) -> list[MetadataShape]:
        """Returns what the photos hold under each name of the user's metadata, by name."""
        with self._lock:
            self._store.refresh()
            names = metadata_names(self._store.schema)
            table = self._store.table(names, where=SEARCHABLE)
        return [_summarised(name, table[name]) for name in sorted(names)]

    @contextmanager
    def original(self, photo: LibraryPhoto) -> Iterator[Original]:
        """Opens the file of a photo for the time of the block.

        It must lie below a folder of the collection, wherever links lead, and still be a photo.

        Raises:
            Refusal: It may not be shown.
        """
        gone = Refusal(404, f"the file of photo {photo.id} is not here")
        if not photo.is_here:
            raise gone
        with self._lock:
            roots = self._store.roots
        folders = [roots.folder(root.number) for root in roots if roots.is_known_here(root)]
        with ExitStack() as held:
            try:
                stream = held.enter_context(open_below(folders, photo.path))
                # Below a folder that only came with the collection, its maker's own bytes alone are shown.
                is_trusted = roots.is_named_here(photo.key.root) or content_in(stream).hash == photo.hash
                stream.seek(0)
                kind = detect(stream.read(HEAD))
                stream.seek(0)
            except (NotBelow, OSError):
                raise gone from None
            if not is_trusted:
                raise gone
            if kind is None:
                raise Refusal(404, f"the file of photo {photo.id} is no photo any more")
            stamp = stamp_in(stream)
            is_same = stamp == Stamp(photo.size, photo.modified_ns)
            tag = photo.tag if is_same else f"{stamp.size:x}-{stamp.modified_ns:x}"
            yield Original(stream, stamp.size, _TYPES[kind], tag)

    def thumbnail(self, photo: LibraryPhoto, side: int, max_pixels: int) -> tuple[bytes, str]:
        """Returns a photo as an upright JPEG of at most that long side, and its tag; made once.

        Raises:
            Refusal: It may not be shown, or cannot be read.
        """
        with self.original(photo) as original:
            name = f"{original.tag}-{side}"
            kept = self._cache.get(name)
            if kept is None:
                try:
                    shown = images.read(original.stream, max_side=side, max_pixels=max_pixels)
                except UnreadableImage as error:
                    raise Refusal(404, f"photo {photo.id} cannot be read: {error.reason}") from None
                kept = as_jpeg(shown)
                self._cache.put(name, kept)
        return kept, name

    def forget(self, photos: Sequence[LibraryPhoto]) -> None:
        """Takes the thumbnails of photos off the disk."""
        for photo in photos:
            for side in SIDES:
                self._cache.drop(f"{photo.tag}-{side}")

    def _listing(self, where: str | None) -> pa.Table:
        key = (self._store.header.identity, self._store.version, where)
        if key not in self._listings:
            table = self._store.table(["root", "path"], where=SEARCHABLE)
            if where is not None:
                ids = self._store.ids_where(where)
                table = table.filter(pc.is_in(table["_rowid"], pa.array(ids.astype(np.uint64))))
            order = pc.sort_indices(table, sort_keys=[("root", "ascending"), ("path", "ascending")])
            while len(self._listings) >= _LISTINGS:
                del self._listings[next(iter(self._listings))]
            self._listings[key] = table.take(order).select(["_rowid"])
        return self._listings[key]

    def _photos(self, ids: Int64[np.ndarray, " n"]) -> list[LibraryPhoto]:
        names = metadata_names(self._store.schema)
        table = self._store.rows(ids, [*_COLUMNS, "broken", *names])
        rows = {row["_rowid"]: row for row in table.to_pylist() if row["broken"] is None}
        roots, photos = self._store.roots, []
        for row_id in ids.tolist():
            if row_id not in rows:
                continue
            row = rows[row_id]
            key = Key(row["root"], row["path"])
            photos.append(
                LibraryPhoto(
                    row_id,
                    key,
                    roots.path_of(key),
                    row["width"],
                    row["height"],
                    row["file_size"],
                    row["modified_ns"],
                    row["hash"],
                    {name: row[name] for name in names if row[name] is not None},
                    roots.is_here(key),
                )
            )
        return photos


def as_jpeg(photo: images.Photo) -> bytes:
    """Returns a photo as a JPEG to look at."""
    stream = io.BytesIO()
    Image.fromarray(photo.pixels).save(stream, "JPEG", quality=_QUALITY, progressive=True)
    return stream.getvalue()


def _summarised(name: str, column: pa.ChunkedArray) -> MetadataShape:
    kind = kind_of(name, column.type)
    held = column.drop_null()
    values = held.unique().to_pylist() if kind == "text" else []
    bounds = pc.min_max(held).as_py() if kind in ("number", "moment") and len(held) else {}
    return MetadataShape(
        name=name,
        # Columns of the user hold no other kind.
        kind=cast("MetadataKind", kind),
        photos=len(held),
        values=sorted(values) if kind == "text" and len(values) <= _MOST_VALUES else None,
        least=bounds.get("min"),
        most=bounds.get("max"),
    )
