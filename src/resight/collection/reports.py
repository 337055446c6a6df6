"""What changing or looking at a collection tells its user."""

from __future__ import annotations

from dataclasses import dataclass

from resight.search.recognition import Calibration

__all__ = [
    "BrokenPhoto",
    "CheckReport",
    "CollectionInfo",
    "CpuSeconds",
    "IndexReport",
    "LocalInfo",
    "RootInfo",
]


@dataclass(frozen=True, slots=True)
class BrokenPhoto:
    r"""A file that cannot be searched, and why.

    Attributes:
        path: The file, absolute; undecodable bytes of its name are written as ``\\xNN``.
        reason: Why, in a few words without the path.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """Where indexing spent its time, summed over all threads.

    Attributes:
        read: CPU seconds of reading, hashing and decoding files.
        describe: CPU seconds of the model, as far as it computes in the calling thread.
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
        missing: Photos of the collection that are no longer under the given paths, absolute.
        broken: Files under the given paths that cannot be searched.
        passed_over: Files in the given folders whose suffix is no photo's: how many of each suffix, in lower
            case with its dot, ``""`` for none; the most frequent first.
        seconds: Where the time went.
    """

    added: int
    updated: int
    unchanged: int
    missing: list[str]
    broken: list[BrokenPhoto]
    passed_over: dict[str, int]
    seconds: CpuSeconds


@dataclass(frozen=True, slots=True)
class RootInfo:
    """A folder that photos of the collection lie in.

    Attributes:
        path: The folder now, absolute.
        stored: The folder as stored: absolute, or relative to the collection's directory.
        photos: Files of the collection under it, broken ones included.
        exists: Whether the folder is there.
    """

    path: str
    stored: str
    photos: int
    exists: bool


@dataclass(frozen=True, slots=True)
class LocalInfo:
    """How local features are stored, found from some photos that are evenly spread.

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
        recognition: How its labels recognise things, and when not; None if nobody has measured that.
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
