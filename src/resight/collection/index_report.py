"""How a collection is brought up to date, and what that did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resight.collection.scan import BrokenPhoto
from resight.collection.schema import Value
from resight.features import ImageFeatures
from resight.models.extract import Extractor

__all__ = ["IndexOptions", "IndexReport", "IndexSeconds"]


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How `update` brings a collection up to date; `Collection.add` explains it.

    Attributes:
        metadata: Values to keep with photos, by path.
        forget_missing: Remove photos that are no longer in the given folders.
        again: Read every photo again, whatever its size and time say.
        exclude: Patterns that are left out from now on, beside those that the collection keeps.
        described: What the model says of photos, by absolute path: they are not described.
        workers: Threads; None: the processors available.
        max_pixels: Most pixels of a photo that is decoded.
        memory: Bytes that photos may take while they are decoded and described; None: the usual.
        extractor: Describes the photos.
    """

    metadata: Mapping[str, Mapping[str, Value]]
    forget_missing: bool
    again: bool
    exclude: Sequence[str]
    described: Mapping[str, ImageFeatures]
    workers: int | None
    max_pixels: int
    memory: int | None
    extractor: Extractor


@dataclass(frozen=True, slots=True)
class IndexSeconds:
    """Where indexing spent its time.

    Attributes:
        read: CPU seconds of reading, hashing and decoding files, summed over all threads.
        describe: CPU seconds of the model in the threads that call it, summed over them.
        store: Wall seconds of building, writing, compacting and cleaning up the table.
        total: Wall seconds of the whole job.
    """

    read: float
    describe: float
    store: float
    total: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What `Collection.add` did; a photo is in exactly one of added, updated, unchanged and broken.

    Attributes:
        added: Photos described for the first time (or taken over from a photo with the same bytes).
        updated: Photos whose bytes had changed and that were described again.
        unchanged: Photos whose bytes had not changed.
        renamed: Old paths by new ones, absolute, of photos that were recognised by their bytes: their
            description and metadata moved along, and their old rows are gone. They are counted in ``added``.
        missing: Photos of the collection that are no longer under the given paths, absolute.
        forgotten: Those of the missing photos that are in the collection no more.
        broken: Files under the given paths that cannot be searched.
        warned: Photos that were described this time though something is wrong with their files.
        passed_over: Files in the given folders whose suffix is no photo's: how many of each suffix, in lower
            case with its dot, ``""`` for none; the most frequent first.
        left_out: Files and folders that a pattern leaves out: how many each, the most frequent first.
        annotated: Photos whose metadata were given and kept.
        unmatched: Photos whose metadata were given and that are not among those indexed, as they were given.
        notes: What is amiss with the collection's folders or its metadata, a sentence each that says what
            mends it.
        seconds: Where the time went.
    """

    added: int
    updated: int
    unchanged: int
    renamed: dict[str, str]
    missing: list[str]
    forgotten: list[str]
    broken: list[BrokenPhoto]
    warned: list[BrokenPhoto]
    passed_over: dict[str, int]
    left_out: dict[str, int]
    annotated: int
    unmatched: list[str]
    notes: list[str]
    seconds: IndexSeconds
