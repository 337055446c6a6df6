"""A collection's rows on a Milvus server: sent, kept equal to the table, and proved to be.

The table is the truth. What was sent is noted in ``search-index/milvus.npz``, and before anything is sent,
that the note no longer holds: a writer that is killed leaves a note that is not whole, and the next writer
asks the server what it has, sends what lacks and removes what is too much. A search uses the server
only by a whole note of the table's version.
"""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Literal, final

import numpy as np
from jaxtyping import Float32, Int64

from resight.collection.checksum import CHECKSUM
from resight.collection.lance_errors import writing
from resight.collection.resident import ResidentIndex, rows_of
from resight.collection.roots import Key
from resight.collection.schema import metadata_names
from resight.collection.store import SEARCHABLE, Store
from resight.errors import CollectionDamaged, InvalidInput, SearchUnreachable
from resight.files import Progress, reading, silent, typed_path, write_whole
from resight.search.approximate.measuring import MEASURED_K, median_milliseconds, recall, true_neighbours
from resight.search.index import SearchChoice, SearchFigures
from resight.search.milvus import MilvusIndex, MilvusTable, Rows
from resight.search.milvus_calls import PATIENCE, require_milvus

__all__ = ["MilvusKept"]

_LOG = logging.getLogger(__name__)

FOLDER, NOTE = "search-index", "milvus.npz"
_Trust = Literal["note", "checksums", "nothing"]
_SENT = 1000
"""Rows that are read from the table and sent together."""
_MEASURED = 32
_SHORT_PATIENCE = 5.0
"""Seconds in which a server that is not used any more may come back."""
_LONGEST_VALUE = 4000
"""Characters of a text that is sent to be filtered by; longer ones stay in the table alone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Note:
    """What is known of the server.

    Attributes:
        address: Of the server.
        name: Of the collection there.
        place: Absolute path of the collection of photos.
        version: Of the table, whose rows the server has.
        whole: Whether nothing else was sent since.
        ids: int64 ``(n,)``, of the rows there, ascending.
        checksums: int64 ``(n,)``.
    """

    address: str
    name: str
    place: str
    version: int
    whole: bool
    ids: Int64[np.ndarray, " n"]
    checksums: Int64[np.ndarray, " n"]


@final
class MilvusKept:
    """Keeps the rows of a collection on a Milvus server; see `resight.collection.kept.KeptIndex`.

    Args:
        choice: The server's address.

    Raises:
        InvalidInput: No Milvus can be there.
        MissingExtra: The extra ``milvus`` is not installed.
    """

    def __init__(self, choice: SearchChoice) -> None:
        require_milvus(choice.address)
        self._address = choice.address

    def build(self, store: Store, progress: Progress) -> SearchFigures:
        """Sends what the server lacks, removes what is too much, and returns what was measured.

        Raises:
            SearchUnreachable: No server answers.
            CollectionError: The table cannot be read.
        """
        self._send(store, self._noted(store), progress, trust="nothing")
        index = self.open(store)
        if index is None:
            raise CollectionDamaged(f"the note of {store.path} on its Milvus server was changed meanwhile")
        return SearchFigures("milvus", *_measured(index, store))

    def update(self, store: Store) -> SearchFigures | None:
        """Sends what has changed since the last time; asks the server what it has after a kill.

        Raises:
            SearchUnreachable: No server answers; the next writer goes on.
            CollectionError: The table cannot be read.
        """
        note = self._noted(store)
        if note is None or note.version != store.version or not note.whole:
            self._send(store, note, silent, trust="checksums" if note is None or not note.whole else "note")
        return None

    def stamp(self, store: Store) -> None:
        """Notes that the rows are those of the latest version."""
        note = self._noted(store)
        if note is not None and note.whole and note.version != store.version:
            _write(store, replace(note, version=store.version))

    def open(self, store: Store) -> MilvusIndex | None:
        """Returns the index; None where the server has not the rows of this version, as while one writes."""
        note = self._noted(store)
        if note is None or not note.whole or note.version != store.version:
            return None
        return MilvusIndex(
            self._table(store, note.name),
            note.ids,
            lambda ids: _descriptors(store, ids),
            lambda: ResidentIndex(store).current(),
            dim=store.header.dim,
            fingerprint=store.header.fingerprint,
        )

    def remove(self, store: Store) -> None:
        """Removes the rows from the server, and the note; where no server answers, the rows stay.

        Raises:
            StorageFailed: The disk refuses.
        """
        note = self._noted(store)
        if note is not None:
            try:
                self._table(store, note.name, patience=_SHORT_PATIENCE).drop()
            except SearchUnreachable as error:
                _LOG.warning("the rows of %s stay there as %s: %s", store.path, note.name, error)
        with writing(store.path):
            (store.path / FOLDER / NOTE).unlink(missing_ok=True)

    def differences(self, store: Store) -> list[str]:
        """Returns in what the rows on the server differ from the table's, a sentence each.

        Ids, checksums and descriptors of all rows are compared.

        Raises:
            SearchUnreachable: No server answers.
        """
        note = self._noted(store)
        if note is None or not note.whole:
            return ["not all of its rows were sent to the search index: `resight check --repair` sends them"]
        table = self._table(store, note.name)
        table.make()
        truth = _Truth(store)
        found, problems = 0, []
        seen = np.zeros(len(truth.ids), bool)
        for rows in table.rows(truth.stop, descriptors=True):
            found += len(rows.ids)
            here = np.isin(rows.ids, truth.ids)
            problems += [f"the search index has a row {row} of no photo" for row in rows.ids[~here]]
            places = np.searchsorted(truth.ids, rows.ids[here])
            seen[places] = True
            same = rows.checksums[here] == truth.checksums[places]
            same &= (rows.descriptors[here] == _descriptors(store, rows.ids[here])).all(axis=1)
            problems += [_sentence(store, row, "has an old state of") for row in rows.ids[here][~same]]
        problems += [_sentence(store, row, "lacks") for row in truth.ids[~seen]]
        if table.count() != found:
            problems.append(f"the search index counts {table.count():,} rows, and gives {found:,}")
        return problems

    def _send(self, store: Store, note: _Note | None, progress: Progress, *, trust: _Trust) -> None:
        """Makes the server's rows those of the table.

        Args:
            store: The table.
            note: What is known of the server.
            progress: Called with rows sent and rows to be sent.
            trust: The note, the checksums of the server's rows, or nothing: then their descriptors are read.
        """
        truth = _Truth(store)
        if note is None or (note.place != str(store.path) and not _has_moved(note.place, store)):
            # A copy of a collection has rows of its own on the server.
            whole, none = False, truth.none
            note = _Note(self._address, _name(store), str(store.path), 0, whole, none, none)
            trust = "checksums" if trust == "note" else trust
        table = self._table(store, note.name)
        _write(store, replace(note, whole=False))
        if not table.make() and trust == "note":
            # What was noted has gone with it.
            trust = "checksums"
        ids, checksums = note.ids, note.checksums
        if trust != "note":
            ids, checksums = _asked(table, store, truth, trust)
        if trust != "note" and table.count() != len(ids):
            # Rows that a killed server has twice: everything is sent anew.
            table.drop()
            table.make()
            ids, checksums = truth.none, truth.none
        table.delete(np.setdiff1d(ids, truth.ids))
        there = np.full(len(truth.ids), -1, np.int64)
        known = np.isin(truth.ids, ids)
        order = np.argsort(ids)
        there[known] = checksums[order][np.searchsorted(ids[order], truth.ids[known])]
        lacking = truth.ids[there != truth.checksums]
        for start in range(0, len(lacking), _SENT):
            table.upsert(*_sent(store, lacking[start : start + _SENT]))
            progress(min(start + _SENT, len(lacking)), len(lacking))
        sent = replace(note, version=store.version, whole=True, ids=truth.ids, checksums=truth.checksums)
        _write(store, replace(sent, place=str(store.path)))

    def _table(self, store: Store, name: str, patience: float = PATIENCE) -> MilvusTable:
        address = self._address
        if "://" not in address:
            # Seen from the folder that holds the collection, wherever the command is given.
            folder = store.path.parent if isinstance(store.path, Path) else Path.cwd()
            address = str(folder.absolute() / typed_path(address))
        return MilvusTable(address, name, store.header.dim, patience=patience)

    def _noted(self, store: Store) -> _Note | None:
        """Returns what is noted of this server; None without a note, or with a damaged or foreign one."""
        path = store.path / FOLDER / NOTE
        try:
            with reading(path, f"the note {path} is damaged"):
                # From memory: numpy leaves a damaged file open.
                file = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
                head = json.loads(str(file["head"]))
                note = _Note(**head, ids=file["ids"], checksums=file["checksums"])
        except InvalidInput:
            return None
        return note if note.address == self._address and note.ids.shape == note.checksums.shape else None


@final
class _Truth:
    """Ids and checksums of the searchable rows of a table, ascending."""

    none = np.empty(0, np.int64)

    def __init__(self, store: Store) -> None:
        table = store.table([CHECKSUM], where=SEARCHABLE)
        ids, checksums = (table[name].to_numpy().astype(np.int64) for name in ("_rowid", CHECKSUM))
        order = np.argsort(ids)
        self.ids, self.checksums = ids[order], checksums[order]

    @cached_property
    def stop(self) -> int:
        """One more than the largest id."""
        return int(self.ids[-1]) + 1 if len(self.ids) else 0


def _asked(
    table: MilvusTable, store: Store, truth: _Truth, trust: _Trust
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Returns ids and checksums of all rows of a server, -1 where a descriptor is not the table's."""
    ids, checksums = [truth.none], [truth.none]
    for part in table.rows(truth.stop, descriptors=trust == "nothing"):
        ids.append(part.ids)
        checksums.append(part.checksums)
        if trust == "nothing":
            here = np.isin(part.ids, truth.ids)
            same = (part.descriptors[here] == _descriptors(store, part.ids[here])).all(axis=1)
            checksums[-1][np.flatnonzero(here)[~same]] = -1
    return np.concatenate(ids), np.concatenate(checksums)


