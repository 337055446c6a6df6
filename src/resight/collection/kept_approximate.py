"""The approximate index of a collection: files in its folder, which follow its table.

The head (`resight.collection.kept_head`) names them, with their checksums and the version of the table.
Nothing in it is believed that the sizes of the files, the checksums and the header of the collection do not
bear out; an index that is damaged, foreign or behind is made anew by the next writer, and is not searched.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Float16, Int64

from resight.collection.kept import ExactKept, exact_bytes
from resight.collection.kept_head import Head, index_folder, new_name, read_head, remove_unnamed, write_head
from resight.collection.lance_errors import writing
from resight.collection.resident import follow_rows, rows_of
from resight.collection.schema import metadata_names
from resight.collection.store import SEARCHABLE, Store
from resight.errors import CollectionDamaged, InvalidInput, StorageFailed
from resight.files import Progress, silent, write_whole
from resight.search.approximate.building import Built, build, held_bytes
from resight.search.approximate.codes import Codes
from resight.search.approximate.index import ApproximateIndex
from resight.search.approximate.measuring import MEASURED_K, map_loss, measured_recall, true_neighbours
from resight.search.approximate.part import Block, Part, write_codes, write_rows
from resight.search.index import SearchChoice, SearchFigures

__all__ = ["AUTO_FROM", "ApproximateKept", "is_usable"]

AUTO_FROM = 50_000
"""Photos from which an approximate index is tried: fewer are scanned in a few milliseconds."""

MOST_PARTS = 4
"""Parts that a search looks at; more are merged."""

MEASURED_AGAIN = 0.1
"""Share of the photos that have come or gone, from which the recall is measured again."""

SLACK = 0.01
"""The recall may fall by so much before the index is built anew: it is measured on a sample."""

BUILT_AGAIN = 2.0
"""Times as many photos as when it was built, from which the index is built anew."""

QUERIES = 100
_TRIES = 3
_EXACTLY = "searches are exact until the next `resight index` makes it anew"


_Source = tuple[tuple[str, int, int], Part, Bool[np.ndarray, " n"]]
"""A part's name, rows and checksum; the part; which rows of it are kept."""


