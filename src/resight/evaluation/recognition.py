"""Predictions as the Google Landmarks challenges take them: made by a model or read, and measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from resight.datasets.google_landmarks import Solution, Usage
from resight.datasets.landmark_folder import Recognition
from resight.datasets.query_landmarks import QueryLandmarks, sharing_answers
from resight.errors import InvalidInput
from resight.evaluation.card import (
    INTERVALS,
    NOT_STATED,
    Fact,
    ProtocolCard,
    Source,
    bootstrap_convention,
    source_of,
    versions,
)
from resight.evaluation.digests import DESCRIPTORS, GROUND_TRUTH, bytes_of, ground_truth, short
from resight.evaluation.drawn import DrawnUnits, units_of
from resight.evaluation.landmark_description import describe_landmarks
from resight.evaluation.landmarks import marked_images
from resight.evaluation.measures.recognition import (
    average_precisions_at_100,
    micro_average_precision_interval,
)
from resight.evaluation.quantity import Quantity
from resight.evaluation.result import Column, Measure, Result
from resight.evaluation.statistics import Intervals, bootstrap
from resight.files import Progress, read_rows, sha256_of
from resight.models.model import Model
from resight.search.exact import rank_marked
from resight.search.recognition import neighbour_scores, recognise

__all__ = ["evaluate_recognition", "measure_predicted", "measure_predictions"]

_SCORED: tuple[Usage, ...] = ("Public", "Private")
_CONVENTIONS = {
    "retrieval": (
        "mAP@100 is rectangular: precision at each first hit within 100, divided by min(positives, 100).",
        "A test image without prediction scores 0; a repeated image scores nothing and keeps its rank.",
    ),
    "recognition": (
        "µAP is over all predictions together: ties by image, then class; M counts images with a landmark.",
        "A prediction for an image without landmark is wrong; accuracy is over images with a landmark.",
    ),
}


def evaluate_recognition(
    model: Model,
    benchmark: Recognition,
    *,
    neighbours: int = 3,
    selection: str = "not stated",
    intervals: Intervals | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Returns the micro average precision of a model on the recognition task of Google Landmarks v2.

    Every test image that counts is given the landmark with the largest sum of cosines among its nearest
    training images (``resight.search.recognition``), and that sum as its score.

    Args:
        model: Describes the photos.
        benchmark: As ``resight.datasets.read_recognition`` returns it.
        neighbours: Training images that vote.
        selection: How the model was chosen; it goes on the card.
        intervals: ``landmarks`` or ``queries`` (test images) are drawn for them; landmarks by default.
        seed: Of the bootstrap.
        progress: Called with the photos described and their number.

    Raises:
        InvalidInput: A photo is missing.
        UnreadableImage: A photo is broken.
    """
    folder, landmarks = benchmark.folder, benchmark.landmarks
    described = describe_landmarks(model, folder, crop=False, progress=progress)
    nearest = rank_marked(
        described.queries, [described.database], marked_images(folder.truth), first=neighbours
    ).first
    predicted = {}
    for query, image in enumerate(folder.truth.queries):
        ids, scores = nearest.row(query)
        cosines = neighbour_scores(scores.tolist(), [None] * len(ids))
        best = recognise([landmarks[row] for row in ids.tolist()], np.asarray(cosines), neighbours=neighbours)
        predicted[image] = f"{best[0].label} {best[0].score!r}"
    return measure_predicted(
        predicted,
        benchmark.solution,
        source_of(model, view="whole", root=folder.root.name),
        method=f"by the {neighbours} nearest of {len(landmarks):,} images of {benchmark.train}, "
        "sum of cosines a landmark",
        descriptors=bytes_of(described.database, described.queries),
        truth=ground_truth(folder.truth.files),
        selection=selection,
        intervals=intervals,
        seed=seed,
    )


def measure_predictions(
    path: str | Path,
    solution: Solution,
    *,
    name: str,
    truth: str = NOT_STATED,
    intervals: Intervals | None = None,
    seed: int = 0,
) -> Result:
    """Returns the result of a file of predictions, its public and its private test images each for itself.

    Columns ``id`` and ``images`` (index images, best first, between blanks), or ``id`` and ``landmarks`` (a
    landmark and its score; nothing: no prediction). Predictions for ignored test images are left out.

    Args:
        path: The CSV file.
        solution: As ``resight.datasets.google_landmarks.read_solution`` returns it.
        name: Of the solution's file.
        truth: What stands for the bytes of that file, for the card.
        intervals: As for `evaluate_recognition`.
        seed: Of the bootstrap.

    Raises:
        InvalidInput: The file cannot be read or understood, predicts an image twice, or one that the solution
            does not have.
    """
    path = Path(path)
    column = "images" if solution.kind == "retrieval" else "landmarks"
    predicted: dict[str, str] = {}
    for row in read_rows(path, ("id", column)):
        if row["id"] in predicted:
            raise InvalidInput(f"{path} predicts {row['id']} twice")
        if row["id"] not in solution.usages:
            raise InvalidInput(f"{path} predicts {row['id']}, which is no test image of {name}")
        predicted[row["id"]] = row[column]
    digest = sha256_of([path])
    source = Source(path.name, digest, 0, 0, (), "unknown", "not known", name)
    return measure_predicted(
        predicted,
        solution,
        source,
        descriptors=short(digest),
        truth=truth,
        intervals=intervals,
        seed=seed,
    )


