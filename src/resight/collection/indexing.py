"""Brings a collection up to date with the files: what is new, changed, gone or broken."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np

from resight.collection.batching import Batching
from resight.collection.known import Known, keys_under, known_photos
from resight.collection.metadata import Value, new_columns
from resight.collection.reports import BrokenPhoto, CpuSeconds, IndexReport
from resight.collection.roots import Key
from resight.collection.scan import FoundPhoto, Scan, canonical, printable, scan
from resight.collection.schema import Row
from resight.collection.store import Store
from resight.errors import InvalidInput
from resight.features import ImageFeatures, LocalFeatures
from resight.files import Progress
from resight.images import MAX_PIXELS
from resight.models.extract import Extraction, extract
from resight.models.model import Model

__all__ = ["update"]


def update(
    store: Store,
    model: Model,
    paths: Sequence[str | Path],
    *,
    metadata: Mapping[str, Mapping[str, Value]],
    forget_missing: bool,
    workers: int | None,
    max_pixels: int,
    progress: Progress | None,
) -> IndexReport:
    """Returns what was done to bring the collection up to date with the files under some paths.

    The caller holds the writer's lock. Commits in batches, so that a killed run goes on from the last one.

    Raises:
        InvalidInput: A path exists neither on the disk nor in the collection; metadata that cannot be kept.
        StorageFailed: The disk refuses a write; what was committed before stays.
    """
    started = time.perf_counter()
    known = known_photos(store)
    present, gone = _divide(store, known, paths)
    found = scan(present)
    photos = _named(store, known, found, present)
    batching = Batching(store, _values(store, metadata, photos))
    run = _Run(store, model, known, batching, max_pixels, progress)
    run.describe(photos, workers)
    batching.annotate()
    missing = run.missing(present, photos)
    if forget_missing:
        store.forget(np.array([known[key].id for key in missing], dtype=np.int64))
    batching.finish()
    seconds = CpuSeconds(
        run.read_seconds, run.describe_seconds, batching.seconds, time.perf_counter() - started
    )
    lost = sorted({*gone, *(store.roots.path_of(key) for key in missing)})
    broken = sorted([*found.broken, *run.broken], key=lambda file: file.path)
    return IndexReport(run.added, run.updated, run.unchanged, lost, broken, found.passed_over, seconds)


def _divide(
    store: Store, known: Mapping[Key, Known], paths: Sequence[str | Path]
) -> tuple[list[str], list[str]]:
    """Returns the given paths that exist, and the collection's photos under those that do not.

    The latter are never forgotten: a whole folder that is not there is more often a disk that is not.
    """
    present: list[str] = []
    gone: list[str] = []
    for path in paths:
        if Path(path).exists():
            present.append(canonical(path))
            continue
        lost = keys_under(store, known, [path])
        if not lost:
            raise InvalidInput(f"there is no file or folder {printable(str(path))}")
        gone += [store.roots.path_of(key) for key in lost]
    return present, gone


def _named(
    store: Store, known: Mapping[Key, Known], found: Scan, present: Iterable[str]
) -> dict[Key, FoundPhoto]:
    """Returns the photos to look at by key, after committing the roots they need."""
    roots = store.roots
    for folder in dict.fromkeys(photo.folder for photo in found.photos):
        roots = roots.including(folder)
    store.write_header(replace(store.header, roots=roots.stored))
    photos = {}
    for photo in found.photos:
        key, target = roots.key_of(photo.path), roots.key_of(photo.target)
        # A link to a photo that is in the collection already would be its double.
        if key is not None and (key in known or target == key or target not in known):
            photos[key] = photo
    # What walking passes over (an unusual suffix, a hidden file) but was once given by itself.
    for key in keys_under(store, known, [path for path in present if Path(path).is_dir()]):
        path = roots.path_of(key)
        if key not in photos and Path(path).is_file():
            photos[key] = FoundPhoto(path, str(Path(path).parent), path)
    return photos


def _values(
    store: Store, metadata: Mapping[str, Mapping[str, Value]], photos: Mapping[Key, FoundPhoto]
) -> dict[Key, Mapping[str, Value]]:
    """Returns the user's values by key, after committing the columns they need."""
    by_path = {photo.target: key for key, photo in photos.items()}
    by_path |= {photo.path: key for key, photo in photos.items()}
    given = {}
    for path, row in metadata.items():
        key = by_path.get(canonical(path))
        if key is None:
            raise InvalidInput(f"metadata is given for {path}, which is not among the photos to index")
        given[key] = row
    store.add_columns(new_columns(given.values(), store.schema))
    names = set(store.schema.names)
    return {key: {name: row[name] for name in row if name in names} for key, row in given.items()}


