"""Files of predictions as the Google Landmarks challenges take them, measured by the official rules."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from resight.datasets.landmarks import Solution, Usage, rows
from resight.errors import InvalidInput
from resight.evaluation.card import Fact, ProtocolCard, versions
from resight.evaluation.landmark_card import Source
from resight.evaluation.measures.recognition import (
    average_precisions_at_100,
    micro_average_precision_interval,
)
from resight.evaluation.result import Column, Measure, Result
from resight.evaluation.statistics import bootstrap

__all__ = ["measure_predicted", "measure_predictions"]

_SCORED: tuple[Usage, ...] = ("Public", "Private")
_CONVENTIONS = {
    "retrieval": (
        "mAP@100 is rectangular: precision at each first hit within 100, divided by min(positives, 100).",
        "A test image without prediction scores 0; a repeated image scores nothing and keeps its rank.",
        "Intervals: 95 %, percentile bootstrap over test images, 1000 draws.",
    ),
    "recognition": (
        "µAP is over all predictions together: ties by image, then class; M counts images with a landmark.",
        "A prediction for an image without landmark is wrong; accuracy is over images with a landmark.",
        "Intervals: 95 %, percentile bootstrap over test images, 1000 draws.",
    ),
}


def measure_predictions(path: str | Path, solution: Solution, *, name: str, seed: int = 0) -> Result:
    """Returns the result of a file of predictions, its public and its private test images each for itself.

    Columns ``id`` and ``images`` (index images, best first, between blanks), or ``id`` and ``landmarks`` (a
    landmark and its score; nothing: no prediction). Predictions for ignored test images are left out.

    Args:
        path: The CSV file.
        solution: As ``resight.datasets.landmarks.read_solution`` returns it.
        name: Of the solution's file.
        seed: Of the bootstrap.

    Raises:
        InvalidInput: The file cannot be read or understood, predicts an image twice, or one that the solution
            does not have.
    """
    path = Path(path)
    column = "images" if solution.kind == "retrieval" else "landmarks"
    predicted: dict[str, str] = {}
    for row in rows(path, ("id", column)):
        if row["id"] in predicted:
            raise InvalidInput(f"{path} predicts {row['id']} twice")
        if row["id"] not in solution.usages:
            raise InvalidInput(f"{path} predicts {row['id']}, which is no test image of {name}")
        predicted[row["id"]] = row[column]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = Source(path.name, digest, 0, 0, (), "as in the file", "not known", name)
    return measure_predicted(predicted, solution, source, seed=seed)


def measure_predicted(
    predicted: Mapping[str, str],
    solution: Solution,
    source: Source,
    *,
    selection: str = "not stated",
    seed: int = 0,
) -> Result:
    """Returns the result of predictions in the form that the challenges' files have.

    Args:
        predicted: Test image to its column of the file; those that are ignored may be among them.
        solution: What is right.
        source: Of the predictions, for the card.
        selection: How the model was chosen.
        seed: Of the bootstrap.

    Raises:
        InvalidInput: A prediction cannot be understood, or no test image counts.
    """
    queries = tuple(image for image, usage in solution.usages.items() if usage != "Ignored")
    parts = [usage for usage in _SCORED if solution.of(usage)]
    if not parts:
        raise InvalidInput(f"{source.root} has neither a public nor a private test image")
    measures, columns = [], []
    for usage in parts:
        wanted = solution.of(usage)
        own = {image: text for image, text in predicted.items() if image in wanted}
        if solution.kind == "retrieval":
            values = average_precisions_at_100({image: text.split() for image, text in own.items()}, wanted)
            found = Column(f"mAP@100 {usage.lower()}", tuple(values.get(image) for image in queries))
            interval = bootstrap(found.array, seed=seed)
            measures.append(Measure(found.name, interval.mean, interval.low, interval.high, interval.count))
        else:
            measure, found = _recognition(source.name, own, wanted, queries, usage, seed)
            measures.append(measure)
        columns.append(found)
    return Result(
        _card(source, solution, queries, selection, seed),
        tuple(measures),
        None,
        queries,
        tuple(columns),
        (),
        columns[-1].name,
    )


def _recognition(
    name: str,
    own: dict[str, str],
    wanted: dict[str, frozenset[str]],
    queries: tuple[str, ...],
    usage: Usage,
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
    interval = micro_average_precision_interval(images, classes, np.array(scores), wanted, seed=seed)
    landmark_of = dict(zip(images, classes, strict=True))
    right = tuple(
        float(landmark_of.get(image) in wanted[image]) if wanted.get(image) else None for image in queries
    )
    measure = Measure(f"µAP {usage.lower()}", interval.mean, interval.low, interval.high, interval.count)
    return measure, Column(f"accuracy {usage.lower()}", right)


def _card(
    source: Source, solution: Solution, queries: tuple[str, ...], selection: str, seed: int
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
        selection=selection,
        seed=seed,
        data_fingerprint=hashlib.sha256(answers.encode()).hexdigest(),
        versions=versions(),
        conventions=_CONVENTIONS[solution.kind],
        facts=(
            Fact("predictions", source.queries),
            Fact("whitening", source.whitening),
            Fact("left out", "ignored test images"),
        ),
    )
