"""A linear layer of one's own behind a frozen model, kept where it finds more in classes it never saw."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.collection.scan import absolute, scan
from resight.errors import InvalidInput, StorageFailed
from resight.evaluation.measures.labels import evaluate_labels
from resight.evaluation.statistics import Interval, PairedTest, bootstrap, paired
from resight.files import JSON, Progress, name_key, on_disk, read_rows, reading, silent, whole_file
from resight.files.budget import without_waiting
from resight.models import Model, bundle, load_model
from resight.models.checkpoints import cache_folder
from resight.models.whitening import Whitening
from resight.models.whitening_fit import fit_learned, fit_pca, matching_pairs, numbered
from resight.pipelines.describe import describe_photos, refuse_empty
from resight.pipelines.whiten import hold_out
from resight.training.layer import LayerSettings, fit_layer

__all__ = ["AdaptOutcome", "AdaptSettings", "Way", "adapt_model", "labelled_photos"]

_LOG = logging.getLogger(__name__)

_COLUMNS = ("path", "label")
_SHRINKAGE = 0.1
_TRAIN_FROM = 2_000
"""Photos of classes learned from, from which on full fine-tuning is worth its hours."""


@dataclass(frozen=True, slots=True)
class AdaptSettings:
    """How a model is adapted.

    Attributes:
        kind: ``layer`` learns from classes; ``whitening`` from photos that match.
        layer: How the layer is learned.
        held_out: Share of the classes on which everything is compared.
        seed: Of what is held out.
    """

    kind: Literal["layer", "whitening"] = "layer"
    layer: LayerSettings = field(default_factory=LayerSettings)
    held_out: float = 0.3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """One way to describe the photos held out, and how well it finds those of the same class.

    Attributes:
        name: ``frozen``, ``pca whitening``, ``learned whitening`` or ``linear layer``.
        dim: Length of a descriptor.
        map_at_r: Mean over the photos, with an interval over classes.
        recall_at_1: Share of photos whose first answer is of their class.
        gain: MAP@R less that of the frozen model, over the same photos; ``None`` for that model itself.
    """

    name: str
    dim: int
    map_at_r: Interval
    recall_at_1: float
    gain: PairedTest | None


@dataclass(frozen=True, slots=True)
class AdaptOutcome:
    """What became of adapting a model.

    Attributes:
        model: Name of the frozen model.
        bundle: The file that was written; ``None`` where it was refused.
        photos: How many were learned from.
        classes: Of them.
        held_out: Photos compared.
        held_out_classes: Their classes.
        ways: The frozen model first, the adapted one last.
        better: Whether the adapted one beats the frozen one: the interval of its gain lies above 0.
        forced: Whether it was written all the same.
        broken: How many photos could not be described.
        advice: What to do next.
    """

    model: str
    bundle: Path | None
    photos: int
    classes: int
    held_out: int
    held_out_classes: int
    ways: tuple[Way, ...]
    better: bool
    forced: bool
    broken: int
    advice: str


def adapt_model(
    name: str,
    photos: Sequence[Path],
    out: Path,
    settings: AdaptSettings,
    *,
    labels: Path | None = None,
    tuples: Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> AdaptOutcome:
    """Returns what became of adapting a model; the adapted one is written if it is better, or by force.

    Photos are described once: descriptors are kept in the cache, by model and files.

    Args:
        name: Of the model, or its bundle.
        photos: Files and folders; photos of one folder are of one class.
        out: The bundle to write.
        settings: How.
        labels: A CSV file with the columns ``path`` and ``label`` names the classes instead.
        tuples: A folder that ``resight tuples`` wrote: its photos are taken, its clusters are the classes.
        force: Write the adapted model even if it is not better; its header says so.
        progress: Called with photos described and photos in all.

    Raises:
        InvalidInput: There are too few photos or classes, a table is wrong, or the model cannot be written.
        ModelError: The model cannot be loaded.
        StorageFailed: The bundle cannot be written.
    """
    model = load_model(name)
    # Refused before any photo is described.
    model.to_bundle()
    files, classes = labelled_photos(photos, labels, tuples)
    _held_out(classes, settings)
    descriptors, described = _descriptors(model, files, progress)
    classes = classes[described]
    held = _held_out(classes, settings)
    known, unseen = descriptors[~held], descriptors[held]
    found = _ways(known, classes[~held], settings, provenance=f"{len(known):,} photos")
    ways = _compared(unseen, classes[held], found)
    gain = ways[-1].gain
    better = gain is not None and gain.difference.low > 0
    written = better or force
    if written:
        changed = model.whitened(found[-1][1])
        facts: dict[str, JSON] = {"adapted": _facts(ways, forced=not better)}
        bundle.write(replace(changed.to_bundle(), training={**changed.training, **facts}), out)
    learned = len(np.unique(classes[~held]))
    return AdaptOutcome(
        model.name,
        out if written else None,
        len(known),
        learned,
        len(unseen),
        len(np.unique(classes[held])),
        ways,
        better,
        forced=written and not better,
        broken=len(files) - len(descriptors),
        advice=_advice(len(known), ways[-1], better=better),
    )


def _held_out(classes: Int64[np.ndarray, " n"], settings: AdaptSettings) -> Bool[np.ndarray, " n"]:
    """Returns which photos are held out.

    Raises:
        InvalidInput: None can be.
    """
    held = hold_out(classes, settings.held_out, seed=settings.seed)
    if not held.any():
        raise InvalidInput(
            f"{len(np.unique(classes))} classes are too few to hold some out: adapting needs photos of at "
            "least six things, two or more of each"
        )
    return held


def labelled_photos(
    photos: Sequence[Path], labels: Path | None, tuples: Path | None = None
) -> tuple[list[Path], Int64[np.ndarray, " n"]]:
    """Returns photos and the class of each: by a table, by clusters of tuples, or by their folders.

    Raises:
        InvalidInput: A path does not exist, there is no photo, a table is wrong, or none of the photos stands
            in it.
    """
    if tuples is not None:
        from resight.datasets.tuples import read_tuples

        found = read_tuples(tuples)
        rows = [row for row, cluster in enumerate(found.clusters) if cluster >= 0]
        return [found.photos[row] for row in rows], found.clusters[rows]
    if labels is None:
        files = _found(photos)
        refuse_empty(len(files), photos, (), purpose="learn from")
        return files, numbered([str(file.parent) for file in files])
    class_of = _classes_in(labels)
    files = [Path(file) for file in class_of]
    if photos:
        files = [file for file in _found(photos) if str(file) in class_of]
    relative = "its paths are relative to the table's own folder"
    if not files:
        raise InvalidInput(f"none of the photos stands in {labels}: {relative}")
    if missing := [file for file in files if not file.is_file()]:
        raise InvalidInput(
            f"{len(missing):,} of {len(files):,} photos that {labels} names are not there, such as "
            f"{missing[0]}: {relative}"
        )
    return files, numbered([class_of[str(file)] for file in files])


def _classes_in(labels: Path) -> dict[str, str]:
    """Returns the label of each photo of a table by its absolute path.

    Raises:
        InvalidInput: The table cannot be read, a line lacks a path or a label, or a photo has two labels.
    """
    class_of: dict[str, str] = {}
    for line in read_rows(labels, _COLUMNS):
        # Blanks round a label, and how its accents are written, nobody sees.
        path, label = line["path"], name_key(line["label"].strip())
        if not path or not label:
            raise InvalidInput(f"line {line.line} of {labels}: a photo needs a path and a label")
        if class_of.setdefault(absolute(on_disk(labels.parent / path)), label) != label:
            raise InvalidInput(f"line {line.line} of {labels} gives a photo a second label: {path}")
    return class_of


def _found(photos: Sequence[Path]) -> list[Path]:
    scanned = scan(photos)
    for folder in scanned.broken:
        _LOG.warning("%s: %s", folder.path, folder.reason)
    return [Path(photo.path) for photo in scanned.photos]


def _descriptors(
    model: Model, files: Sequence[Path], progress: Progress
) -> tuple[Float32[np.ndarray, "m dim"], Int64[np.ndarray, " m"]]:
    """Returns the descriptors of the photos that can be described, and their rows; kept in the cache."""
    path = _cached(model, files)
    # What is there and damaged is made anew, too; a pipe is not waited for.
    if path is not None:
        with (
            suppress(InvalidInput),
            reading(path, f"{path} is damaged"),
            open(path, "rb", opener=without_waiting) as stream,
        ):
            kept = np.load(stream)
            return kept["descriptors"], kept["rows"]
    described = describe_photos(model, files, purpose="learn from", progress=progress)
    for photo in described.broken:
        _LOG.warning("%s: %s", photo.path, photo.reason)
    row_of = {os.path.realpath(file): row for row, file in enumerate(files)}
    rows = np.array([row_of[os.path.realpath(each)] for each in described.paths], dtype=np.int64)
    if path is not None:
        # What cannot be kept is described again next time.
        with suppress(OSError, StorageFailed):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path, device=False) as stream:
                np.savez(stream, descriptors=described.descriptors, rows=rows)
    return described.descriptors, rows


def _cached(model: Model, files: Sequence[Path]) -> Path | None:
    """Returns where the descriptors of these files are kept; None for a user without a home folder."""
    try:
        return cache_folder().parent / "descriptors" / f"{_key(model, files)}.npz"
    except StorageFailed:
        return None


def _key(model: Model, files: Sequence[Path]) -> str:
    """Returns digits that change with the model and with every file's name, size and time."""
    digest = hashlib.sha256(model.fingerprint.encode())
    for file in files:
        status = file.stat() if file.is_file() else None
        facts = "" if status is None else f"{status.st_size} {status.st_mtime_ns}"
        digest.update(f"{file}\0{facts}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _ways(
    known: Float32[np.ndarray, "n dim"],
    classes: Int64[np.ndarray, " n"],
    settings: AdaptSettings,
    *,
    provenance: str,
) -> list[tuple[str, Whitening]]:
    """Returns what is put behind the model in each way; the one that is asked for last."""
    dim = min(settings.layer.dim, known.shape[1], len(known) - 1)
    pca = fit_pca(known, dim, shrinkage=_SHRINKAGE, provenance=provenance)
    ways = [("pca whitening", pca)]
    if settings.kind == "whitening":
        pairs = matching_pairs(classes, np.random.default_rng(settings.seed))
        learned = fit_learned(known, pairs, dim, shrinkage=_SHRINKAGE, provenance=provenance)
        return [*ways, ("learned whitening", learned)]
    layer, _ = fit_layer(known, classes, settings.layer, provenance=provenance)
    return [*ways, ("linear layer", layer)]


