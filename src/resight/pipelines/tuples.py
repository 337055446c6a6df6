"""Unlabelled photos to tuples for training: described, matched, reconstructed, and paired."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from resight._lazy import require
from resight.collection import BrokenPhoto, find_photos
from resight.collection.lock import folder_lock
from resight.collection.store import Store
from resight.collection.stored_photos import stored_photos
from resight.datasets.tuples import PHOTOS, TUPLES
from resight.errors import InvalidInput
from resight.files import Progress, other_than_own, others_below, silent
from resight.pipelines.index import DEFAULT_MODEL, index_photos
from resight.sfm import (
    Covisibility,
    PositiveConfig,
    Reconstruction,
    ReconstructionConfig,
    candidate_pairs,
    covisibility,
    every_pair,
    read_reconstruction,
    reconstruct,
    select_positives,
    write_tables,
)
from resight.sfm.tables import PAIRS

__all__ = ["NoTuples", "Stage", "TuplesOutcome", "TuplesSettings", "make_tuples"]

Stage = Callable[[str, str], AbstractContextManager[Progress]]
"""Called with what begins and the unit of its pieces; what it gives is told how far it is."""

_COLLECTION, _WORK = "photos.resight", "work"
_METHOD = 2
"""Raised when photos are reconstructed in another way: models of the former are no part of a new run."""
_WORK_NAME = re.compile(r"[0-9a-f]{16}")


def _unseen(title: str, unit: str) -> AbstractContextManager[Progress]:
    del title, unit
    return nullcontext(silent)


@dataclass(frozen=True, slots=True)
class TuplesSettings:
    """How tuples are made.

    Attributes:
        model: Describes the photos: which ones are matched with one another, and which positive is nearest.
        reconstruction: How the photos are reconstructed.
        positives: How positives are selected.
    """

    model: str = DEFAULT_MODEL
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    positives: PositiveConfig = field(default_factory=PositiveConfig)


@dataclass(frozen=True, slots=True, eq=False)
class TuplesOutcome:
    """What became of the photos.

    Attributes:
        folder: Where the tables are.
        reconstruction: Photos and 3D models.
        pairs: Photos that see points together.
        chosen: Rows of ``pairs`` that are a query and its positive.
        broken: Photos that could not be read or show nothing, and why.
        seconds: Of this call.
    """

    folder: Path
    reconstruction: Reconstruction
    pairs: Covisibility
    chosen: Int64[np.ndarray, " tuples"]
    broken: list[BrokenPhoto]
    seconds: float

    @property
    def alone(self) -> list[Path]:
        """Photos that no model shows."""
        return [self.reconstruction.photos[row] for row in np.flatnonzero(self.reconstruction.labels < 0)]


class NoTuples(InvalidInput):
    """Photos that hold no tuple.

    Attributes:
        outcome: What became of them all the same.
    """

    def __init__(self, message: str, outcome: TuplesOutcome) -> None:
        self.outcome = outcome
        super().__init__(message)


def make_tuples(
    photos: Sequence[Path],
    out: Path,
    settings: TuplesSettings | None = None,
    *,
    models: Path | None = None,
    stage: Stage = _unseen,
) -> TuplesOutcome:
    """Returns what became of unlabelled photos; ``photos``, ``pairs`` and ``tuples.parquet`` are in ``out``.

    A killed call goes on where it ended, and photos that come later are described alone. The same photos and
    settings give the same tables.

    Args:
        photos: Files and folders.
        out: A folder for the tables and for the work on the way; made if it is not there.
        settings: How; the defaults if None.
        models: A folder of COLMAP's or hloc's 3D models of these photos, instead of reconstructing them.
        stage: Shown the progress.

    Raises:
        MissingExtra: pycolmap is not installed, and no models are given.
        NoTuples: There is no tuple in the photos: the sentence says why.
        InvalidInput: There is no such photo or folder, the models are not of these photos, or what a run
            writes to in ``out`` is a link, a pipe, a socket or a device.
        CollectionError: Another process works in ``out``, or it cannot be written.
    """
    settings = settings or TuplesSettings()
    if models is None:
        require("sfm", ["pycolmap"], "structure from motion")
    start = time.monotonic()
    files = find_photos(photos)
    out.mkdir(parents=True, exist_ok=True)
    _refuse_links(out)
    with folder_lock(out, timeout=0):
        described = _describe(photos, files, out, settings.model, stage)
        if not described.paths:
            reconstruction = Reconstruction((), ())
        elif models is None:
            reconstruction = _reconstruct(described, out, settings, stage)
        else:
            reconstruction = read_reconstruction(models, described.paths)
        pairs = covisibility(reconstruction)
        chosen = select_positives(
            pairs,
            reconstruction,
            settings.positives,
            copies=described.copies,
            descriptors=described.descriptors,
        )
        seconds = time.monotonic() - start
        outcome = TuplesOutcome(out, reconstruction, pairs, chosen, described.broken, seconds)
        if not len(chosen):
            raise NoTuples(_why_none(described, outcome, photos), outcome)
        write_tables(out, reconstruction, pairs, chosen, asdict(settings))
    return outcome


def _refuse_links(out: Path) -> None:
    """Refuses a folder, which may come from elsewhere, in which something that is written leads anywhere."""
    own = [out / name for name in (PHOTOS, PAIRS, TUPLES, _COLLECTION, _WORK)]
    others = [(str(path), kind) for path in own if (kind := other_than_own(path))]
    if not others and (out / _WORK).is_dir():
        others = list(others_below(out / _WORK))
    for path, kind in others:
        raise InvalidInput(
            f"the folder {out} is not used: {path} is {kind}, and tuples are written to files and folders of "
            "their own alone; take it out, if you know where it leads"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """The photos that can be read: files, descriptors, and a number that is the same for equal contents."""

    paths: list[Path]
    descriptors: Float32[np.ndarray, "photos dim"]
    hashes: list[str]
    broken: list[BrokenPhoto]

    @property
    def copies(self) -> Int64[np.ndarray, " photos"]:
        return np.unique(self.hashes, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _describe(
    photos: Sequence[Path], files: Sequence[Path], out: Path, model: str, stage: Stage
) -> _Described:
    with stage("Describing", "photos") as progress:
        indexed = index_photos(out / _COLLECTION, photos, model=model, progress=progress)
    report = indexed.report
    if not indexed.photos:
        return _Described([], np.zeros((0, 0), np.float32), [], report.broken)
    given = {str(path) for path in files}
    names, descriptors = indexed.collection.descriptors()
    rows = sorted((name, row) for row, name in enumerate(names) if name in given)
    paths = [Path(name) for name, _ in rows]
    hash_of = _hashes(out / _COLLECTION)
    hashes = [hash_of[name] for name, _ in rows]
    return _Described(paths, descriptors[[row for _, row in rows]], hashes, report.broken)


def _hashes(collection: Path) -> dict[str, str]:
    """Returns the hash of each photo's bytes, as they were described, by its path."""
    store = Store.open(collection)
    return {
        store.roots.path_of(key): (photo.hash or b"").hex() for key, photo in stored_photos(store).items()
    }


