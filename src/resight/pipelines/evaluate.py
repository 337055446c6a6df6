"""Measuring a model on a benchmark, or descriptors, scores and predictions in files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from resight.datasets import LandmarkFolder, LandmarkTruth, open_landmarks, read_landmark_truth, read_solution
from resight.datasets.dataset import Split
from resight.datasets.landmark_folder import photos_in
from resight.datasets.registry import LabelledEntry, RecognitionEntry, entry_named, load
from resight.evaluation import (
    LandmarkDescriptors,
    Refinement,
    Result,
    Steps,
    Waterfall,
    evaluate_benchmark,
    evaluate_descriptors,
    evaluate_landmarks,
    evaluate_recognition,
    evaluate_waterfall,
    measure_descriptors,
    measure_predictions,
    measure_similarities,
    read_descriptors,
)
from resight.evaluation.card import Source
from resight.evaluation.descriptor_files import open_matrix, read_named
from resight.evaluation.digests import ground_truth
from resight.evaluation.pictures import Pictures
from resight.evaluation.refinement import UNREFINED
from resight.evaluation.statistics import Intervals
from resight.evaluation.waterfall import whitening_of
from resight.files import Progress, sha256_of
from resight.models import load_model

__all__ = [
    "Computed",
    "Evaluation",
    "Kind",
    "Protocol",
    "evaluate",
    "evaluate_files",
    "evaluate_own",
    "evaluate_steps",
]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a benchmark is measured; what is for the other kind of benchmark has no effect.

    Attributes:
        boxes: Whether photos of a labelled set are cropped to their boxes.
        as_trained: Whether photos of a labelled set are shown as in the model's training, where its bundle
            says how.
        clusters: Whether NMI and AMI of a labelled set are measured; above 2000 classes that takes minutes.
        crop: Whether queries of landmarks are cropped to their boxes.
        distractors: A ``.npy`` of descriptors that are added to a landmark database and always wrong.
        intervals: What is drawn for the intervals; ``None``: classes of a labelled set, landmarks of others.
        refinement: Query expansion and verification, for landmarks.
        selection: How the model was chosen; it goes on the card. As the bundle says by default.
        seed: Of k-means and the bootstrap.
        split: Which photos of a labelled set are measured.
    """

    as_trained: bool = True
    boxes: bool = False
    clusters: bool = True
    crop: bool = True
    distractors: Path | None = None
    intervals: Intervals | None = None
    refinement: Refinement = UNREFINED
    selection: str = "not stated"
    seed: int = 0
    split: Split = "test"


_DEFAULT, _ALL_STEPS = Protocol(), Steps()


Kind = Literal["descriptors", "similarities", "predictions"]
"""What another program can have computed."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A file that another program computed, and what is right.

    Attributes:
        kind: What the file holds.
        path: ``descriptors``: .npy, .npz, .h5 (hloc), .mat or .pkl; ``similarities``: .npy, a row a query and
            a column a database image; ``predictions``: .csv as the Google Landmarks challenges take it.
        truth: ``gnd_*.pkl``, .mat, .json or, of predictions, the solution's .csv.
        names: Names of the rows of a .npy of descriptors, one a line.
    """

    kind: Kind
    path: Path
    truth: Path
    names: Path | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured.

    Attributes:
        result: The numbers and how they came about.
        photos: The folder that the result's paths are relative to.
        unused: Names in a file of descriptors that the benchmark does not have.
        lengths: The shortest and the longest descriptor of a file on a labelled set, where they were not of
            unit length and were divided by their lengths.
    """

    result: Result
    photos: Path
    unused: tuple[str, ...] = ()
    lengths: tuple[float, float] | None = None


def evaluate(
    model: str | Path,
    benchmark: str,
    root: Path,
    protocol: Protocol = _DEFAULT,
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Returns the result of a model on any benchmark.

    Args:
        model: As for ``resight.load_model``.
        benchmark: The name of an entry of `resight.datasets.BENCHMARKS`.
        root: Where the copy of the benchmark is.
        protocol: How it is measured.
        progress: Called with the photos described and their number.

    Raises:
        InvalidInput: There is no such model or benchmark, or no such copy of it; or a photo is missing.
        MissingExtra: The model or a file of the benchmark needs an optional part.
        UnreadableImage: A photo is broken.
    """
    entry = entry_named(benchmark)
    if isinstance(entry, LabelledEntry):
        return _labelled(model, entry, root, protocol, progress)
    if isinstance(entry, RecognitionEntry):
        return _recognition(model, entry, root, protocol, progress)
    folder = open_landmarks(benchmark, root)
    result = evaluate_landmarks(
        load_model(model),
        folder,
        crop=protocol.crop,
        distractors=protocol.distractors,
        refinement=protocol.refinement,
        selection=protocol.selection,
        intervals=protocol.intervals,
        seed=protocol.seed,
        progress=progress,
    )
    return Evaluation(result, folder.root)