@final
@dataclass(slots=True)
class _Run:
    """One run of `update`: what it has counted so far."""

    store: Store
    model: Model
    known: Mapping[Key, Known]
    batching: Batching
    max_pixels: int
    progress: Progress | None
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    broken: list[BrokenPhoto] = field(default_factory=list)
    vanished: set[Key] = field(default_factory=set)
    read_seconds: float = 0.0
    describe_seconds: float = 0.0

    def describe(self, photos: Mapping[Key, FoundPhoto], workers: int | None) -> None:
        """Describes what is new or changed, and commits it batch by batch."""
        waiting = {key: photo.path for key, photo in photos.items() if not self._same(key, photo.path)}
        contents = {
            known.hash: known.id
            for known in self.known.values()
            if known.hash is not None and not self._another_try(known)
        }
        total = len(photos)
        # The second round is for files whose bytes a row described until this very run described it anew.
        for described in (contents, {}):
            left = dict(waiting)
            extractions = extract(
                waiting.values(),
                self.model,
                workers=workers,
                known=described.keys(),
                max_pixels=self.max_pixels,
            )
            with closing(extractions):
                for done, (key, extraction) in enumerate(
                    zip(waiting, extractions, strict=True), total - len(waiting) + 1
                ):
                    if not self._collect(key, extraction, described):
                        del left[key]
                    if self.batching.due:
                        self._commit(left)
                    if self.progress is not None:
                        self.progress(done, total)
            self._commit(left)
            waiting = left

    def _same(self, key: Key, path: str) -> bool:
        """Returns whether a file looks as when it was described, and counts it if so."""
        known = self.known.get(key)
        if known is None or known.hash is None or self._another_try(known):
            return False
        try:
            status = Path(path).stat()
        except OSError:
            # Reading it will say why.
            return False
        if (status.st_size, status.st_mtime_ns) != (known.file_size, known.modified_ns):
            return False
        self._count(key, path, known.hash, known.broken)
        return True

    def _another_try(self, known: Known) -> bool:
        """Returns whether a photo that was broken may be read now: a raised limit on pixels lets it in."""
        return known.broken is not None and self.max_pixels > MAX_PIXELS

    def _collect(self, key: Key, extraction: Extraction, described: Mapping[bytes, int]) -> bool:
        """Returns whether there is something to commit for a file, after handing it to the batch."""
        self.read_seconds += extraction.read_seconds
        self.describe_seconds += extraction.describe_seconds
        content, features = extraction.content, extraction.features
        if content is not None and content.hash in described:
            self.batching.copies[key] = content, described[content.hash]
            return True
        if content is None and not extraction.path.exists():
            if key in self.known:
                self.vanished.add(key)
            else:
                self.broken.append(BrokenPhoto(str(extraction.path), "it has disappeared"))
            return False
        self.batching.add(
            Row(
                key,
                None if content is None else content.hash,
                None if content is None else content.size,
                None if content is None else content.modified_ns,
                None if features is None else extraction.width,
                None if features is None else extraction.height,
                None if features is None else features.descriptor.astype(np.float16),
                None,
                extraction.reason,
            ),
            None if features is None else self._stored(features),
        )
        return True

    def _stored(self, features: ImageFeatures) -> LocalFeatures | None:
        """Returns local features as the model's codec stores them."""
        return None if features.local is None else self.model.codec.encode(features.local)

    def _commit(self, left: dict[Key, str]) -> None:
        for row in self.batching.commit():
            self._count(row.key, left.pop(row.key), row.hash, row.broken)

    def _count(self, key: Key, path: str, digest: bytes | None, broken: str | None) -> None:
        known = self.known.get(key)
        if broken is not None:
            self.broken.append(BrokenPhoto(path, broken))
        elif known is None:
            self.added += 1
        elif known.hash == digest:
            self.unchanged += 1
        else:
            self.updated += 1

    def missing(self, present: Iterable[str], photos: Mapping[Key, FoundPhoto]) -> list[Key]:
        """Returns the keys of known photos under the given folders whose files are no longer there."""
        folders = [path for path in present if Path(path).is_dir()]
        under = set(keys_under(self.store, self.known, folders))
        roots = self.store.roots
        lost = {key for key in under - photos.keys() if not Path(roots.path_of(key)).is_file()}
        return sorted(lost | self.vanished)
