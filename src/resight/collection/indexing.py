"""Brings a collection up to date with the files: what is new, changed, gone or broken."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np

from resight.collection.batching import Batching
from resight.collection.exclusion import Exclusion
from resight.collection.index_report import IndexOptions, IndexReport, IndexSeconds
from resight.collection.roots import Key
from resight.collection.scan import BrokenPhoto, PhotoFile, Scan, canonical, printable, scan
from resight.collection.schema import KEY_COLUMNS, Row, Value, metadata_names, new_columns
from resight.collection.store import Store
from resight.collection.stored_photos import StoredPhoto, keys_under, stored_photos
from resight.errors import InvalidInput
from resight.features import ImageFeatures, LocalFeatures
from resight.files import (
    Progress,
    exists,
    is_address,
    is_empty,
    is_file,
    is_folder,
    on_disk,
    spelled,
    stamp_of,
)
from resight.images import MAX_PIXELS
from resight.models.extract import Extraction
from resight.models.model import Model

__all__ = ["update"]


def update(
    store: Store,
    model: Model,
    paths: Sequence[str | Path],
    options: IndexOptions,
    progress: Progress | None,
) -> IndexReport:
    """Returns what was done to bring the collection up to date with the files under some paths.

    The caller holds the writer's lock. Commits in batches, so that a killed run goes on from the last one.

    Raises:
        InvalidInput: A path exists neither on the disk nor in the collection; metadata that cannot be kept.
        StorageFailed: The disk refuses a write; what was committed before stays.
    """
    started = time.perf_counter()
    known = stored_photos(store)
    present, gone = _divide(store, known, paths)
    store.write_header(replace(store.header, exclude=_exclude(store.header.exclude, options.exclude)))
    scanned = scan(present, store.header.exclude)
    photos = _named(store, known, scanned, present)
    values, unmatched = _values(store, options.metadata, photos)
    batching = _batching(store, known, values)
    run = _Run(store, model, known, batching, photos, set(present), options, progress)
    run.describe()
    batching.annotate()
    missing = run.missing(present, scanned.unlisted)
    if options.forget_missing:
        store.forget(np.array([known[key].id for key in missing], dtype=np.int64))
    batching.finish()
    seconds = IndexSeconds(
        run.read_seconds, run.describe_seconds, batching.seconds, time.perf_counter() - started
    )
    roots = store.roots
    store.drop_unused_roots()
    return IndexReport(
        added=run.added,
        updated=run.updated,
        unchanged=run.unchanged,
        renamed={roots.path_of(new): roots.path_of(old) for old, new in run.renamed.items()},
        missing=sorted({roots.path_of(key) for key in {*gone, *missing} - run.renamed.keys()}),
        forgotten=sorted(roots.path_of(key) for key in missing) if options.forget_missing else [],
        broken=sorted([*scanned.broken, *run.broken], key=lambda file: file.path),
        warned=run.warned,
        passed_over=scanned.passed_over,
        left_out=scanned.left_out,
        annotated=len(values),
        unmatched=unmatched,
        notes=store.roots.notes(),
        seconds=seconds,
    )


def _exclude(kept: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Returns the patterns to keep; an empty one forgets those before it.

    Raises:
        InvalidInput: One cannot be understood.
    """
    patterns = [*kept, *given]
    while "" in patterns:
        patterns = patterns[patterns.index("") + 1 :]
    # The last of equal ones: what stands later takes back what stands before it.
    return Exclusion(tuple(reversed(dict.fromkeys(reversed(patterns))))).patterns


def _batching(
    store: Store, known: Mapping[Key, StoredPhoto], values: Mapping[Key, Mapping[str, Value]]
) -> Batching:
    """Returns what collects rows, with the user's values of every photo as they shall be."""
    names = metadata_names(store.schema)
    held: dict[Key, dict[str, Value]] = {}
    if names:
        for row in store.table([*KEY_COLUMNS, *names]).to_pylist():
            held[Key(row["root"], row["path"])] = {name: row[name] for name in names}
    wanted = {key: held.get(key, {}) | dict(row) for key, row in values.items()}
    stale = {key for key, row in wanted.items() if row != held.get(key, {})}
    return Batching(store, held | wanted, values, {key: photo.id for key, photo in known.items()}, stale)


