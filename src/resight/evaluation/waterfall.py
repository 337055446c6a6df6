"""What each step after the descriptor adds: mean average precision and milliseconds a query, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from resight.datasets.landmark_folder import LandmarkFolder
from resight.datasets.landmark_truth import LandmarkTruth
from resight.errors import InvalidInput
from resight.evaluation.card import ProtocolCard, landmark_card, source_of
from resight.evaluation.digests import bytes_of
from resight.evaluation.drawn import DrawnUnits, drawn_units
from resight.evaluation.landmark_description import LandmarkDescriptors, describe_landmarks
from resight.evaluation.landmarks import marked_images, query_view, task_columns
from resight.evaluation.measures.landmarks import LandmarkColumn, main_quantity
from resight.evaluation.refinement import Heads, expanded_queries, verified_heads
from resight.evaluation.result import Measure
from resight.evaluation.statistics import Intervals, PairedTest, bootstrap, paired
from resight.files import Progress
from resight.models.model import Model
from resight.models.whitening import Whitening
from resight.search.exact import Ranks, rank_marked, ranks_of
from resight.search.ranking import Ranking

__all__ = ["Stage", "Steps", "Waterfall", "evaluate_waterfall", "whitening_of"]

_ANSWERS = 100
"""Answers a query is timed with."""
_GAMMA, _WALK = 3.0, 0.99
"""Of diffusion: exponent of affinities, and share of a score that is handed on (Iscen 2017)."""


@dataclass(frozen=True, slots=True)
class Steps:
    """How far each step goes.

    Attributes:
        expand: Neighbours of alpha query expansion, at least 1.
        augment: Neighbours of database augmentation.
        alpha: Exponent of both.
        verify: Answers that are verified, where the model has local features.
    """

    expand: int = 10
    augment: int = 10
    alpha: float = 3.0
    verify: int = 100

    def words(self, size: int, *, verified: bool) -> str:
        """Returns all of it for the protocol card, of a database of so many images."""
        from resight.search.diffusion import default_neighbours, default_query_neighbours

        parts = [
            f"alpha query expansion by {min(self.expand, size)} neighbours, alpha {self.alpha:g}",
            f"database augmentation by {min(self.augment, size - 1)}, alpha {self.alpha:g}",
            f"diffusion over {default_neighbours(size)} mutual neighbours from "
            f"{default_query_neighbours(size)} of the query, gamma {_GAMMA:g}, alpha {_WALK:g}",
        ]
        if verified:
            parts.append(f"geometric verification of the first {self.verify}, by evidence and score")
        return "step by step: " + "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Stage:
    """One step, together with all before it.

    Attributes:
        name: What it adds.
        measures: Mean average precision of each task, with intervals.
        changes: For each task, the paired test against the stage before; None for the first.
        milliseconds: Of answering a query with 100 answers, one after the other, description not counted.
        offline_seconds: Of what was made once for the whole database.
    """

    name: str
    measures: tuple[Measure, ...]
    changes: tuple[PairedTest | None, ...]
    milliseconds: float
    offline_seconds: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All stages of a model on a benchmark.

    Attributes:
        card: How they came about.
        stages: The descriptor alone first.
    """

    card: ProtocolCard
    stages: tuple[Stage, ...]

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from resight._shown import notebook_html

        return notebook_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """One stage before it is measured."""

    name: str
    ranks: Ranks
    heads: Heads | None
    milliseconds: float
    offline_seconds: float


def whitening_of(model: Model, whitened: Model) -> Whitening:
    """Returns the whitening of a whitened model.

    Raises:
        InvalidInput: It carries none, or belongs to another model.
    """
    if whitened.whitening is None:
        raise InvalidInput(f"{whitened.name} carries no whitening: make one with resight whiten")
    plain = whitened.unwhitened()
    if plain.fingerprint != model.fingerprint:
        raise InvalidInput(
            f"the whitening of {whitened.name} belongs to another model than {model.name}: fingerprints "
            f"are {plain.fingerprint[:16]} and {model.fingerprint[:16]}"
        )
    return whitened.whitening