@final
class ApproximateKept:
    """Keeps an approximate index where it is worth it; else nothing, and the search is exact.

    Args:
        choice: Memory and recall.
    """

    def __init__(self, choice: SearchChoice) -> None:
        self._choice = choice

    def build(self, store: Store, progress: Progress) -> SearchFigures:
        """Returns what was measured of a new index.

        Raises:
            InvalidInput: Nothing that fits the memory reaches the recall.
            CollectionError: The table cannot be read, or the index not written.
        """
        if self._choice.label not in ("", *metadata_names(store.schema)):
            raise InvalidInput(f"the collection has no metadata column {self._choice.label!r} of labels")
        count = store.count_searchable()
        if count < AUTO_FROM:
            self._require_memory(store, count)
            self.remove(store)
            return ExactKept().build(store, progress)
        folder = index_folder(store)
        with writing(store.path):
            folder.mkdir(exist_ok=True)
            remove_unnamed(folder, read_head(store))
            place = folder / new_name(folder)
            built = _built(store, place, count, self._choice, progress)
            if built.codes is None:
                self.remove(store)
                return built.figures
            trained = _write_trained(folder, place.name, built.codes)
            part = _named(place, built.codes, count)
            head = Head(store.version, trained, (part,), tuple(built.efforts), count, 0)
            write_head(store, head)
            remove_unnamed(folder, head)
        return self._with_loss(store, head, built.figures)

    def update(self, store: Store) -> SearchFigures | None:
        """Brings the files to the latest version of the table; see `KeptIndex.update`.

        Raises:
            CollectionError: The table cannot be read, or the index not written.
        """
        head = read_head(store)
        if head is not None and head.version == store.version:
            return None
        if head is None:
            return self._from_nothing(store)
        try:
            with writing(store.path):
                index = _opened(store, head)
                store.read(partial(follow_rows, index, version=head.version))
                head = _persisted(store, head, index, head.changed + _changes(index))
                index = _opened(store, head)
                write_head(store, head)
                remove_unnamed(index_folder(store), head)
        except CollectionDamaged:
            self.remove(store)
            return self._built_or_exact(store)
        except StorageFailed:
            # A removal must take its photos off a full disk: the index goes as a whole, to be built again.
            self.remove(store)
            return SearchFigures("exact", 1.0)
        return self._measured_again(store, head, index)

    def stamp(self, store: Store) -> None:
        """Says that the index is that of the latest version, which differs from the last one by no photo.

        Raises:
            CollectionError: It cannot be written.
        """
        head = read_head(store)
        if head is not None and head.version != store.version:
            with writing(store.path):
                write_head(store, replace(head, version=store.version))

    def open(self, store: Store) -> ApproximateIndex | None:
        """Returns the index; None where there is none that can be used."""
        for _ in range(_TRIES):
            head = read_head(store)
            if head is None or head.version > store.version:
                return None
            try:
                index = _opened(store, head)
                if head.version < store.version:
                    # A writer is at work, or was killed.
                    store.read(partial(follow_rows, index, version=head.version))
                return index
            except CollectionDamaged:
                # A writer may have removed a file after the head was read, and then the head is another.
                if read_head(store) == head:
                    return None
        return None

    def differences(self, store: Store) -> list[str]:
        """Returns what of the files is damaged, or differs from the table, one sentence each."""
        measured, head = store.header.search_figures, read_head(store)
        if head is None:
            if measured is None or measured.kind == "exact":
                return []
            return [f"the search index is missing or damaged: {_EXACTLY}"]
        try:
            index = _opened(store, head)
            for part in index.parts:
                part.check(np.arange(index.codes.lists))
            store.read(partial(follow_rows, index, version=head.version))
            different = store.read(partial(_different, index))
        except CollectionDamaged as error:
            return [f"{error}: {_EXACTLY}"]
        if different:
            return [f"the search index has other descriptors of {different:,} photos: {_EXACTLY}"]
        return []

    def remove(self, store: Store) -> None:
        """Removes all files.

        Raises:
            StorageFailed: The disk refuses it.
        """
        with writing(store.path):
            if (index_folder(store)).is_dir():
                shutil.rmtree(index_folder(store))

    def _with_loss(self, store: Store, head: Head, figures: SearchFigures) -> SearchFigures:
        """Returns figures with the loss in mean average precision, where photos have labels."""
        label = self._choice.label
        if label not in metadata_names(store.schema):
            return figures
        index = _opened(store, head)
        table = store.table([label], where=SEARCHABLE)
        labels = dict(zip(table["_rowid"].to_pylist(), table[label].to_pylist(), strict=True))
        return replace(figures, map_loss=map_loss(index, labels))

    def _from_nothing(self, store: Store) -> SearchFigures | None:
        """Builds an index where there is none: the collection has grown, or the files were damaged."""
        count = store.count_searchable()
        measured = store.header.search_figures
        if count < AUTO_FROM:
            self.remove(store)
            return None if measured is None or measured.kind == "exact" else ExactKept().build(store, silent)
        if measured is not None and measured.kind == "exact" and measured.bytes is not None:
            # Exact was the better one: it is compared again when there are twice as many photos.
            before = measured.bytes / (2 * store.header.dim + 8)
            if before >= AUTO_FROM and count < BUILT_AGAIN * before:
                return None
        return self._built_or_exact(store)

    def _built_or_exact(self, store: Store) -> SearchFigures:
        """Returns the figures of a new index; of an exact search where none meets the choice any more."""
        try:
            return self.build(store, silent)
        except InvalidInput:
            # Of a choice that was made for fewer photos: `info` has the figures.
            return ExactKept().build(store, silent)

    def _measured_again(self, store: Store, head: Head, index: ApproximateIndex) -> SearchFigures | None:
        """Returns new figures after many changes, of an index built anew where it misses too many."""
        measured, count = store.header.search_figures, len(index)
        if count < AUTO_FROM or count > BUILT_AGAIN * head.built:
            return self._built_again(store, head, index)
        held = held_bytes(index.codes, count)
        if head.changed < MEASURED_AGAIN * count or measured is None:
            return None if measured is None else replace(measured, bytes=held)
        found = _recall(index)
        if found < self._choice.recall - SLACK:
            return self._built_again(store, head, index)
        head = replace(head, changed=0)
        with writing(store.path):
            write_head(store, head)
        return self._with_loss(store, head, replace(measured, recall=found, bytes=held))

    def _built_again(self, store: Store, head: Head, index: ApproximateIndex) -> SearchFigures | None:
        """Returns the figures of an index built anew, or of this one where none meets the choice any more."""
        try:
            return self.build(store, silent)
        except InvalidInput:
            measured = store.header.search_figures
            head = replace(head, changed=0, built=len(index))
            with writing(store.path):
                write_head(store, head)
                remove_unnamed(index_folder(store), head)
            if measured is None:
                return None
            held = held_bytes(index.codes, len(index))
            return self._with_loss(store, head, replace(measured, recall=_recall(index), bytes=held))

    def _require_memory(self, store: Store, count: int) -> None:
        """Returns if an exact search fits the memory.

        Raises:
            InvalidInput: It does not.
        """
        held, memory = exact_bytes(store, count), self._choice.memory
        if memory is not None and held > memory:
            raise InvalidInput(
                f"{count:,} photos are searched exactly (there is an index from {AUTO_FROM:,} on), which "
                f"takes {held:,} bytes of memory, and {memory:,} are allowed: allow more, or leave the "
                "memory out"
            )


def is_usable(store: Store) -> bool:
    """Returns whether there is an index of this version of the table, or of one that is being written."""
    head = read_head(store)
    if head is None or head.version > store.version:
        return head is not None
    try:
        _opened(store, head)
    except CollectionDamaged:
        return False
    return True


def _built(store: Store, place: Path, count: int, choice: SearchChoice, progress: Progress) -> Built:
    header = store.header

    def rows() -> Iterator[tuple[Int64[np.ndarray, " n"], Float16[np.ndarray, "n dim"]]]:
        for batch in store.scan(["descriptor"], where=SEARCHABLE):
            yield rows_of(batch)

    return build(place, rows, count, header.dim, choice, fingerprint=header.fingerprint, progress=progress)