def measure_predicted(
    predicted: Mapping[str, str],
    solution: Solution,
    source: Source,
    *,
    method: str = "as in the file",
    descriptors: str = NOT_STATED,
    truth: str = NOT_STATED,
    selection: str = NOT_STATED,
    intervals: Intervals | None = None,
    seed: int = 0,
) -> Result:
    """Returns the result of predictions in the form that the challenges' files have.

    Args:
        predicted: Test image to its column of the file; those that are ignored may be among them.
        solution: What is right.
        source: Of the predictions, for the card.
        method: How they were made, in words.
        descriptors: What stands for the bytes of the descriptors or predictions, for the card.
        truth: What stands for the bytes of the solution, for the card.
        selection: How the model was chosen.
        intervals: As for `evaluate_recognition`.
        seed: Of the bootstrap.

    Raises:
        InvalidInput: A prediction cannot be understood, or no test image counts.
    """
    queries = tuple(image for image, usage in solution.usages.items() if usage != "Ignored")
    parts = [usage for usage in _SCORED if solution.of(usage)]
    if not parts:
        raise InvalidInput(f"{source.root} has neither a public nor a private test image")
    units = _units(solution, queries, parts, intervals)
    measures, columns = [], []
    for usage in parts:
        answers = solution.of(usage)
        own = {image: text for image, text in predicted.items() if image in answers}
        if solution.kind == "retrieval":
            values = average_precisions_at_100({image: text.split() for image, text in own.items()}, answers)
            quantity = Quantity("mAP@100", task=usage.lower())
            column = Column(quantity, tuple(values.get(image) for image in queries))
            measure = Measure.of(quantity, bootstrap(column.array, classes=units.array, seed=seed))
        else:
            measure, column = _recognition(source.name, own, answers, queries, usage, units, seed)
        measures.append(measure)
        columns.append(column)
    return Result(
        _card(
            source,
            solution,
            queries,
            facts=(
                Fact("predictions", method),
                Fact("whitening", source.whitening),
                Fact("left out", "ignored test images"),
                Fact(INTERVALS, units.words),
                Fact(GROUND_TRUTH, truth),
                Fact(DESCRIPTORS, descriptors),
            ),
            drawn=units.name,
            selection=selection,
            seed=seed,
        ),
        tuple(measures),
        None,
        queries,
        tuple(columns),
        (),
        columns[-1].quantity,
        units.of,
    )


def _units(
    solution: Solution, queries: tuple[str, ...], parts: list[Usage], intervals: Intervals | None
) -> DrawnUnits:
    """Returns what is drawn: test images of one landmark together, or test images."""
    landmarks = QueryLandmarks(
        sharing_answers([solution.answers[image] for image in queries]),
        "test images that share half of their right answers or more",
    )
    counted = [
        {place for place, image in enumerate(queries) if solution.usages[image] == usage} for usage in parts
    ]
    return units_of(landmarks, counted, intervals)


def _recognition(
    name: str,
    own: dict[str, str],
    answers: dict[str, frozenset[str]],
    queries: tuple[str, ...],
    usage: Usage,
    units: DrawnUnits,
    seed: int,
) -> tuple[Measure, Column]:
    images, classes, scores = [], [], []
    for image, text in own.items():
        if not text.strip():
            continue
        try:
            landmark, score = text.split()
            scores.append(float(score))
        except ValueError:
            raise InvalidInput(
                f"{name} predicts {text!r:.40} for {image}; a landmark and its score are expected"
            ) from None
        images.append(image)
        classes.append(landmark)
    unit_of = dict(zip(queries, units.of or range(len(queries)), strict=True))
    interval = micro_average_precision_interval(
        images,
        classes,
        np.array(scores),
        answers,
        drawn_with=[unit_of[image] for image in answers],
        seed=seed,
    )
    landmark_of = dict(zip(images, classes, strict=True))
    right = tuple(
        float(landmark_of.get(image) in answers[image]) if answers.get(image) else None for image in queries
    )
    task = usage.lower()
    return Measure.of(Quantity("µAP", task=task), interval), Column(Quantity("accuracy", task=task), right)


def _card(
    source: Source,
    solution: Solution,
    queries: tuple[str, ...],
    *,
    facts: tuple[Fact, ...],
    drawn: str,
    selection: str,
    seed: int,
) -> ProtocolCard:
    answers = repr([(image, sorted(solution.answers[image])) for image in queries])
    return ProtocolCard(
        benchmark=f"gldv2 {solution.kind}",
        folder=source.root,
        split="public, private",
        images=len(queries),
        classes=0,
        queries=len(queries),
        gallery=0,
        boxes=False,
        model=source.name,
        model_fingerprint=source.fingerprint,
        dim=source.dim,
        max_side=source.max_side,
        scales=source.scales,
        selection=source.selection if selection == NOT_STATED else selection,
        seed=seed,
        data_fingerprint=hashlib.sha256(answers.encode()).hexdigest(),
        versions=versions(),
        conventions=(*_CONVENTIONS[solution.kind], bootstrap_convention(drawn)),
        facts=facts,
    )
