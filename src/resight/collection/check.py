"""Whether a collection can be trusted: what is stored is whole, and photos find themselves."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import numpy as np
import pyarrow as pa

from resight.collection.checksum import damaged_rows
from resight.collection.header import FORMAT
from resight.collection.kept import kept_index
from resight.collection.resident import ResidentIndex
from resight.collection.roots import Key, without_access
from resight.collection.store import Store
from resight.collection.stored_photos import has_changed
from resight.collection.sums import SUMS_NAME
from resight.errors import CollectionDamaged, InvalidInput, MissingExtra, ModelError, SearchUnreachable
from resight.features import LocalFeatures
from resight.files import Progress, is_empty, is_folder
from resight.models.extract import extract
from resight.models.model import Model

__all__ = ["CheckReport", "check_collection"]

CHECK_ROWS = 256
NORM_TOLERANCE = 2e-3
"""Rounding to float16 changes a unit length by at most 2**-11 and a little for subnormal numbers."""

SELF_TOLERANCE = 1e-4
"""How much better than a photo's own row another may score: a copy of it, described in another batch."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `Collection.check` found.

    Attributes:
        rows: Rows read.
        sampled: Photos described anew and searched.
        problems: What is wrong with the collection, one sentence each; empty when it can be trusted.
        notes: What has happened to the photos since they were described: files missing or changed.
    """

    rows: int
    sampled: int
    problems: list[str]
    notes: list[str]


def check_collection(
    store: Store,
    resident: ResidentIndex,
    load_model: Callable[[], Model],
    *,
    sample: int,
    progress: Progress | None,
) -> CheckReport:
    """Returns what is wrong with a collection; `Collection.check` says what is looked at.

    Raises:
        InvalidInput: ``sample`` is negative.
    """
    if sample < 0:
        raise InvalidInput(f"sample must be at least 0, not {sample}")
    check = _Check(store, progress)
    check.checksums()
    try:
        store.read(check.rows)
        store.read(check.data_files)
    except CollectionDamaged as error:
        check.problems.append(str(error))
        return check.report(0)
    check.duplicates()
    check.search_index()
    photos = check.files()
    sampled = [
        photos[place] for place in np.linspace(0, len(photos) - 1, min(sample, len(photos))).astype(int)
    ]
    try:
        model = load_model()
    except ModelError as error:
        check.problems.append(str(error))
        return check.report(0)
    return check.report(check.themselves(sampled, model, resident))


@dataclass(frozen=True, slots=True)
class _Photo:
    id: int
    key: Key
    hash: bytes
    stamp: tuple[int | None, int | None]


@final
@dataclass(slots=True)
class _Check:
    store: Store
    progress: Progress | None
    photos: list[_Photo] = field(default_factory=list)
    keys: Counter[Key] = field(default_factory=Counter)
    damaged: set[Key] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def checksums(self) -> None:
        """Notes a collection whose damage cannot be told from what was written."""
        missing = f"it has format {self.store.header.format}" if self.store.header.format < FORMAT else None
        if missing is None and not self.store.has_sums():
            missing = f"its file {SUMS_NAME} is gone"
        if missing is not None:
            command = f"resight index PHOTOS --collection {shlex.quote(str(self.store.path))}"
            self.notes.append(
                f"not all of the collection has checksums ({missing}), so damage may not be noticed: the "
                f"next `{command}` adds them and describes no photo again"
            )

    def rows(self, store: Store) -> None:
        """Reads every row and looks at what it holds; starts afresh when called again."""
        self.photos, self.problems, self.keys, self.damaged = [], [], Counter(), set()
        stored = store.schema.field("descriptor").type
        if stored.list_size != store.header.dim:
            self.problems.append(
                f"descriptors have {stored.list_size} dimensions, the header says {store.header.dim}"
            )
        total, done = store.count(), 0
        for batch in store.scan(store.schema.names, batch_rows=CHECK_ROWS):
            self._batch(batch)
            done += batch.num_rows
            if self.progress is not None:
                self.progress(done, total)

    def _batch(self, batch: pa.RecordBatch) -> None:
        columns = [
            batch[name].to_pylist()
            for name in (*("_rowid", "root", "path", "hash", "file_size", "modified_ns", "broken"),)
        ]
        damaged = damaged_rows(batch)
        for place, (row_id, root, path, digest, size, modified, broken) in enumerate(
            zip(*columns, strict=True)
        ):
            key = Key(root, path)
            self.keys[key] += 1
            if damaged[place]:
                self.damaged.add(key)
            if broken is None and self._is_complete(batch, place, key):
                self.photos.append(_Photo(row_id, key, digest, (size, modified)))

    def _is_complete(self, batch: pa.RecordBatch, place: int, key: Key) -> bool:
        """Returns whether the row of a photo that is not broken has all it needs, after looking at that."""
        stored, local = batch["descriptor"][place], batch["local"][place]
        if not stored.is_valid or not all(batch[name][place].as_py() for name in ("hash", "width", "height")):
            self._problem(key, f"the row of {key.path} is incomplete")
            return False
        self._vector(key, stored.values.to_numpy().astype(np.float32))
        if local.is_valid:
            try:
                LocalFeatures.from_bytes(local.as_buffer().to_pybytes())
            except InvalidInput as error:
                self._problem(key, f"the local features of {key.path} cannot be read: {error}")
        return True

    def _vector(self, key: Key, descriptor: np.ndarray) -> None:
        if not np.isfinite(descriptor).all():
            self._problem(key, f"the descriptor of {key.path} holds numbers that are not finite")
            return
        norm = float(np.linalg.norm(descriptor))
        if abs(norm - 1.0) > NORM_TOLERANCE:
            self._problem(key, f"the descriptor of {key.path} has length {norm:.4f}, not 1")

    def _problem(self, key: Key, sentence: str) -> None:
        self.problems.append(sentence)
        self.damaged.discard(key)

    def data_files(self, store: Store) -> None:
        """Compares data files with their checksums: damage may lie where no row has its bytes."""
        sums = dict(store.header.files)
        for name in store.files():
            is_whole = name not in sums or store.sum_of(name) in (None, sums[name])
            if not is_whole and not (self.problems or self.damaged):
                self.problems.append(
                    f"the file {name} is damaged, though its rows are whole: restore the collection from a "
                    "copy, or index the photos into a new one"
                )

    def duplicates(self) -> None:
        """Looks for photos with two rows, and rows without a root."""
        for key, count in self.keys.items():
            if count > 1:
                self.problems.append(f"{key.path} has {count} rows, not one")
        known = {root.number for root in self.store.roots}
        for number in sorted({key.root for key in self.keys} - known):
            self.problems.append(f"rows lie in the folder number {number}, which the header does not know")
        self.photos = [photo for photo in self.photos if photo.key.root in known]

    def search_index(self) -> None:
        """Compares the rows of the search index with the table's."""
        try:
            self.problems += kept_index(self.store.header.search_choice, self.store.path).differences(
                self.store
            )
        except (SearchUnreachable, MissingExtra) as error:
            self.problems.append(str(error))

    def files(self) -> list[_Photo]:
        """Returns the photos whose files are there and unchanged by size and time; notes the others.

        As indexing does, a file of another size or time is changed only if its bytes are.
        """
        same, roots = [], self.store.roots
        self.notes += roots.notes()
        # What is said of a folder that is gone or empty holds for all its photos.
        folders = {root.number: roots.folder(root.number) for root in roots if roots.is_known_here(root)}
        there = {number for number, folder in folders.items() if is_folder(folder) and not is_empty(folder)}
        for photo in self.photos:
            path = roots.path_of(photo.key)
            if photo.key.root in there and (reason := roots.refused(photo.key)):
                self.notes.append(without_access(path, reason))
            elif roots.is_here(photo.key):
                if has_changed(path, *photo.stamp, photo.hash):
                    self._note_changed(path, self._index(photo.key))
                else:
                    same.append(photo)
            elif photo.key.root in there:
                self.notes.append(
                    f"{path} is missing: `{self._index(photo.key)}` finds it where it was renamed, and "
                    "forgets it with --forget-missing"
                )
        return same

    def _note_changed(self, path: str, command: str) -> None:
        self.notes.append(f"{path} has changed since it was described: `{command}` describes it again")

    def _index(self, key: Key) -> str:
        """Returns the command that brings the folder of a photo up to date."""
        folder = shlex.quote(self.store.roots.folder(key.root))
        return f"resight index {folder} --collection {shlex.quote(str(self.store.path))}"

    def themselves(self, photos: list[_Photo], model: Model, resident: ResidentIndex) -> int:
        """Describes photos anew and searches for them; returns how many were unchanged and so could be."""
        try:
            resident.current()
        except CollectionDamaged as error:
            self.problems.append(str(error))
            return 0
        roots, sampled = self.store.roots, 0
        paths = [roots.path_of(photo.key) for photo in photos]
        for done, (photo, extraction) in enumerate(zip(photos, extract(paths, model), strict=True), 1):
            path = str(extraction.path)
            if extraction.content is None or extraction.content.hash != photo.hash:
                # Its size and time are those it had.
                self._note_changed(path, f"{self._index(photo.key)} --again")
            elif extraction.features is None:
                reason = f"could be described once and cannot be now: {extraction.reason}"
                self._problem(photo.key, f"{path} {reason}")
            else:
                sampled += 1
                self._search(photo, path, extraction.features.descriptor, resident)
            if self.progress is not None:
                self.progress(done, len(photos))
        return sampled

    def _search(self, photo: _Photo, path: str, descriptor: np.ndarray, resident: ResidentIndex) -> None:
        with resident.lock:
            index = resident.current()
            ids, scores = index.search(descriptor[None], 1).row(0)
            held = photo.id in index.ids
            own = float(index.descriptors(np.array([photo.id]))[0] @ descriptor) if held else float("-inf")
        if not len(ids) or own < float(scores[0]) - SELF_TOLERANCE:
            self._problem(
                photo.key,
                f"{path} does not find itself: its own score is {own:.4f}, "
                f"the best is {float(scores[0]):.4f}",
            )

    def report(self, sampled: int) -> CheckReport:
        """Returns the report."""
        damaged = [
            f"the row of {key.path} is damaged: its checksum is another; index that photo again"
            for key in sorted(self.damaged)
        ]
        return CheckReport(sum(self.keys.values()), sampled, self.problems + damaged, self.notes)
