"""A landmark benchmark end to end: rank, re-rank, measure, and say how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from resight.datasets.landmark_folder import LandmarkFolder
from resight.datasets.landmark_truth import LandmarkTruth
from resight.errors import InvalidInput
from resight.evaluation.card import Fact, ProtocolCard, QueryView, Source, landmark_card, source_of
from resight.evaluation.descriptor_files import open_matrix
from resight.evaluation.digests import bytes_of
from resight.evaluation.drawn import DrawnUnits, drawn_units
from resight.evaluation.landmark_description import LandmarkDescriptors, describe_landmarks
from resight.evaluation.measures.landmarks import LandmarkColumn, main_quantity, measure_task, ranks_without
from resight.evaluation.pictures import Pictures, landmark_rows
from resight.evaluation.refinement import (
    UNREFINED,
    Heads,
    Refinement,
    expanded_queries,
    verified_heads,
)
from resight.evaluation.result import Column, Measure, Result
from resight.evaluation.statistics import Intervals, bootstrap
from resight.evaluation.ties import tie_warning
from resight.files import Progress
from resight.models.model import Model
from resight.search.exact import Ranks, rank_marked, rank_scores

__all__ = [
    "evaluate_landmarks",
    "marked_images",
    "measure_descriptors",
    "measure_similarities",
    "query_view",
    "result_of",
    "task_columns",
]

_SHOWN = 8


def evaluate_landmarks(
    model: Model,
    folder: LandmarkFolder,
    *,
    crop: bool = True,
    distractors: str | Path | None = None,
    refinement: Refinement = UNREFINED,
    selection: str = "not stated",
    intervals: Intervals | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Returns a model's result on a landmark benchmark.

    Args:
        model: Describes the photos.
        folder: As ``resight.datasets.open_landmarks`` returns it.
        crop: Whether queries are cropped to their boxes, at the database's pixel scale.
        distractors: A ``.npy`` of descriptors by the same model, appended to the database and always wrong.
        refinement: Query expansion and verification.
        selection: How the model was chosen; it goes on the card.
        intervals: What is drawn: ``landmarks`` (by default, where they are known) or ``queries``.
        seed: Of the bootstrap.
        progress: Called with the photos described and their number.

    Raises:
        InvalidInput: A photo is missing, or descriptors cannot be used.
        UnreadableImage: A photo is broken.
    """
    described = describe_landmarks(
        model, folder, crop=crop, keep_local=refinement.verify > 0, progress=progress
    )
    source = source_of(model, view=query_view(folder.truth, crop=crop), root=folder.root.name)
    return measure_descriptors(
        folder.truth,
        described,
        source,
        distractors=distractors,
        refinement=refinement,
        selection=selection,
        intervals=intervals,
        seed=seed,
        pictures=Pictures(folder.database, folder.queries, crop=crop),
    )


def measure_descriptors(
    truth: LandmarkTruth,
    described: LandmarkDescriptors,
    source: Source,
    *,
    distractors: str | Path | None = None,
    refinement: Refinement = UNREFINED,
    selection: str = "not stated",
    intervals: Intervals | None = None,
    seed: int = 0,
    pictures: Pictures | None = None,
    progress: Progress | None = None,
) -> Result:
    """Returns the result of descriptors, of any source.

    Args:
        truth: The positives of each query.
        described: In the order of the truth.
        source: Of the descriptors, for the card.
        distractors: A ``.npy`` of descriptors appended to the database.
        refinement: Query expansion and verification.
        selection: How the model was chosen.
        intervals: As for `evaluate_landmarks`.
        seed: Of the bootstrap.
        pictures: Paths of the photos; names alone by default.
        progress: Called with the descriptors compared.

    Raises:
        InvalidInput: Numbers or dimensions of descriptors differ, one is not finite, or verification is asked
            for without local features.
    """
    parts: list[Float[np.ndarray, "_ dim"]] = [described.database]
    if distractors is not None:
        parts.append(open_matrix(distractors))
    if refinement.verify and not described.query_local:
        raise InvalidInput("these descriptors come without local features: they cannot be verified")
    marked = marked_images(truth)
    depth = _depth(truth, refinement)
    queries = described.queries
    if refinement.expand:
        first = rank_marked(queries, parts, marked, first=refinement.expand, progress=progress)
        queries = expanded_queries(queries, parts, first.first, alpha=refinement.alpha)
    ranks = rank_marked(queries, parts, marked, first=depth, progress=progress)
    heads = None
    if refinement.verify:
        heads = verified_heads(truth, ranks, described, refinement.verify, protocol=refinement.protocol)
    units = drawn_units(truth, intervals)
    card = landmark_card(
        truth,
        source,
        descriptors=bytes_of(described.database, described.queries),
        reranking=refinement.words,
        distractors=_distractors(distractors, parts),
        selection=selection,
        units=units,
        seed=seed,
        nothing_in=len(described.nothing_in),
    )
    return result_of(truth, ranks, card, units, heads=heads, pictures=pictures, seed=seed)