def _reconstruct(described: _Described, out: Path, settings: TuplesSettings, stage: Stage) -> Reconstruction:
    config, count = settings.reconstruction, len(described.paths)
    if count <= config.exhaustive:
        pairs = every_pair(count)
    else:
        pairs = candidate_pairs(described.descriptors, config.neighbours)
    made_of = json.dumps([_METHOD, described.hashes, asdict(config), pairs.tolist()])
    key = hashlib.sha256(made_of.encode()).hexdigest()
    work = out / _WORK / key[:16]
    with stage("Reconstructing", "steps") as progress:
        reconstruction = reconstruct(described.paths, work, config, pairs=pairs, progress=progress)
    for other in work.parent.iterdir():
        if other != work and _WORK_NAME.fullmatch(other.name):
            shutil.rmtree(other)
    return reconstruction


def _why_none(described: _Described, outcome: TuplesOutcome, photos: Sequence[Path]) -> str:
    """Returns at which step the last photo was lost, as a sentence."""
    count, pairs = len(described.paths), len(outcome.pairs)
    if not count:
        reasons = [f"{photo.path}: {photo.reason}" for photo in described.broken]
        reasons.append(f"there is none in {', '.join(map(str, photos))}")
        return f"no photo can be read: {reasons[0]}"
    if count == 1:
        why = "it takes two photos at least that show the same place, and one can be read"
    elif len(set(described.hashes)) == 1:
        why = f"all {count:,} photos are copies of one file"
    elif not outcome.reconstruction.clusters:
        why = (
            f"none of the {count:,} photos overlaps with another so that a 3D model can be made: it takes "
            "photos of one place from different viewpoints, neither copies nor views from a single point"
        )
    elif not pairs:
        why = "no two photos of a 3D model see a point together"
    else:
        why = (
            f"none of the {pairs // 2:,} pairs that see points together is within the limits of a "
            "positive: lower the least points or overlap, or raise the largest scale or angle"
        )
    kept = outcome.folder / TUPLES
    still = f"; {kept} is that of an earlier call" if kept.is_file() else ""
    return f"no tuples for {outcome.folder}: {why}{still}"