def _sent(store: Store, ids: Int64[np.ndarray, " n"]) -> tuple[Rows, list[dict[str, object]]]:
    """Returns rows of the table as they are sent: with the path and the values that can be filtered by."""
    names = metadata_names(store.schema)
    table = store.rows(ids, ["root", "path", "descriptor", CHECKSUM, *names])
    values = [
        {
            name: value
            for name, value in row.items()
            if value is not None and len(str(value)) <= _LONGEST_VALUE
        }
        for row in table.select(["root", "path", *names]).to_pylist()
    ]
    found, descriptors = [], []
    for batch in table.to_batches():
        part, halves = rows_of(batch)
        found.append(part)
        descriptors.append(halves.astype(np.float32))
    checksums = table[CHECKSUM].to_numpy().astype(np.int64)
    return Rows(np.concatenate(found), checksums, np.concatenate(descriptors)), values


def _descriptors(store: Store, ids: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dim"]:
    """Returns descriptors in the order of ids."""
    result = np.empty((len(ids), store.header.dim), np.float32)
    if len(ids):
        order = np.argsort(ids)
        for batch in store.rows(ids, ["descriptor"]).to_batches():
            found, halves = rows_of(batch)
            result[order[np.searchsorted(ids[order], found)]] = halves
    return result


def _measured(index: MilvusIndex, store: Store) -> tuple[float | None, float | None]:
    """Returns recall@10 of photos of the collection, themselves left out, and the time of a search."""
    exact = ResidentIndex(store).current()
    if not len(exact):
        return None, None
    some = np.unique(np.linspace(0, len(exact) - 1, min(_MEASURED, len(exact))).astype(np.int64))
    ids = exact.ids[some]
    queries = exact.descriptors(ids)
    true, found = (true_neighbours(each, queries, ids, MEASURED_K) for each in (exact, index))
    return recall(found, true), median_milliseconds(index, queries)


def _has_moved(before: str, store: Store) -> bool:
    """Returns whether a collection is no longer where it was; of one in a bucket, that is not asked."""
    return isinstance(store.path, Path) and not before.startswith("s3:") and not Path(before).exists()


def _name(store: Store) -> str:
    """Returns the name of the collection on the server: its own, and another one for a copy of it."""
    digest = blake2b(str(store.path).encode(errors="surrogateescape"), digest_size=4).hexdigest()
    identity = "".join(letter for letter in store.header.identity if letter.isalnum())
    return f"resight_{identity}_{digest}"


def _sentence(store: Store, row: int, what: str) -> str:
    found = store.rows(np.array([row], np.int64), ["root", "path"])
    path = store.roots.path_of(Key(found["root"][0].as_py(), found["path"][0].as_py()))
    return f"the search index {what} {path}: `resight check --repair` mends that"


def _write(store: Store, note: _Note) -> None:
    head = {name: getattr(note, name) for name in ("address", "name", "place", "version", "whole")}
    content = io.BytesIO()
    np.savez(content, head=np.array(json.dumps(head)), ids=note.ids, checksums=note.checksums)
    with writing(store.path):
        (store.path / FOLDER).mkdir(exist_ok=True)
        write_whole(store.path / FOLDER / NOTE, content.getvalue())