def _labelled(
    model: str | Path, entry: LabelledEntry, root: Path, protocol: Protocol, progress: Progress | None
) -> Evaluation:
    benchmark = load(entry.name, root, boxes=protocol.boxes)
    result = evaluate_benchmark(
        load_model(model),
        benchmark,
        split=protocol.split,
        clusters=protocol.clusters,
        as_trained=protocol.as_trained,
        intervals=protocol.intervals,
        selection=protocol.selection,
        seed=protocol.seed,
        progress=progress,
    )
    return Evaluation(result, benchmark.test.root)


def _recognition(
    model: str | Path, entry: RecognitionEntry, root: Path, protocol: Protocol, progress: Progress | None
) -> Evaluation:
    benchmark = entry.read(root)
    result = evaluate_recognition(
        load_model(model),
        benchmark,
        selection=protocol.selection,
        intervals=protocol.intervals,
        seed=protocol.seed,
        progress=progress,
    )
    return Evaluation(result, root)


def evaluate_steps(
    model: str | Path,
    benchmark: str,
    root: Path,
    protocol: Protocol = _DEFAULT,
    *,
    steps: Steps = _ALL_STEPS,
    whitening: str | Path | None = None,
    progress: Progress | None = None,
) -> Waterfall:
    """Returns what each step after the descriptor adds on a landmark benchmark.

    Args:
        model: As for ``resight.load_model``.
        benchmark: Of landmarks.
        root: Where the copy of the benchmark is.
        protocol: How it is measured; ``steps`` are its refinement.
        steps: How far each step goes.
        whitening: The model whitened, as ``resight whiten`` writes it; its whitening is a step.
        progress: Called with the photos described and their number.

    Raises:
        InvalidInput: As `evaluate` raises it, or the whitening belongs to another model.
        MissingExtra: The model or a file of the benchmark needs an optional part.
        UnreadableImage: A photo is broken.
    """
    folder: LandmarkFolder = open_landmarks(benchmark, root)
    loaded = load_model(model)
    return evaluate_waterfall(
        loaded,
        folder,
        whitening=None if whitening is None else whitening_of(loaded, load_model(whitening)),
        crop=protocol.crop,
        steps=steps,
        selection=protocol.selection,
        intervals=protocol.intervals,
        seed=protocol.seed,
        progress=progress,
    )


