"""Photos into a collection, which is made where there is none."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np

from resight.collection import Collection, IndexReport, find_photos
from resight.collection.kept import require_keepable
from resight.collection.place import collection_path, place_at, writer_lock
from resight.collection.scan import scan
from resight.errors import CollectionNotFound, InvalidInput
from resight.features import ImageFeatures
from resight.files import ObjectPath, Progress, silent
from resight.images import MAX_PIXELS
from resight.models.engines import Engine, engine_for
from resight.models.extract import Extractor
from resight.models.model import Model
from resight.pipelines.metadata import read_metadata, text_notes
from resight.search.index import SearchChoice

__all__ = ["DEFAULT_MODEL", "RECOMMENDED_MODEL", "Indexed", "index_photos"]

_COMPARED, _SAME, _ROUNDING = 3, 0.98, 1e-3

DEFAULT_MODEL = "sift"
"""Model of a new collection by default."""

RECOMMENDED_MODEL = "efficientnet-lite0+sift"
"""Finds more than the default on each kind of photos measured, in twice the time; needs the extra lite0."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What became of indexing.

    Attributes:
        collection: The collection; its folder is gone again where it was made for nothing.
        photos: Photos in it that can be searched.
        report: What was done.
    """

    collection: Collection
    photos: int
    report: IndexReport


def index_photos(
    path: Path | ObjectPath,
    photos: Sequence[Path],
    *,
    model: str | None = None,
    metadata: Path | None = None,
    forget_missing: bool = False,
    again: bool = False,
    exclude: Sequence[str] = (),
    described: str | Path | None = None,
    regions: int | None = None,
    search: SearchChoice | None = None,
    max_pixels: int = MAX_PIXELS,
    memory: int | None = None,
    engine: Engine = "torch",
    on: str | None = None,
    progress: Progress = silent,
) -> Indexed:
    """Returns what was done to bring a collection up to date with files and folders.

    A collection that is made for it is removed if nothing goes in; after Ctrl-C it stays.

    Args:
        path: The collection's folder, or its address in a bucket.
        photos: Files and folders.
        model: Name or bundle of its model; by default its own, or `DEFAULT_MODEL` for a new one.
        metadata: A table of values to keep with photos, as `read_metadata` reads it.
        forget_missing: Whether photos that are no longer in the folders are removed.
        again: Whether every photo is read again, whatever its size and time say.
        exclude: Patterns of files and folders that are left out from now on.
        described: A file of descriptors by this collection's model, or a database
            (`resight.pipelines.exchange`); photos in it are not described again.
        regions: Bytes a photo for descriptors of its parts; 0 for none from now on, None for as before.
        search: How the collection shall be searched afterwards (`Collection.choose_search`): what cannot be
            done is said before photos are described.
        max_pixels: Most pixels of a photo that is decoded.
        memory: Bytes that photos may take while they are decoded and described, see `Collection.add`.
        engine: What runs the model's network, see `resight.models.engines.with_engine`; ``auto`` is torch for
            few photos.
        on: Where photos are described: ``ray`` or ``ray://HOST:PORT`` (`resight.pipelines.on_ray`); here by
            default.
        progress: Called with photos done and photos in all.

    Raises:
        InvalidInput: A path is neither on the disk nor in the collection, or the metadata cannot be kept.
        MissingExtra: The extra that ``on`` needs is not installed.
        ModelMismatch: The collection was made by another model.
        ModelError: The model cannot be loaded.
        CollectionError: The collection cannot be read or written.
    """
    values = read_metadata(metadata) if metadata is not None else None
    path = collection_path(path)
    new_folders = [] if isinstance(path, ObjectPath) else _not_there(path)
    if engine == "auto":
        engine = engine_for(engine, len(find_photos([photo for photo in photos if photo.exists()])))
    if search is not None:
        require_keepable(search, path)
    try:
        collection, is_new = Collection.open(path, model=model, engine=engine), False
    except CollectionNotFound:
        collection, is_new = Collection.create(path, model=model or DEFAULT_MODEL, engine=engine), True
    if search is not None and search.kind == "exact" and collection.info().search_index.kind == "milvus":
        # First: the rows need not be sent to a server that is left, and may be away.
        collection.choose_search(search)
    try:
        report = collection.add(
            photos,
            metadata=values,
            forget_missing=forget_missing,
            again=again,
            exclude=exclude,
            described=None if described is None else _described(collection.model, photos, described),
            regions=regions,
            max_pixels=max_pixels,
            memory=memory,
            workers=None if on is None else _extractor(on, collection),
            progress=progress,
        )
        report = replace(report, notes=[*report.notes, *text_notes(values or {})])
        return Indexed(collection, len(collection), report)
    except KeyboardInterrupt:
        # The same command goes on where this one stopped.
        is_new = False
        raise
    finally:
        if is_new and not len(collection) and not collection.info().broken:
            _remove_empty(collection.path, new_folders)


def _extractor(on: str, collection: Collection) -> Extractor:
    """Returns what describes photos elsewhere.

    Raises:
        InvalidInput: It is not known.
        MissingExtra: Its extra is not installed.
    """
    from resight.pipelines.on_ray import OnRay

    return OnRay(on, model=collection.info().model, fingerprint=collection.model.fingerprint)


def _described(model: Model, photos: Sequence[Path], path: str | Path) -> dict[str, ImageFeatures]:
    """Returns what a file says of photos under some paths, by absolute path.

    The file names photos by their absolute path, by the path below one of the given folders, or by a file's
    name, also of other folders, where it stands once. A few of them are described, to see whether the model
    is the one that made the file.

    Raises:
        InvalidInput: It is no such file, names none of the photos, or another model has made it.
    """
    from resight.pipelines.exchange import read_layout

    listed = read_layout(path).features()
    # hloc's names are groups of a file, which begin with no slash; on another machine folders are others.
    counts = Counter(PurePath(name).name for name in listed)
    by_name = {PurePath(name).name: one for name, one in listed.items() if counts[PurePath(name).name] == 1}
    by_name |= {f"/{name}": one for name, one in listed.items()} | listed
    found: dict[str, ImageFeatures] = {}
    for photo in scan(photos).photos:
        spelled = (photo.path, os.path.relpath(photo.path, photo.folder), Path(photo.path).name)
        features = next((by_name[name] for name in spelled if name in by_name), None)
        if features is not None:
            found[photo.path] = features
    if not found:
        raise InvalidInput(f"{path} names none of the photos: it has {next(iter(listed), 'no names')}, ...")
    for name in list(found)[:_COMPARED]:
        (own,) = model.describe(name)
        given = found[name].descriptor
        if own.shape != given.shape or float(own @ given) < _SAME * float(np.linalg.norm(given)):
            raise InvalidInput(
                f"{path} was made by another model than {model.name}: its descriptor of {name} is another; "
                "name the model that made it by --model, or leave --from out"
            )
    return {name: _unit(features) for name, features in found.items()}


def _unit(features: ImageFeatures) -> ImageFeatures:
    """Returns features with a descriptor of unit length; one that is, but for rounding, stays as it is."""
    length = float(np.linalg.norm(features.descriptor))
    if abs(length - 1) < _ROUNDING or not length > 0:
        return features
    return replace(features, descriptor=(features.descriptor / np.float32(length)).astype(np.float32))


def _not_there(path: Path) -> list[Path]:
    """Returns the folders, inner ones first, that making a folder makes."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _remove_empty(path: Path | ObjectPath, new_folders: Sequence[Path]) -> None:
    """Removes a collection that holds nothing, and the folders that were made for it, inner ones first."""
    with writer_lock(path, timeout=0):
        place_at(path).remove_files()
    place_at(path).remove_lock()
    for folder in new_folders:
        folder.rmdir()
