"""A collection in numbers: what it holds, by which model, where, and how large."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from resight.collection.checksum import damaged_rows
from resight.collection.kept import figures_of
from resight.collection.roots import Key
from resight.collection.scan import BrokenPhoto
from resight.collection.schema import metadata_names
from resight.collection.store import Store
from resight.errors import InvalidInput
from resight.features import LocalFeatures
from resight.files import is_folder, object_path
from resight.search.index import SearchFigures
from resight.search.probability import PairProbability
from resight.search.recognition import Calibration

__all__ = ["CollectionInfo", "LocalInfo", "RootInfo", "collection_info"]

_SAMPLED = 16
"""Photos looked at: 3 MB at 200 kB a photo."""


@dataclass(frozen=True, slots=True)
class RootInfo:
    """A folder that photos of the collection lie in.

    Attributes:
        path: The folder now, absolute.
        stored: The folder as stored: absolute, or relative to the collection's directory.
        photos: Files of the collection under it, broken ones included.
        exists: Whether the folder is there.
        missing: How many of its files are not there any more.
    """

    path: str
    stored: str
    photos: int
    exists: bool
    missing: int


@dataclass(frozen=True, slots=True)
class LocalInfo:
    """How local features are stored, from a sample of photos evenly spread.

    Attributes:
        form: ``float16 of 128``, ``16 codes of a byte`` or ``128 bits`` a descriptor.
        features_per_photo: Mean over these photos.
        bytes_per_photo: Of their stored form, mean over these photos.
    """

    form: str
    features_per_photo: float
    bytes_per_photo: float


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection in numbers.

    Attributes:
        path: The collection's directory, absolute.
        photos: Photos that can be searched.
        broken: Files that cannot, each with its reason.
        model: Name of the model that made it.
        fingerprint: Fingerprint of that model.
        dim: Length of a descriptor.
        roots: Folders the photos lie in.
        metadata: Names of the user's metadata columns.
        bytes_on_disk: Size of the collection's directory.
        bytes_per_photo: ``bytes_on_disk`` a photo that can be searched; 0 without photos.
        local: How local features are stored; None without photos, or where the model has none.
        format: Version of the collection's format.
        version: Version of the table, larger after each commit.
        recognition: The threshold that `Classifier.calibrate` chose last; None without one.
        probability: What `resight calibrate` learned last; None without it.
        search_index: What searches it, and what was measured of that.
    """

    path: str
    photos: int
    broken: list[BrokenPhoto]
    model: str
    fingerprint: str
    dim: int
    roots: list[RootInfo]
    metadata: list[str]
    bytes_on_disk: int
    bytes_per_photo: float
    local: LocalInfo | None
    format: int
    version: int
    recognition: Calibration | None
    probability: PairProbability | None
    search_index: SearchFigures


def collection_info(store: Store) -> CollectionInfo:
    """Returns what a collection holds at the version that the store reads.

    Raises:
        CollectionDamaged: It cannot be read.
    """
    table, roots = store.table(["root", "path", "broken"]), store.roots
    numbers, paths, reasons = (table[name].to_pylist() for name in ("root", "path", "broken"))
    broken = [
        BrokenPhoto(roots.path_of(Key(root, path)), reason)
        for root, path, reason in zip(numbers, paths, reasons, strict=True)
        if reason is not None
    ]
    photos, size = table.num_rows - len(broken), store.size()
    folders = [(root, roots.folder(root.number)) for root in roots]
    keys = list(zip(numbers, paths, strict=True))
    return CollectionInfo(
        path=str(store.path),
        photos=photos,
        broken=sorted(broken, key=lambda file: file.path),
        model=store.header.model,
        fingerprint=store.header.fingerprint,
        dim=store.header.dim,
        roots=[
            RootInfo(
                folder,
                root.stored,
                numbers.count(root.number),
                # A collection from elsewhere could name any: such a folder is not looked at.
                roots.is_known_here(root) and is_folder(folder),
                _missing(
                    folder if roots.is_known_here(root) else None,
                    [path for number, path in keys if number == root.number],
                ),
            )
            for root, folder in folders
        ],
        metadata=metadata_names(store.schema),
        bytes_on_disk=size,
        bytes_per_photo=size / photos if photos else 0.0,
        local=_local_info(store, table.filter(table["broken"].is_null())["_rowid"].to_numpy()),
        format=store.header.format,
        version=store.version,
        recognition=store.header.recognition,
        probability=store.header.probability,
        search_index=figures_of(store, photos),
    )


def _missing(root: str | None, paths: Sequence[str]) -> int:
    """Returns how many files are not in their folders; lists each folder once, which is quick on any disk.

    Of a folder that may not be looked at (None), all are.
    """
    names: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        names.setdefault(folder, []).append(name)
    if root is None:
        return len(paths)
    missing = 0
    if (address := object_path(root)) is not None:
        try:
            there = {str(one) for one, _ in address.below()}
        except OSError:
            there = set()
        return sum(f"{root}/{path}" not in there for path in paths)
    for folder, wanted in names.items():
        try:
            held = set(os.listdir(os.path.join(root, folder)))  # noqa: PTH118, PTH208 (quicker by far)
        except OSError:
            held = set()
        missing += sum(name not in held for name in wanted)
    return missing


def _local_info(store: Store, ids: Int64[np.ndarray, " photos"]) -> LocalInfo | None:
    """Returns how local features are stored, from rows evenly spread over those given; None without any.

    Damaged features are left out: `Collection.check` names them.

    Raises:
        CollectionDamaged: The rows cannot be read.
    """
    spread = ids[np.linspace(0, len(ids) - 1, min(_SAMPLED, len(ids))).astype(np.int64)]
    table = store.whole_rows(spread)
    rows = table.filter(pa.array(~damaged_rows(table)))["local"].to_pylist()
    features: list[LocalFeatures] = []
    sizes: list[int] = []
    for row in rows:
        if row is None:
            continue
        try:
            features.append(LocalFeatures.from_bytes(row))
        except InvalidInput:
            continue
        sizes.append(len(row))
    if not features:
        return None
    count = float(np.mean([len(one) for one in features]))
    return LocalInfo(_form(features[0]), count, float(np.mean(sizes)))


def _form(features: LocalFeatures) -> str:
    width = features.descriptors.shape[1]
    if features.metric == "hamming":
        return f"{8 * width} bits"
    if features.descriptors.dtype == np.float16:
        return f"float16 of {width}"
    return f"{width} codes of a byte"