def evaluate_files(
    computed: Computed,
    protocol: Protocol = _DEFAULT,
    *,
    photos: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Returns the result of what another program computed, without a photo or a model.

    Args:
        computed: The files.
        protocol: How they are measured.
        photos: The benchmark's folder, for a report with pictures.
        progress: Called with the descriptors compared and their number.

    Raises:
        InvalidInput: A file is missing or something else, or does not belong to this ground truth.
        MissingExtra: A file needs an optional part.
    """
    folder = photos or computed.truth.parent
    if computed.kind == "predictions":
        solution = read_solution(computed.truth)
        result = measure_predictions(
            computed.path,
            solution,
            name=computed.truth.name,
            truth=ground_truth((computed.truth,)),
            intervals=protocol.intervals,
            seed=protocol.seed,
        )
        return Evaluation(result, folder)
    truth = read_landmark_truth(computed.truth)
    if computed.kind == "similarities":
        return Evaluation(_similarities(computed, truth, protocol, photos), folder)
    return _landmark_descriptors(computed, truth, protocol, photos, progress)


def evaluate_own(
    descriptors: Path,
    names: Path | None,
    benchmark: str,
    root: Path,
    protocol: Protocol = _DEFAULT,
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Returns the result of descriptors in a file on a copy of any benchmark with labels or landmarks.

    Args:
        descriptors: The file, as `resight.evaluation.read_descriptors` reads it.
        names: Names of the rows of a ``.npy``, one a line: the photos' paths as the benchmark has them.
        benchmark: The name of an entry of `resight.datasets.BENCHMARKS`.
        root: Where the copy of the benchmark is.
        protocol: How it is measured.
        progress: Called with the descriptors compared and their number.

    Raises:
        InvalidInput: There is no such benchmark or no such copy of it, or the file does not belong to it.
        MissingExtra: A file needs an optional part.
    """
    entry = entry_named(benchmark)
    if not isinstance(entry, LabelledEntry):
        folder = open_landmarks(benchmark, root)
        computed = Computed("descriptors", descriptors, root, names)
        return _landmark_descriptors(computed, folder.truth, protocol, folder.root, progress)
    rows, listed = read_named(descriptors, names=names)
    loaded = load(entry.name, root, boxes=protocol.boxes)
    own = evaluate_descriptors(
        rows,
        listed,
        loaded,
        split=protocol.split,
        source=descriptors.name,
        fingerprint=_digest(descriptors, names),
        clusters=protocol.clusters,
        selection=protocol.selection,
        intervals=protocol.intervals,
        seed=protocol.seed,
    )
    return Evaluation(own.result, loaded.test.root, own.unused, own.lengths)


def _landmark_descriptors(
    computed: Computed,
    truth: LandmarkTruth,
    protocol: Protocol,
    photos: Path | None,
    progress: Progress | None,
) -> Evaluation:
    descriptors = read_descriptors(computed.path, truth.database, truth.queries, names=computed.names)
    result = measure_descriptors(
        truth,
        LandmarkDescriptors(descriptors.database, descriptors.queries, (), (), ()),
        _source(computed, descriptors.database.shape[1]),
        distractors=protocol.distractors,
        refinement=protocol.refinement,
        selection=protocol.selection,
        intervals=protocol.intervals,
        seed=protocol.seed,
        pictures=_pictures(truth, photos),
        progress=progress,
    )
    return Evaluation(result, photos or computed.truth.parent, descriptors.unused)


def _similarities(
    computed: Computed, truth: LandmarkTruth, protocol: Protocol, photos: Path | None
) -> Result:
    matrix = open_matrix(computed.path)
    if truth.formula == "recall" and matrix.shape[1] > len(truth.database):
        # The lists name right references alone; the others are known by their columns.
        truth = replace(truth, database=tuple(str(number) for number in range(matrix.shape[1])))
    pictures = _pictures(truth, photos)
    return measure_similarities(
        truth,
        matrix,
        _source(computed, 0),
        intervals=protocol.intervals,
        seed=protocol.seed,
        pictures=pictures,
    )


def _source(computed: Computed, dim: int) -> Source:
    whitening = "not known: as in the file"
    digest = _digest(computed.path, computed.names)
    return Source(computed.path.name, digest, dim, 0, (), "unknown", whitening, computed.truth.name)


def _digest(path: Path, names: Path | None) -> str:
    """Returns the SHA-256 of a file of descriptors with that of its names: their order decides as much."""
    return sha256_of([path] if names is None else [path, names])


def _pictures(truth: LandmarkTruth, photos: Path | None) -> Pictures | None:
    if photos is None:
        return None
    folder = photos_in(truth, photos)
    return Pictures(folder.database, folder.queries, crop=False)