def _divide(
    store: Store, known: Mapping[Key, StoredPhoto], paths: Sequence[str | Path]
) -> tuple[list[str], list[Key]]:
    """Returns the given paths that exist, and the collection's photos under those that do not.

    The latter are never forgotten: a whole folder that is not there, or is empty, is more often a disk that
    is not.
    """
    present: list[str] = []
    gone: list[Key] = []
    for given in paths:
        address = spelled(given)
        path = address if is_address(address) else str(on_disk(Path(given)))
        is_there = is_file(path) or is_folder(path) if is_address(path) else exists(path)
        lost = [] if is_there and not is_empty(path) else keys_under(store, known, [path])
        if not is_there and not lost:
            # Of an address, listing it says why.
            _ = scan([path])
            raise InvalidInput(f"there is no file or folder {printable(path)}")
        gone += lost
        if not lost:
            present.append(canonical(path))
    return present, gone


def _named(
    store: Store, known: Mapping[Key, StoredPhoto], scanned: Scan, present: Iterable[str]
) -> dict[Key, PhotoFile]:
    """Returns the photos to look at by key, after committing the roots they need."""
    roots = store.roots
    for folder in dict.fromkeys(photo.folder for photo in scanned.photos):
        roots = roots.including(folder)
    store.write_header(replace(store.header, roots=roots.stored))
    photos = {}
    for photo in scanned.photos:
        key, target = roots.key_of(photo.path), roots.key_of(photo.target)
        if key is not None and target is not None and key not in known and target in known:
            # A link to a photo that is in the collection already would be its double.
            photos[target] = replace(photo, path=photo.target)
        elif key is not None:
            photos[key] = photo
    # What walking passes over (an unusual suffix, a hidden file) but was once given by itself.
    exclusion = Exclusion(store.header.exclude)
    targets = {photo.target for photo in scanned.photos}
    for folder in filter(is_folder, present):
        for key in keys_under(store, known, [folder]):
            path = roots.path_of(key)
            if key in photos or not roots.is_here(key) or exclusion.leaves_out(path, folder):
                continue
            # Behind a link lies a photo that was met by itself now.
            if (path if is_address(path) else os.path.realpath(path)) not in targets:
                photos[key] = PhotoFile(path, folder, path)
    return photos


def _values(
    store: Store, metadata: Mapping[str, Mapping[str, Value]], photos: Mapping[Key, PhotoFile]
) -> tuple[dict[Key, Mapping[str, Value]], list[str]]:
    """Returns the user's values by key, after committing the columns they need, and paths of no photo."""
    by_path = {photo.target: key for key, photo in photos.items()}
    by_path |= {photo.path: key for key, photo in photos.items()}
    rows, unmatched = {}, []
    for path, row in metadata.items():
        key = by_path.get(canonical(on_disk(Path(path))))
        if key is None:
            unmatched.append(path)
        else:
            rows[key] = row
    store.add_columns(new_columns(rows.values(), store.schema))
    names = set(store.schema.names)
    return {key: {name: row[name] for name in row if name in names} for key, row in rows.items()}, unmatched


