"""What the protocol card says of a landmark benchmark: all that its papers leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from resight.datasets.landmark_truth import Formula, LandmarkTruth
from resight.evaluation.card import Fact, ProtocolCard, scales_of, versions
from resight.models.model import Model

__all__ = ["LANDMARK_CONVENTIONS", "Source", "landmark_card", "source_of"]

LANDMARK_CONVENTIONS = (
    "Queries without a positive are left out of a mean; positives that are not ranked count as misses.",
    "mP@k looks at the first min(k, rank of the last positive) answers, as the revisited benchmarks do.",
    "Intervals: 95 %, percentile bootstrap over queries, 1000 draws.",
)
"""What the numbers mean where the field's programs differ."""

_FORMULAS: dict[Formula, str] = {
    "trapezoidal": "trapezoidal (Philbin 2007, Radenovic 2018)",
    "rectangular at 100": "rectangular, first 100 answers, divided by min(positives, 100) (Weyand 2020)",
    "recall": "none; recall: a right reference among the first k",
}
_COMPUTED = "inner products of L2-normalised descriptors in float64, rounded to 2^-30; larger is better"
_REVISITED_JUNK = "taken out before ranks are counted; Easy: hard and junk, Medium: junk, Hard: easy and junk"


@runtime_checkable
class _Whitening(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def provenance(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dim(self) -> int: ...


@runtime_checkable
class _Whitened(Protocol):
    @property
    def whitening(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where descriptors come from.

    Attributes:
        name: The model's name, or the file's.
        fingerprint: Of the model, or of the file's contents.
        dim: Length of a descriptor; 0: there are scores alone.
        max_side: As on the card; 0: not known.
        scales: As on the card; empty: not known.
        queries: How queries were shown, in words.
        whitening: Which, in words.
        root: Name of the folder of the photos, or of the file.
    """

    name: str
    fingerprint: str
    dim: int
    max_side: int
    scales: tuple[float, ...]
    queries: str
    whitening: str
    root: str


def source_of(model: Model, *, queries: str, root: str) -> Source:
    """Returns a model as a source of descriptors."""
    return Source(
        model.name,
        model.fingerprint,
        model.dim,
        model.max_side,
        scales_of(model),
        queries,
        _whitening(model),
        root,
    )


def landmark_card(
    truth: LandmarkTruth,
    source: Source,
    *,
    reranking: str,
    distractors: str,
    selection: str,
    seed: int,
    nothing_in: int = 0,
) -> ProtocolCard:
    """Returns the card of measuring descriptors on a landmark benchmark.

    Args:
        truth: The benchmark.
        source: Of the descriptors.
        reranking: What was done after the first ranking, in words.
        distractors: What else was in the database, in words.
        selection: How the model was chosen.
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
        boxes=source.queries.startswith("cropped"),
        model=source.name,
        model_fingerprint=source.fingerprint,
        dim=source.dim,
        max_side=source.max_side,
        scales=source.scales,
        selection=selection,
        seed=seed,
        data_fingerprint=truth.fingerprint,
        versions=versions(),
        conventions=LANDMARK_CONVENTIONS,
        facts=(
            Fact("queries shown", source.queries),
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
        ),
    )


def _ignored(truth: LandmarkTruth) -> str:
    if len(truth.tasks) == 3:
        return _REVISITED_JUNK
    junk = any(ignored for task in truth.tasks for ignored in task.ignored)
    return "junk, taken out before ranks are counted" if junk else "nothing"


def _whitening(model: Model) -> str:
    found = model.whitening if isinstance(model, _Whitened) else None
    if not isinstance(found, _Whitening):
        return "none besides the model's own"
    return f"{found.kind}, {found.dim} dimensions, fitted on {found.provenance}, {found.fingerprint[:16]}"