def _compared(
    unseen: Float32[np.ndarray, "n dim"],
    classes: Int64[np.ndarray, " n"],
    found: Sequence[tuple[str, Whitening]],
) -> tuple[Way, ...]:
    every = [("frozen", unseen), *((name, each.apply(unseen)) for name, each in found)]
    ways: list[Way] = []
    frozen: Float64[np.ndarray, " n"] | None = None
    for name, descriptors in every:
        result = evaluate_labels(descriptors, classes, ks=(1,))
        values, drawn = result.per_query.map_at_r, classes[result.per_query.queries]
        gain = None if frozen is None else paired(frozen, values, classes=drawn)
        frozen = values if frozen is None else frozen
        interval = bootstrap(values, classes=drawn)
        ways.append(Way(name, descriptors.shape[1], interval, result.recall[0][1], gain))
    return tuple(ways)


def _facts(ways: Sequence[Way], *, forced: bool) -> dict[str, JSON]:
    return {"forced": forced, "held_out": [asdict(way) for way in ways]}


def _advice(photos: int, last: Way, *, better: bool) -> str:
    if not better:
        return "the frozen model is as good on things it has not seen: more classes, or resight train"
    if photos >= _TRAIN_FROM and last.map_at_r.mean < 0.9:
        return "there are photos enough to fine-tune the whole network, in hours: resight train"
    return "more photos of more things help before fine-tuning the whole network (resight train) does"
