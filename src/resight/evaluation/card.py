"""The protocol card: everything one has to know of a result before comparing it with another."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Literal

import numpy as np

from resight._version import __version__
from resight.datasets.dataset import Benchmark, LabelledImages, Split
from resight.datasets.landmark_truth import Formula, LandmarkTruth
from resight.datasets.revisited import DIFFICULTIES
from resight.evaluation.digests import DESCRIPTORS, GROUND_TRUTH, ground_truth
from resight.evaluation.drawn import DrawnUnits
from resight.evaluation.shown import TestTransform as Transform
from resight.models.model import Model

__all__ = [
    "INTERVALS",
    "NOT_STATED",
    "TEST_CLASSES",
    "Fact",
    "ProtocolCard",
    "QueryView",
    "Source",
    "Version",
    "bootstrap_convention",
    "labelled_card",
    "landmark_card",
    "selection_of",
    "source_of",
    "transform_fact",
    "versions",
]

INTERVALS = "intervals"
"""The fact that says what was drawn for them."""
NOT_STATED = "not stated"
"""The selection of a model that does not say how it was chosen."""
TEST_CLASSES = "test classes"
"""How the selection of a model begins that was chosen on the very classes it is measured on."""

_LABELLED_CONVENTIONS = (
    "Scores are inner products of unit descriptors; larger is better.",
    "Equal scores are ordered by the smaller index.",
    "A query in the database is left out of its own answers by its index.",
    "R@K counts every query; one without a positive in the database is a miss.",
    "MAP@R and R-precision leave out queries without a positive; R is how many positives a query has.",
    "NMI and AMI use the arithmetic mean of the entropies, over all images of the split.",
)
_LANDMARK_CONVENTIONS = (
    "Queries without a positive are left out of a mean; positives that are not ranked count as misses.",
    "mP@k looks at the first min(k, rank of the last positive) answers, as the revisited benchmarks do.",
)

QueryView = Literal["cropped", "whole", "without boxes", "unknown"]
"""How queries were shown: cropped to their boxes; whole, by choice or because there are no boxes; or the
descriptors come from a file, which does not say."""

_VIEWS: dict[QueryView, str] = {
    "cropped": "cropped to their boxes, at the pixel scale their photos have in the database",
    "whole": "whole photos",
    "without boxes": "whole photos: the ground truth has no boxes",
    "unknown": "not known: as in the file",
}
_FORMULAS: dict[Formula, str] = {
    "trapezoidal": "trapezoidal (Philbin 2007, Radenovic 2018)",
    "rectangular at 100": "rectangular, first 100 answers, divided by min(positives, 100) (Weyand 2020)",
    "recall": "none; recall: a right reference among the first k",
}
_COMPUTED = "inner products of L2-normalised descriptors in float64, rounded to 2^-30; larger is better"
_REVISITED_JUNK = "taken out before ranks are counted; Easy: hard and junk, Medium: junk, Hard: easy and junk"
_PACKAGES = ("numpy", "pillow", "opencv-python-headless", "torch", "torchvision", "timm")


@dataclass(frozen=True, slots=True)
class Version:
    """A program that took part."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something else about how a result came about, such as what was re-ranked.

    Attributes:
        name: One or two words.
        text: What was done, in words that differ whenever results may.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ProtocolCard:
    """How a result came about.

    Attributes:
        benchmark: The set's name.
        folder: Name of the folder its photos lie in.
        split: Which part of it.
        images: How many images the split has.
        classes: How many labels they have; 0 where there are none.
        queries: How many of the images are queries.
        gallery: How many of the images are the database.
        boxes: Whether photos were cropped to their boxes.
        model: What `load_model` takes.
        model_fingerprint: Of the model.
        dim: Length of a descriptor.
        max_side: Long side in pixels to which whole photos were reduced before the model; 0 where the
            descriptors came from a file that does not say.
        scales: At which multiples of that size each photo was described; empty where it is not known.
        selection: How the model was chosen, such as ``validation classes`` or ``not stated``.
        seed: Of k-means and the bootstrap.
        data_fingerprint: Of the split's paths, labels, boxes and roles.
        versions: What it was computed with.
        conventions: What the numbers mean where the field's programs differ.
        facts: What the benchmark's own protocol leaves open, as it was done; for people.
    """

    benchmark: str
    folder: str
    split: str
    images: int
    classes: int
    queries: int
    gallery: int
    boxes: bool
    model: str
    model_fingerprint: str
    dim: int
    max_side: int
    scales: tuple[float, ...]
    selection: str
    seed: int
    data_fingerprint: str
    versions: tuple[Version, ...]
    conventions: tuple[str, ...]
    facts: tuple[Fact, ...] = ()

    @property
    def is_labelled(self) -> bool:
        """Whether the set has labels; else it is a benchmark of landmarks."""
        return self.classes > 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where descriptors come from.

    Attributes:
        name: The model's name, or the file's.
        fingerprint: Of the model, or of the file's contents.
        dim: Length of a descriptor; 0: there are scores alone.
        max_side: As on the card; 0: not known.
        scales: As on the card; empty: not known.
        view: How queries were shown.
        whitening: Which, in words.
        root: Name of the folder of the photos, or of the file.
        selection: How the model was chosen, where the model says so.
    """

    name: str
    fingerprint: str
    dim: int
    max_side: int
    scales: tuple[float, ...]
    view: QueryView
    whitening: str
    root: str
    selection: str = NOT_STATED


def bootstrap_convention(drawn: str) -> str:
    """Returns how the intervals of a card were made, from what was drawn."""
    return f"Intervals: 95 %, percentile bootstrap over {drawn}, 1000 draws."


def selection_of(model: Model, selection: str = NOT_STATED) -> str:
    """Returns how a model was chosen: as stated, else as its bundle says."""
    stored = model.training.get("selection")
    return stored if selection == NOT_STATED and isinstance(stored, str) else selection


def labelled_card(
    source: Source,
    benchmark: Benchmark,
    test: LabelledImages,
    *,
    split: Split,
    trained: int,
    facts: tuple[Fact, ...],
    descriptors: str,
    units: DrawnUnits,
    selection: str,
    seed: int,
) -> ProtocolCard:
    """Returns the card of measuring descriptors on a labelled set.

    Args:
        source: Of the descriptors.
        benchmark: The set.
        test: The images measured on.
        split: Which images of the set they are.
        trained: How many of their classes are training classes too.
        facts: What else there is to say of the descriptors.
        descriptors: What stands for their bytes.
        units: What is drawn for the intervals.
        selection: How the model was chosen.
        seed: Of k-means and the bootstrap.
    """
    queries, gallery = (
        len(test) if mask is None else int(np.count_nonzero(mask)) for mask in (test.queries, test.gallery)
    )
    return ProtocolCard(
        benchmark.name,
        test.root.name,
        split,
        len(test),
        test.classes,
        queries,
        gallery,
        test.boxes is not None,
        source.name,
        source.fingerprint,
        source.dim,
        source.max_side,
        source.scales,
        source.selection if selection == NOT_STATED else selection,
        seed,
        test.fingerprint,
        versions(),
        (*_LABELLED_CONVENTIONS, bootstrap_convention(units.name)),
        (
            *facts,
            *(
                [Fact("classes", f"{trained:,} of {test.classes:,} are training classes too")]
                if trained
                else []
            ),
            *([Fact("split", benchmark.split_rule)] if benchmark.split_rule else []),
            Fact(INTERVALS, units.words),
            Fact(GROUND_TRUTH, ground_truth(benchmark.files)),
            Fact(DESCRIPTORS, descriptors),
        ),
    )


def source_of(model: Model, *, view: QueryView, root: str) -> Source:
    """Returns a model as a source of descriptors."""
    return Source(
        model.name,
        model.fingerprint,
        model.dim,
        model.max_side,
        model.facts.scales,
        view,
        _whitening(model),
        root,
        selection_of(model),
    )


def landmark_card(
    truth: LandmarkTruth,
    source: Source,
    *,
    descriptors: str,
    reranking: str,
    distractors: str,
    selection: str,
    units: DrawnUnits,
    seed: int,
    nothing_in: int = 0,
) -> ProtocolCard:
    """Returns the card of measuring descriptors on a landmark benchmark.

    Args:
        truth: The benchmark.
        source: Of the descriptors.
        descriptors: What stands for their bytes.
        reranking: What was done after the first ranking, in words.
        distractors: What else was in the database, in words.
        selection: How the model was chosen.
        units: What is drawn for the intervals.
        seed: Of the bootstrap.
        nothing_in: How many database images the model found nothing in.
    """
    return ProtocolCard(
        benchmark=truth.benchmark,
        folder=source.root,
        split=", ".join(task.name for task in truth.tasks),
        images=len(truth.database),
        classes=0,
        queries=len(truth.queries),
        gallery=len(truth.database),
        boxes=source.view == "cropped",
        model=source.name,
        model_fingerprint=source.fingerprint,
        dim=source.dim,
        max_side=source.max_side,
        scales=source.scales,
        selection=source.selection if selection == NOT_STATED else selection,
        seed=seed,
        data_fingerprint=truth.fingerprint,
        versions=versions(),
        conventions=(*_LANDMARK_CONVENTIONS, bootstrap_convention(units.name)),
        facts=(
            Fact("queries shown", _VIEWS[source.view]),
            Fact("query’s own photo", truth.query_rule),
            Fact("whitening", source.whitening),
            Fact("scores", _COMPUTED if source.dim else "as in the file, larger is better"),
            Fact("re-ranking", reranking),
            Fact("distractors", distractors),
            Fact("average precision", _FORMULAS[truth.formula]),
            Fact("ties", "equal scores are ordered by the smaller database index"),
            Fact("ignored", _ignored(truth)),
            Fact("without descriptor", f"{nothing_in:,} database images; they score 0"),
            Fact("ranking", "of the whole database, not truncated"),
            Fact(INTERVALS, units.words),
            Fact(GROUND_TRUTH, ground_truth(truth.files)),
            Fact(DESCRIPTORS, descriptors),
        ),
    )


def versions() -> tuple[Version, ...]:
    """Returns this program, Python and the packages that can change a result, as installed here."""
    installed = [Version("resight", __version__), Version("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            installed.append(Version(package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            # An optional part that is not here took no part.
            continue
    return tuple(installed)


def _ignored(truth: LandmarkTruth) -> str:
    if tuple(task.name for task in truth.tasks) == DIFFICULTIES:
        return _REVISITED_JUNK
    junk = any(ignored for task in truth.tasks for ignored in task.ignored)
    return "junk, taken out before ranks are counted" if junk else "nothing"


def transform_fact(transform: Transform) -> Fact:
    """Returns what the card says of the transform that photos went through before the model."""
    settings = (f"{name} {value}" for name, value in asdict(transform).items())
    return Fact("photos shown", f"{transform.kind}, {', '.join(settings)}, as in training")


def _whitening(model: Model) -> str:
    whitening = model.whitening
    if whitening is None:
        return "none besides the model's own"
    return (
        f"{whitening.kind}, {whitening.dim} dimensions, fitted on {whitening.provenance}, "
        f"{whitening.fingerprint[:16]}"
    )