def measure_similarities(
    truth: LandmarkTruth,
    similarities: Float[np.ndarray, "q n"],
    source: Source,
    *,
    intervals: Intervals | None = None,
    seed: int = 0,
    pictures: Pictures | None = None,
) -> Result:
    """Returns the result of a matrix of scores, a row a query and a column a database image.

    Raises:
        InvalidInput: The shape is another, or a score is NaN.
    """
    shape = (len(truth.queries), len(truth.database))
    if similarities.shape != shape:
        raise InvalidInput(
            f"{source.name} is {similarities.shape[0]} x {similarities.shape[1]}; {truth.benchmark} needs a "
            f"row for each of {shape[0]} queries and a column for each of {shape[1]} database images"
        )
    ranks = rank_scores(np.asarray(similarities), marked_images(truth), first=_depth(truth, UNREFINED))
    units = drawn_units(truth, intervals)
    card = landmark_card(
        truth,
        source,
        descriptors=bytes_of(similarities),
        reranking="none",
        distractors="none",
        selection="not stated",
        units=units,
        seed=seed,
    )
    return result_of(truth, ranks, card, units, pictures=pictures, seed=seed)


def result_of(
    truth: LandmarkTruth,
    ranks: Ranks,
    card: ProtocolCard,
    units: DrawnUnits,
    *,
    heads: Heads | None = None,
    pictures: Pictures | None = None,
    seed: int = 0,
) -> Result:
    """Returns the result of ranks: means with intervals, every query's values, and rows to look at."""
    columns = task_columns(truth, ranks, heads=heads)
    main = _main(truth, columns)
    shown = pictures or Pictures(truth.database, truth.queries, crop=False)
    return Result(
        _with_ties(card, ranks),
        tuple(
            Measure.of(column.quantity, bootstrap(column.values, classes=units.array, seed=seed))
            for column in columns
        ),
        None,
        shown.queries,
        tuple(Column.of(column.quantity, column.values) for column in columns),
        landmark_rows(truth, ranks, main, shown, None if heads is None else heads[main.quantity.task]),
        main.quantity,
        units.of,
    )


def _with_ties(card: ProtocolCard, ranks: Ranks) -> ProtocolCard:
    """Returns the card, with a warning beside its rule for ties where many scores are equal."""
    warning = tie_warning(ranks.first.scores)
    if not warning:
        return card
    facts = (
        Fact(fact.name, f"{fact.text}; {warning}") if fact.name == "ties" else fact for fact in card.facts
    )
    return replace(card, facts=tuple(facts))


def task_columns(truth: LandmarkTruth, ranks: Ranks, *, heads: Heads | None = None) -> list[LandmarkColumn]:
    """Returns every measure of every task, with re-ranked heads where there are."""
    columns = []
    for task in truth.tasks:
        hits = [
            ranks_without(ranks, query, task, head=None if heads is None else heads[task.name][query])
            for query in range(len(truth.queries))
        ]
        columns += measure_task(truth.formula, task, hits)
    return columns


def marked_images(truth: LandmarkTruth) -> list[Int64[np.ndarray, " _"]]:
    """Returns for each query the database images whose ranks are needed, ascending."""
    return [np.array(sorted(truth.marked(query)), dtype=np.int64) for query in range(len(truth.queries))]


def query_view(truth: LandmarkTruth, *, crop: bool) -> QueryView:
    """Returns how queries are shown.

    Raises:
        InvalidInput: They are to be cropped, and some have no box in a benchmark that has boxes.
    """
    if not crop:
        return "whole"
    if all(box is None for box in truth.boxes):
        return "without boxes"
    if any(box is None for box in truth.boxes):
        raise InvalidInput(f"some queries of {truth.benchmark} have no box: evaluate with --whole-queries")
    return "cropped"


def _depth(truth: LandmarkTruth, refinement: Refinement) -> int:
    """Returns how many first answers leave enough when what is ignored is taken out."""
    most = max((len(ignored) for task in truth.tasks for ignored in task.ignored), default=0)
    return max(refinement.verify, _SHOWN) + most


def _main(truth: LandmarkTruth, columns: Sequence[LandmarkColumn]) -> LandmarkColumn:
    """Returns the column that queries are ordered by: of Medium, else of the only or the last task."""
    tasks = [task.name for task in truth.tasks]
    main = main_quantity(truth.formula, "medium" if "medium" in tasks else tasks[-1])
    return next(column for column in columns if column.quantity == main)


def _distractors(path: str | Path | None, parts: Sequence[Float[np.ndarray, "_ dim"]]) -> str:
    """Returns how many there are, of which file and of which bytes."""
    if path is None:
        return "none"
    matrix = parts[-1]
    return f"{len(matrix):,} of {Path(path).name} ({matrix.dtype}, {bytes_of(matrix)})"
