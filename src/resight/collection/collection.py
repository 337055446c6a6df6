"""A collection: made once, brought up to date, searched, trusted."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final, overload

import numpy as np
from jaxtyping import Float32

from resight import models
from resight.collection.answer import Answer, Hit
from resight.collection.header import Header
from resight.collection.lance_errors import asking
from resight.collection.place import collection_path
from resight.collection.query import Query, RefineMethod
from resight.collection.resident import ResidentIndex
from resight.collection.scan import canonical, printable
from resight.collection.schema import Value, require_dim
from resight.collection.searching import Searcher
from resight.collection.store import Store
from resight.collection.stored_photos import described, keys_under, photo_numbers, searchable, stored_photos
from resight.collection.writing import writing
from resight.errors import CollectionError, CollectionNotFound, InvalidInput, StorageFailed
from resight.features import Box, ImageFeatures
from resight.files import (
    ObjectPath,
    Progress,
    is_address,
    is_folder,
    name_key,
    on_disk,
    silent,
    spelled,
    typed_path,
)
from resight.images import MAX_PIXELS, PhotoSource
from resight.models.engines import Engine, with_engine
from resight.models.model import Model
from resight.search.index import SearchChoice

if TYPE_CHECKING:
    from resight.collection.check import CheckReport
    from resight.collection.exported import Exported
    from resight.collection.groups import GroupKind, Groups, KeepRule
    from resight.collection.index_report import IndexReport
    from resight.collection.info import CollectionInfo
    from resight.models.extract import Extractor
    from resight.search.index import SearchFigures

__all__ = ["LOCK_TIMEOUT", "Collection"]

LOCK_TIMEOUT = 10.0
"""Seconds a writer waits for another."""


@final
class Collection:
    """Described photos in a directory. Make one with `create` or `open`.

    Any number of processes and threads may search while one writes; what a writer commits is seen by the next
    search. Photos stay where they are: a collection keeps their paths, descriptors and local features.
    Between calls it holds no lock and no open file, so there is nothing to close, and no ``with``.
    """

    def __init__(
        self,
        store: Store,
        model: Model | None,
        *,
        model_name: str | None = None,
        lock_timeout: float,
        engine: Engine = "torch",
    ) -> None:
        """Takes a model, or the name of one that the user trusts; without either, the header's is loaded."""
        self._opened = store
        self._process = os.getpid()
        self._model = model
        self._model_name = model_name
        self._engine: Engine = engine
        self._lock_timeout = lock_timeout
        self._resident = ResidentIndex(store)

    @classmethod
    def create(
        cls,
        path: str | Path | ObjectPath,
        *,
        model: Model | str | Path,
        lock_timeout: float = LOCK_TIMEOUT,
        engine: Engine = "torch",
    ) -> Collection:
        """Returns a new, empty collection.

        Args:
            path: Its directory, made if it does not exist; or an address, ``s3://bucket/photos.resight``.
            model: Describes all its photos, now and later; a name is loaded by `resight.load_model`.
            lock_timeout: Seconds that writing waits for another writer before it is refused.
            engine: What runs the network of a model that is loaded by its name.

        Raises:
            InvalidInput: There is a collection already, or a folder of other things.
            ModelError: The model cannot be loaded.
            CollectionLocked: Another process is making it.
            StorageFailed: The disk refuses it.
        """
        loaded = model if isinstance(model, Model) else with_engine(models.load_model(model), engine)
        directory = collection_path(path)
        header = Header(uuid.uuid4().hex, loaded.name, loaded.fingerprint, loaded.dim, place=str(directory))
        store = Store.create(directory, header, timeout=lock_timeout)
        return cls(store, loaded, lock_timeout=lock_timeout)

    @classmethod
    def open(
        cls,
        path: str | Path | ObjectPath,
        *,
        model: Model | str | Path | None = None,
        allow_download: bool = False,
        lock_timeout: float = LOCK_TIMEOUT,
        engine: Engine = "torch",
    ) -> Collection:
        """Returns an existing collection.

        Args:
            path: Its directory, or its address in a bucket.
            model: The model that made it, if it is not to be loaded by the name in the header.
            allow_download: Load the model by the name in the header wherever that leads: a model's hub, a
                folder. Without it a bundle or weights that are on this machine are loaded, and no server is
                asked.
            lock_timeout: Seconds that writing waits for another writer before it is refused.
            engine: What runs the network of a model that is loaded by its name, see
                `resight.models.engines.with_engine`.

        Raises:
            CollectionNotFound: There is none.
            CollectionDamaged: It was written by a newer version, or cannot be understood.
            ModelMismatch: It was made with another model. A name is compared when the model is first needed,
                unless it differs from the one in the header.
        """
        store = Store.open(collection_path(path))
        require_dim(store.schema, store.header.dim, str(store.path))
        if model is None and allow_download:
            model = store.header.model
        if model is not None and not isinstance(model, Model):
            if str(model) == store.header.model:
                return cls(store, None, model_name=str(model), lock_timeout=lock_timeout, engine=engine)
            model = with_engine(models.load_model(model), engine)
        if model is not None:
            store.header.require(model, store.path)
        return cls(store, model, lock_timeout=lock_timeout, engine=engine)

    @classmethod
    def open_or_create(
        cls, path: str | Path | ObjectPath, *, model: Model | str | Path, lock_timeout: float = LOCK_TIMEOUT
    ) -> Collection:
        """Returns the collection in a directory, or a new one where there is none.

        Arguments and errors are those of `open` and `create`.
        """
        try:
            return cls.open(path, model=model, lock_timeout=lock_timeout)
        except CollectionNotFound:
            return cls.create(path, model=model, lock_timeout=lock_timeout)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickles the path and the name of the model: another process opens the collection anew."""
        return _reopened, (str(self.path), self._model_name, self._lock_timeout)

    @property
    def _store(self) -> Store:
        if os.getpid() != self._process:
            raise CollectionError(
                f"the collection {self.path} was opened before this process was forked, which neither its "
                "table nor a model's threads survive: open it anew in this process"
            )
        return self._opened

    def __len__(self) -> int:
        """Returns the number of photos that can be searched."""
        self._store.refresh()
        return self._store.count_searchable()

    def __iter__(self) -> Iterator[str]:
        """Yields the absolute paths of the photos that can be searched, in the order of storage."""
        self._store.refresh()
        yield from searchable(self._store)

    def __contains__(self, path: object) -> bool:
        """Returns whether a photo of that path can be searched, in either of Unicode's forms."""
        if not isinstance(path, str | os.PathLike):
            return False
        try:
            (path,) = _photo_paths([path])
        except (InvalidInput, StorageFailed):
            # Another address on the network is no photo here.
            return False
        return name_key(canonical(path)) in {name_key(held) for held in self}

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """Returns the path at a place of the order of storage, or those of a slice."""
        return list(self)[place]

    def __repr__(self) -> str:
        return f"<Collection {self.path} of {self._opened.header.model}>"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from resight._shown import notebook_html

        return notebook_html(self)

    @property
    def path(self) -> Path | ObjectPath:
        """Its directory, absolute, or its address in a bucket."""
        return self._opened.path

    @property
    def model(self) -> Model:
        """The model that describes its photos; loaded when first asked for.

        Raises:
            ModelMismatch: The model of that name has changed since.
            ModelError: It cannot be loaded.
        """
        if self._model is None:
            header, name = self._store.header, self._model_name
            model = (
                models.load_model(name) if name else models.load_recorded(header.model, header.fingerprint)
            )
            self._store.header.require(model, self.path)
            self._model = with_engine(model, self._engine)
        return self._model

    def add(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        metadata: Mapping[str, Mapping[str, Value]] | None = None,
        forget_missing: bool = False,
        again: bool = False,
        exclude: str | Sequence[str] = (),
        described: Mapping[str, ImageFeatures] | None = None,
        regions: int | None = None,
        workers: int | Extractor | None = None,
        max_pixels: int = MAX_PIXELS,
        memory: int | None = None,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Returns what was done to bring the collection up to date with some files and folders.

        New photos are described; those whose size or time changed are hashed, and described again if their
        bytes changed. Files given by themselves are read again in any case. A photo with the bytes of another
        takes over its description; where the other is no longer there, it has been renamed, its metadata
        move along, and its old row goes. Killed at any moment, the next call goes on from the last commit.
        Symbolic links are followed; what they lead to is taken once.

        Args:
            paths: Files and folders. Of a folder, files with a photo's suffix are taken, hidden ones are not.
                Or addresses of a bucket, ``s3://bucket/photos``, for an object or all below it.
            metadata: Values to keep with photos, by path; names not given keep their value, None empties one.
                Those of photos that are not among the given ones are reported and not kept.
            forget_missing: Remove photos that are no longer in the given folders, instead of only reporting
                them. Those of a given path that does not exist itself are kept all the same.
            again: Read every photo again, whatever its size and time say, and describe those whose bytes
                changed or whose rows are damaged.
            exclude: Patterns of files and folders to leave out, as in ``.gitignore``
                (`resight.collection.exclusion.Exclusion`); the collection keeps them for later calls. An
                empty pattern forgets those kept so far. Photos in the collection that are left out now count
                as missing.
            described: What this collection's model says of photos, by absolute path, from elsewhere: these
                are read and not described. Nothing tells another model's descriptors but the first search.
            regions: Bytes a photo for descriptors of its parts, by which small things in it are found
                (`resight.collection.regions`); 0 for none from now on. By default as before: a collection
                with parts describes those of new photos.
            workers: Threads; by default the processors available. Or a cluster: `resight.pipelines.on_ray`.
            max_pixels: Most pixels of a photo that is decoded; larger photos are reported as broken.
            memory: Bytes that photos under way may take beside the model; by default a quarter of the
                machine's, at least 1 GB and what a photo of ``max_pixels`` takes.
            progress: Called with photos done and photos in all, in the calling thread.

        Raises:
            InvalidInput: A path exists neither on the disk nor in the collection, or metadata cannot be kept.
            ModelError: The model cannot be loaded, or is another.
            CollectionLocked: Another process is writing.
            StorageFailed: The disk refuses a write; what was committed before stays.
        """
        from resight.collection.index_report import IndexOptions
        from resight.collection.indexing import update
        from resight.collection.regions import keep_regions
        from resight.models.extract import extract

        patterns = [exclude] if isinstance(exclude, str) else exclude
        options = IndexOptions(
            metadata or {},
            forget_missing=forget_missing,
            again=again,
            exclude=patterns,
            described=described or {},
            workers=workers if isinstance(workers, int) else None,
            max_pixels=max_pixels,
            memory=memory,
            extractor=extract if workers is None or isinstance(workers, int) else workers,
        )
        model = self.model
        with writing(self._store.path, self._model, timeout=self._lock_timeout) as store:
            report = update(store, model, _photo_paths(paths), options, progress)
            keep_regions(store, model, regions, silent if progress is None else progress)
            return report

    def remove(self, paths: str | Path | Iterable[str | Path]) -> int:
        """Returns how many photos were taken out of search and off the collection's disk.

        What a removal that was killed has left is taken off the disk, too.

        Args:
            paths: Files, or folders with all below them; they need not exist any more. The photos themselves
                are not touched.

        Raises:
            InvalidInput: A path is not in the collection; nothing is removed then.
            CollectionLocked: Another process is writing.
            StorageFailed: The disk refuses it.
        """
        from resight.collection.groups import edges_of
        from resight.collection.regions import RegionStore

        with writing(self._store.path, self._model, timeout=self._lock_timeout, removing=True) as store:
            known, pending = stored_photos(store), store.header.purging
            gone = set()
            roots = store.roots
            for path in _photo_paths(paths):
                if isinstance(path, Path):
                    path = on_disk(path)
                exact = roots.key_of(canonical(path))
                # A photo by its own name is no folder, for which all photos are looked at.
                keys = [exact] if exact in known else keys_under(store, known, [path])
                # Of a removal that was killed, nothing but the bytes may be left.
                if not keys and not pending:
                    raise InvalidInput(
                        f"{printable(str(path))} is not in the collection {self.path}: nothing was removed"
                    )
                gone.update(keys)
            store.forget(np.array([known[key].id for key in sorted(gone)], dtype=np.int64))
            store.drop_unused_roots()
            store.finish_forgetting()
            edges = edges_of(store)
            if edges.exists:
                edges.forget_all_but({photo.hash for photo in stored_photos(store).values()})
            parts = RegionStore.of(store)
            if parts is not None:
                parts.forget_all_but({photo.hash for photo in stored_photos(store).values()})
        return len(gone)

    def choose_search(
        self, choice: SearchChoice | str | None = None, *, progress: Progress | None = None
    ) -> SearchFigures:
        """Returns what was measured of the index that the collection is searched by from now on.

        Args:
            choice: ``exact``, ``auto``, ``milvus+URI``, or a `SearchChoice` with a budget; the one it has, to
                be made equal to the rows again, by default.
            progress: Called with steps done and steps in all.

        Raises:
            InvalidInput: The choice cannot be understood or met.
            CollectionLocked: Another process is writing.
            CollectionError: The collection cannot be read, or the index not written.
        """
        from resight.collection.kept import choose_index

        chosen = SearchChoice.parse(choice) if isinstance(choice, str) else choice
        with writing(self._store.path, self._model, timeout=self._lock_timeout) as store:
            chosen = store.header.search_choice if chosen is None else chosen
            return choose_index(store, chosen, silent if progress is None else progress)

    def move_root(self, old: str | Path, new: str | Path) -> None:
        """Follows photos that have moved: whatever lies in the folder ``old`` is now in the folder ``new``.

        Args:
            old: A folder of `info().roots`, or one that holds some of them; also ``s3://bucket/key``.
            new: Where it is now; also an address.

        Raises:
            InvalidInput: No folder of the collection lies there, ``new`` is no folder, or two would overlap.
            CollectionLocked: Another process is writing.
            StorageFailed: The disk or the store refuses it.
        """
        before, target = (
            path if isinstance(path, str) else canonical(path) for path in _photo_paths([old, new])
        )
        if not is_folder(target):
            what = "lies nothing below" if is_address(target) else "is no folder"
            raise InvalidInput(f"there {what} {target}: name the folder that holds the photos now")
        with writing(self._store.path, self._model, timeout=self._lock_timeout) as store:
            roots = store.roots.moved(before, target)
            store.write_header(replace(store.header, roots=roots.stored))

    def descriptors(self) -> tuple[list[str], Float32[np.ndarray, "photos dim"]]:
        """Returns the absolute path of each photo that can be searched, and its descriptor in the same row.

        They are of unit length, as rounded to float16.

        Raises:
            CollectionDamaged: They cannot be read.
        """
        self._store.refresh()
        return described(self._store)

    def exported(self, *, with_local: bool = False) -> Exported:
        """Returns what the collection holds of each photo that can be searched, for files of other tools.

        Args:
            with_local: With local features, which take some hundred times the memory of the descriptors.

        Raises:
            CollectionDamaged: It cannot be read.
            InvalidInput: Local features of a row are damaged.
        """
        from resight.collection.exported import exported

        self._store.refresh()
        return exported(self._store, with_local=with_local)

    def info(self) -> CollectionInfo:
        """Returns the collection in numbers."""
        from resight.collection.info import collection_info

        self._store.refresh()
        return collection_info(self._store)

    def check(self, *, sample: int = 20, progress: Progress | None = None) -> CheckReport:
        """Returns what is wrong with the collection, and which files are missing or have changed.

        Every row is read; descriptors must be finite and of unit length, local features whole, keys unique,
        the model's fingerprint the right one. Some photos, evenly spread, are described anew and must find
        themselves first; a photo of the same score (a copy) may be before it.

        Args:
            sample: How many photos to describe anew.
            progress: Called with rows read and rows in all, then with photos searched and photos in all.

        Raises:
            InvalidInput: ``sample`` is negative.
        """
        from resight.collection.check import check_collection

        self._store.refresh()
        return check_collection(
            self._store, self._resident, lambda: self.model, sample=sample, progress=progress
        )

    def warm(self) -> None:
        """Loads the model and the descriptors, so that the first search takes no longer than the next.

        Raises:
            ModelError: The model cannot be loaded, or is another.
            CollectionError: The collection is gone or cannot be read.
        """
        pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        self.model.describe(pixels)
        self._resident.searched()

    def search(
        self,
        photos: PhotoSource | Iterable[PhotoSource],
        *,
        top: int = 10,
        box: Box | Iterable[float] | None = None,
        without: PhotoSource | Iterable[PhotoSource] = (),
        where: str | None = None,
        expand: int = 0,
        refine: RefineMethod | None = None,
        verify: int | Literal["auto"] = "auto",
        max_pixels: int = MAX_PIXELS,
    ) -> list[Hit]:
        """Returns the photos of the collection that show the same thing, best first.

        The arguments are those of `Query`, the errors those of `answer`, whose value is also a page.
        """
        query = Query(
            photos,
            top=top,
            box=box,
            without=without,
            where=where,
            expand=expand,
            refine=refine,
            verify=verify,
            max_pixels=max_pixels,
        )
        return self.answer(query).hits

    def answer(self, query: Query | PhotoSource) -> Answer:
        """Returns the photos of the collection that show the same thing, best first, and how they were found.

        A query photo that is itself in the collection is found like any other. A photo stands for the query
        of it with all the defaults.

        Raises:
            InvalidInput: The box lies outside its photo, or the filter cannot be understood.
            NoLocalFeatures: The query asks for verification by a number, and the model has no local features.
            UnreadableImage: A query photo cannot be read.
            ModelError: The model cannot be loaded, or is another.
            CollectionError: The collection is gone or cannot be read.
        """
        asked = query if isinstance(query, Query) else Query(query)
        ranked = (searcher := self.searcher).rank([searcher.describe(asked)])[0]
        if isinstance(ranked, InvalidInput):
            raise ranked
        return searcher.answer(ranked)

    @property
    def searcher(self) -> Searcher:
        """What answers queries step by step, for who has many at once."""
        return Searcher(self._store, self._resident, lambda: self.model)

    def groups(
        self,
        of: GroupKind = "copies",
        *,
        keep: KeepRule = "best",
        progress: Progress | None = None,
    ) -> Groups:
        """Returns the photos that belong together, the largest group first.

        Every photo is compared with those that are most similar, turned and mirrored as well; what geometry
        says of a pair, and for copies what their pixels say, is kept in the collection. The next call looks
        at new photos alone, and `resight index` does so by itself. Killed, the next call goes on. Nothing is
        moved or deleted.

        Args:
            of: ``copies`` of one picture, photos of one thing (``things``), or bursts (``scenes``).
            keep: Which member comes first: ``best``, ``largest``, ``newest``, ``oldest`` or ``first``
                (`resight.collection.groups.KeepRule`).
            progress: Called with photos done and new photos in all.

        Raises:
            InvalidInput: A word is not known.
            NoLocalFeatures: The model has none to compare photos by.
            ModelError: The model cannot be loaded, or is another.
            CollectionLocked: Another process is writing.
            CollectionError: The collection is gone or cannot be read.
            StorageFailed: The disk refuses what was found.
        """
        from resight.collection.groups import find_groups

        return find_groups(
            self._store,
            self._resident,
            lambda: self.model,
            of=of,
            keep=keep,
            progress=silent if progress is None else progress,
            lock_timeout=self._lock_timeout,
        )

    def known_groups(self, of: GroupKind = "copies", *, keep: KeepRule = "best") -> Groups | None:
        """Returns `groups` as far as photos have been compared already; None where none have.

        They are there at once; `Groups.waiting` says how many photos have not been compared.

        Raises:
            InvalidInput: A word is not known.
            CollectionError: The collection is gone or cannot be read.
        """
        from resight.collection.groups import known_groups

        return known_groups(self._store, of=of, keep=keep)

    def numbers(self) -> dict[str, int]:
        """Returns the number (`Hit.id`) of each photo that can be searched, by its absolute path."""
        self._store.refresh()
        return photo_numbers(self._store)


def _photo_paths(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str | Path]:
    """Returns files, folders and addresses as people type them.

    Raises:
        InvalidInput: They are neither.
        StorageFailed: There are no credentials for an address.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable) else paths
    found: list[str | Path] = []
    with asking():
        for path in given:
            address = spelled(path) if isinstance(path, str | os.PathLike) else ""
            found.append(address if is_address(address) else typed_path(path))
    return found


def _reopened(path: str, model: str | None, lock_timeout: float) -> Collection:
    return Collection.open(path, model=model, lock_timeout=lock_timeout)