def evaluate_waterfall(
    model: Model,
    folder: LandmarkFolder,
    *,
    whitening: Whitening | None = None,
    crop: bool = True,
    steps: Steps = Steps(),
    selection: str = "not stated",
    intervals: Intervals | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Waterfall:
    """Returns what whitening, query expansion, augmentation, diffusion and verification add, in that order.

    Args:
        model: Describes the photos; of a whitened one the whitening is a step of its own.
        folder: The benchmark.
        whitening: Of the model's descriptors, fitted on other photos; none: that step is left out.
        crop: Whether queries are cropped to their boxes.
        steps: How far each goes.
        selection: How the model was chosen; it goes on the card.
        intervals: As for `evaluate_landmarks`; the paired tests turn the signs of the same.
        seed: Of the bootstrap and the tests.
        progress: Called with the photos described and their number.

    Raises:
        InvalidInput: A photo is missing, or the whitening takes descriptors of another length.
        UnreadableImage: A photo is broken.
    """
    if whitening is None:
        whitening, model = model.whitening, model.unwhitened()
    if whitening is not None and whitening.inputs != model.dim:
        raise InvalidInput(
            f"the whitening takes {whitening.inputs} dimensions and {model.name} gives {model.dim}"
        )
    described = describe_landmarks(
        model, folder, crop=crop, keep_local=False if steps.verify == 0 else None, progress=progress
    )
    truth = folder.truth
    source = source_of(model, view=query_view(truth, crop=crop), root=folder.root.name)
    if whitening is not None:
        words = f"a step: {whitening.kind}, {whitening.dim} dimensions, fitted on {whitening.provenance}"
        source = replace(source, whitening=words)
    units = drawn_units(truth, intervals)
    card = landmark_card(
        truth,
        source,
        descriptors=bytes_of(described.database, described.queries),
        reranking=steps.words(len(described.database), verified=bool(described.query_local and steps.verify)),
        distractors="none",
        selection=selection,
        units=units,
        seed=seed,
        nothing_in=len(described.nothing_in),
    )
    stages = _stages(truth, described, whitening, steps)
    return Waterfall(card, tuple(_measured(truth, stages, units, seed)))


def _measured(
    truth: LandmarkTruth, stages: Iterable[_Ranked], units: DrawnUnits, seed: int
) -> Iterator[Stage]:
    """Yields each stage with its main measures and their changes."""
    main = {main_quantity(truth.formula, task.name) for task in truth.tasks}
    before: list[LandmarkColumn] = []
    for ranked in stages:
        columns = [
            column
            for column in task_columns(truth, ranked.ranks, heads=ranked.heads)
            if column.quantity in main
        ]
        changes = tuple(
            paired(old.values, new.values, classes=units.array, seed=seed)
            for old, new in zip(before, columns, strict=bool(before))
        )
        yield Stage(
            ranked.name,
            tuple(
                Measure.of(column.quantity, bootstrap(column.values, classes=units.array, seed=seed))
                for column in columns
            ),
            changes or (None,) * len(columns),
            ranked.milliseconds,
            ranked.offline_seconds,
        )
        before = columns


def _stages(
    truth: LandmarkTruth, described: LandmarkDescriptors, whitening: Whitening | None, steps: Steps
) -> list[_Ranked]:
    from resight.search.diffusion import Diffusion
    from resight.search.exact import ExactIndex
    from resight.search.expansion import augment_database, search_expanded

    marked = marked_images(truth)
    size = len(described.database)
    n = min(steps.expand, size)
    # Everything that is ignored must be able to leave before the first are verified.
    depth = min(size, steps.verify + max((len(rows) for rows in marked), default=0))

    def index_of(rows: Float32[np.ndarray, "n dim"]) -> ExactIndex:
        index = ExactIndex(rows.shape[1], fingerprint="waterfall")
        index.add(np.arange(len(rows)), rows)
        return index

    def plain(
        name: str, queries: Float32[np.ndarray, "q dim"], database: Float32[np.ndarray, "n dim"]
    ) -> _Ranked:
        index = index_of(database)
        taken = _milliseconds(queries, lambda query: index.search(query, _ANSWERS))
        return _Ranked(name, rank_marked(queries, [database], marked, first=depth), None, taken, 0.0)

    def expanded(name: str, index: ExactIndex, offline: float) -> _Ranked:
        whole = search_expanded(index, queries, size, n=n, alpha=steps.alpha)
        taken = _milliseconds(
            queries, lambda query: search_expanded(index, query, _ANSWERS, n=n, alpha=steps.alpha)
        )
        return _Ranked(name, ranks_of(whole, marked), None, taken, offline)

    queries, database = described.queries, described.database
    stages = [plain("descriptor", queries, database)]
    if whitening is not None:
        queries, database = whitening.apply(queries), whitening.apply(database)
        stages.append(plain("+ whitening", queries, database))
    index = index_of(database)
    stages.append(expanded("+ alpha query expansion", index, 0.0))
    started = time.perf_counter()
    database = augment_database(index, n=min(steps.augment, size - 1), alpha=steps.alpha)
    index = index_of(database)
    offline = time.perf_counter() - started
    stages.append(expanded("+ database augmentation", index, offline))
    started = time.perf_counter()
    diffusion = Diffusion.of_index(index, gamma=_GAMMA, alpha=_WALK)
    offline += time.perf_counter() - started

    def enriched(some: Float32[np.ndarray, "q dim"]) -> Float32[np.ndarray, "q dim"]:
        return expanded_queries(some, [database], index.search(some, n), alpha=steps.alpha)

    def diffused(some: Float32[np.ndarray, "q dim"], k: int) -> Ranking:
        return diffusion.rank(enriched(some), k)

    ranks = ranks_of(diffused(queries, size), marked)
    taken = _milliseconds(queries, lambda query: diffused(query, _ANSWERS))
    stages.append(_Ranked("+ diffusion", ranks, None, taken, offline))
    if described.query_local and steps.verify:
        started = time.perf_counter()
        heads = verified_heads(truth, ranks, described, steps.verify)
        seconds = time.perf_counter() - started
        taken += 1000 * seconds / len(queries)
        stages.append(_Ranked(f"+ verification of {steps.verify}", ranks, heads, taken, offline))
    return stages


def _milliseconds(
    queries: Float32[np.ndarray, "q dim"], answer: Callable[[Float32[np.ndarray, "1 dim"]], object]
) -> float:
    """Returns the mean time of answering the queries one by one, the first one asked once more before."""
    answer(queries[:1])
    started = time.perf_counter()
    for query in queries:
        answer(query[None])
    return 1000 * (time.perf_counter() - started) / len(queries)