@final
@dataclass(slots=True)
class _Run:
    """One run of `update`: what it has counted so far.

    Attributes:
        photos: Those to look at.
        named: Paths that were given by themselves: such a file is read again, whatever its time says.
        renamed: New keys by old ones.
    """

    store: Store
    model: Model
    known: Mapping[Key, StoredPhoto]
    batching: Batching
    photos: Mapping[Key, PhotoFile]
    named: set[str]
    options: IndexOptions
    progress: Progress | None
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    broken: list[BrokenPhoto] = field(default_factory=list)
    warned: list[BrokenPhoto] = field(default_factory=list)
    vanished: set[Key] = field(default_factory=set)
    renamed: dict[Key, Key] = field(default_factory=dict)
    by_hash: dict[bytes, list[Key]] = field(default_factory=dict)
    read_seconds: float = 0.0
    describe_seconds: float = 0.0

    def describe(self) -> None:
        """Describes what is new or changed, and commits it batch by batch."""
        waiting = {key: photo.path for key, photo in self.photos.items() if not self._same(key, photo)}
        for key, photo in self.known.items():
            if photo.hash is not None:
                self.by_hash.setdefault(photo.hash, []).append(key)
        contents = {
            known.hash: known.id
            for known in self.known.values()
            if known.hash is not None and not self._another_try(known)
        }
        total = len(self.photos)
        # The second round is for files whose bytes a row described until this very run described it anew.
        for described in (contents, {}):
            left = dict(waiting)
            extractions = self.options.extractor(
                waiting.values(),
                self.model,
                workers=self.options.workers,
                known=described.keys(),
                given=self.options.described,
                max_pixels=self.options.max_pixels,
                memory=self.options.memory,
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

    def _same(self, key: Key, photo: PhotoFile) -> bool:
        """Returns whether a file looks as when it was described, and counts it if so."""
        path = photo.path
        known = self.known.get(key)
        if self.options.again or path in self.named:
            return False
        if known is None or known.hash is None or self._another_try(known):
            return False
        try:
            stamp = photo.stamp or stamp_of(path)
        except OSError:
            # Reading the file gives the reason.
            return False
        if (stamp.size, stamp.modified_ns) != (known.file_size, known.modified_ns):
            return False
        self._count(key, path, known.hash, known.broken)
        return True

    def _another_try(self, known: StoredPhoto) -> bool:
        """Returns whether a broken photo may be readable now: the limit on pixels is above the default."""
        return known.broken is not None and self.options.max_pixels > MAX_PIXELS

    def _collect(self, key: Key, extraction: Extraction, described: Mapping[bytes, int]) -> bool:
        """Returns whether there is something to commit for a file, after handing it to the batch."""
        self.read_seconds += extraction.read_seconds
        self.describe_seconds += extraction.describe_seconds
        content, features = extraction.content, extraction.features
        path = self.photos[key].path
        if extraction.warning is not None:
            self.warned.append(BrokenPhoto(printable(path), extraction.warning))
        if content is not None and content.hash in described:
            self.batching.capture(key, extraction.capture)
            self.batching.copies[key] = content, described[content.hash]
            self._recognise(key, content.hash)
            return True
        if content is None and not exists(path):
            if key in self.known:
                self.vanished.add(key)
            else:
                self.broken.append(BrokenPhoto(path, "it has disappeared"))
            return False
        if features is not None:
            self.batching.capture(key, extraction.capture)
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

    def _recognise(self, key: Key, digest: bytes) -> None:
        """Notes a new photo as a known one that is no longer where it was, whose metadata move along.

        Nor is one a photo of its own that was met behind a link, and now by itself.
        """
        if key in self.known:
            return
        roots = self.store.roots
        for old in self.by_hash[digest]:
            if old in self.photos or old in self.renamed:
                continue
            if not roots.is_here(old) or os.path.realpath(roots.path_of(old)) == self.photos[key].target:
                self.renamed[old] = key
                values = self.batching.values
                values[key] = values.get(old, {}) | values.get(key, {})
                return

    def _stored(self, features: ImageFeatures) -> LocalFeatures | None:
        """Returns local features as the model's codec stores them."""
        return None if features.local is None else self.model.codec.encode(features.local)

    def _commit(self, left: dict[Key, str]) -> None:
        committed = self.batching.commit()
        for row in committed:
            self._count(row.key, left.pop(row.key), row.hash, row.broken)
        new = {row.key for row in committed}
        ids = [self.known[old].id for old, key in self.renamed.items() if key in new]
        self.store.drop(np.array(ids, dtype=np.int64))

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

    def missing(self, present: Iterable[str], unlisted: Sequence[str]) -> list[Key]:
        """Returns the keys of known photos under the given folders that are no longer among their photos.

        What lies below a folder that cannot be listed is not among them.
        """
        folders = list(filter(is_folder, present))
        under = set(keys_under(self.store, self.known, folders)) - self.photos.keys() - self.renamed.keys()
        hidden = set(keys_under(self.store, self.known, unlisted))
        roots, exclusion = self.store.roots, Exclusion(self.store.header.exclude)
        lost = {
            key
            for key in under - hidden
            if not roots.is_here(key)
            or any(exclusion.leaves_out(roots.path_of(key), folder) for folder in folders)
        }
        return sorted(lost | self.vanished)