def _opened(store: Store, head: Head) -> ApproximateIndex:
    """Returns the index of files.

    Raises:
        CollectionDamaged: A file is missing, damaged or another.
    """
    folder, dim = index_folder(store), store.header.dim
    name, kind, lists, checksum = head.trained
    try:
        data = (folder / name).read_bytes()
        numbers = np.frombuffer(data, "<f4")
        if zlib.crc32(data) != checksum:
            raise CollectionDamaged(f"the file {folder / name} is damaged")
        codes = Codes(kind, numbers[: lists * dim].reshape(lists, dim), numbers[lists * dim :])  # type: ignore[arg-type]
    except (OSError, ValueError, InvalidInput) as error:
        raise CollectionDamaged(f"the file {folder / name} cannot be used: {error}") from None
    parts = []
    for name, rows, expected in head.parts:
        part = Part.open(folder / name, codes, rows)
        if part.checksum() != expected:
            raise CollectionDamaged(f"the file {folder / name}.rows is damaged")
        parts.append(part)
    return ApproximateIndex(codes, parts, head.efforts, fingerprint=store.header.fingerprint)


def _persisted(store: Store, head: Head, index: ApproximateIndex, changed: int) -> Head:
    """Writes parts anew that have lost rows, and one of what was added; returns the head that names them."""
    folder, codes = index_folder(store), index.codes
    kept: list[_Source] = []
    worn: list[_Source] = []
    for named, part, gone in zip(head.parts, index.parts, index.gone, strict=True):
        if gone.all():
            continue
        (worn if gone.any() else kept).append((named, part, ~gone))
    # A part that has lost rows is written anew by itself; small ones are written together with what is new.
    new: list[tuple[str, int, int]] = []
    for _, part, mask in worn:
        new.append(_written(folder, codes, [(part, mask)], None))
    added = index.added
    if len(added):
        size = len(added)
        small = sorted(kept, key=lambda one: one[0][1])
        together: list[_Source] = []
        while small and (len(kept) + len(new) - len(together) >= MOST_PARTS or small[0][0][1] < size):
            together.append(small.pop(0))
        kept = [one for one in kept if not any(one[0] == other[0] for other in together)]
        sources = [(part, mask) for _, part, mask in together]
        new.append(_written(folder, codes, sources, index))
    parts = (*(named for named, _, _ in kept), *new)
    return replace(head, version=store.version, parts=parts, changed=changed)


def _written(
    folder: Path,
    codes: Codes,
    sources: Sequence[tuple[Part, np.ndarray]],
    index: ApproximateIndex | None,
) -> tuple[str, int, int]:
    """Writes a part of rows of others, and of what an index was given since."""

    def blocks() -> Iterator[Block]:
        for part, mask in sources:
            yield from part.blocks(mask)
        if index is not None:
            ids = index.added.ids
            for start in range(0, len(ids), 8192):
                some = ids[start : start + 8192]
                rows = index.added.descriptors(some)
                yield Block(np.array(some), codes.assign(rows), rows.astype(np.float16))

    counts = np.zeros(codes.lists, dtype=np.int64)
    for block in blocks():
        counts += np.bincount(block.lists, minlength=codes.lists)
    place = folder / new_name(folder)
    write_rows(place, codes, counts, blocks())
    write_codes(place, codes, counts)
    return _named(place, codes, int(counts.sum()))


def _named(place: Path, codes: Codes, rows: int) -> tuple[str, int, int]:
    return place.name, rows, Part.open(place, codes, rows).checksum()


def _different(index: ApproximateIndex, store: Store) -> int:
    """Returns how many photos have another descriptor in an index than in the table, or none in one."""
    ids, alike, rows = index.ids, 0, 0
    for batch in store.scan(["descriptor"], where=SEARCHABLE):
        own, halves = rows_of(batch)
        held = np.isin(own, ids)
        same = (index.descriptors(own[held]) == halves[held].astype(np.float32)).all(axis=1)
        alike, rows = alike + int(np.count_nonzero(same)), rows + len(own)
    return max(rows, len(ids)) - alike


def _changes(index: ApproximateIndex) -> int:
    return len(index.added) + sum(int(np.count_nonzero(gone)) for gone in index.gone)


def _recall(index: ApproximateIndex) -> float:
    """Returns the recall of ten answers, measured on photos evenly spread."""
    ids = np.sort(index.ids)
    own = ids[np.linspace(0, len(ids) - 1, QUERIES).astype(np.int64)]
    queries = index.descriptors(own)
    efforts, index.efforts = index.efforts, []
    true = true_neighbours(index, queries, own, MEASURED_K)
    return measured_recall(index, efforts, queries, own, true)


def _write_trained(folder: Path, name: str, codes: Codes) -> tuple[str, str, int, int]:
    data = codes.centroids.astype("<f4").tobytes() + codes.trained.astype("<f4").tobytes()
    write_whole(folder / f"{name}.trained", data)
    return f"{name}.trained", codes.kind, codes.lists, zlib.crc32(data)
