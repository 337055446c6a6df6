"""A labelled benchmark end to end: describe its test images, measure, and say how."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32, Float64

from resight.datasets.dataset import Benchmark, LabelledImages
from resight.errors import InvalidInput
from resight.evaluation.answers import FirstAnswers, first_answers
from resight.evaluation.card import make_card
from resight.evaluation.measures.clustering import ClusterResult, cluster
from resight.evaluation.measures.labels import LabelResult, evaluate_labels
from resight.evaluation.measures.positives import Progress
from resight.evaluation.result import Column, Measure, PictureRow, Result, ShownAnswer, ShownPhoto
from resight.evaluation.statistics import bootstrap
from resight.models.model import Model

__all__ = ["describe_set", "evaluate_benchmark", "measure_set"]

_ROWS_OF_A_KIND, _ANSWERS_SHOWN = 8, 8


def evaluate_benchmark(
    model: Model,
    benchmark: Benchmark,
    *,
    clusters: bool = True,
    selection: str = "not stated",
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Returns a model's result on a benchmark's test images.

    Args:
        model: Describes the photos, cropped to their boxes where the benchmark was loaded with boxes.
        benchmark: As ``resight.datasets.load`` returns it.
        clusters: Whether NMI and AMI are measured too; above 2000 classes that takes minutes.
        selection: How the model was chosen; it goes on the card.
        seed: Of k-means and the bootstrap.
        progress: Is called with the photos described and their number.

    Raises:
        UnreadableImage: A photo is missing or broken.
        InvalidInput: The model's descriptors are not of unit norm.
    """
    descriptors = describe_set(model, benchmark.test, progress=progress)
    return measure_set(model, benchmark, descriptors, clusters=clusters, selection=selection, seed=seed)


def describe_set(
    model: Model, photos: LabelledImages, *, progress: Progress | None = None
) -> Float32[np.ndarray, "n dim"]:
    """Returns one descriptor a photo, in the order of the set.

    Batches are read and described in as many threads as there are processors.

    Raises:
        UnreadableImage: A photo is missing or broken.
        InvalidInput: A box lies outside its photo.
    """
    paths = [photos.root / path for path in photos.paths]
    boxes = photos.boxes if photos.boxes is not None else (None,) * len(paths)
    descriptors = np.empty((len(paths), model.dim), dtype=np.float32)
    size = max(model.batch_size, 4)
    threads = os.cpu_count() or 1
    waiting: deque[tuple[slice, Future[Float32[np.ndarray, "batch dim"]]]] = deque()

    def collect() -> None:
        part, call = waiting.popleft()
        descriptors[part] = call.result()
        if progress is not None:
            progress(part.stop, len(paths))

    with ThreadPoolExecutor(threads, thread_name_prefix="resight-describe") as pool:
        for start in range(0, len(paths), size):
            part = slice(start, min(start + size, len(paths)))
            waiting.append((part, pool.submit(model.describe, paths[part], boxes=boxes[part])))
            # Few ahead, so that a broken photo ends the work soon.
            if len(waiting) > 2 * threads:
                collect()
        while waiting:
            collect()
    return descriptors


def measure_set(
    model: Model,
    benchmark: Benchmark,
    descriptors: Float32[np.ndarray, "n dim"],
    *,
    clusters: bool = True,
    selection: str = "not stated",
    seed: int = 0,
) -> Result:
    """Returns the result of descriptors that a model has made of a benchmark's test images.

    Args:
        model: Made the descriptors.
        benchmark: As ``resight.datasets.load`` returns it.
        descriptors: One a test image, unit L2 norm.
        clusters: Whether NMI and AMI are measured too.
        selection: How the model was chosen; it goes on the card.
        seed: Of k-means and the bootstrap.

    Raises:
        InvalidInput: There are more or fewer descriptors than test images, or one is not of unit norm.
    """
    test = benchmark.test
    if len(descriptors) != len(test):
        raise InvalidInput(f"{len(descriptors)} descriptors were given for {len(test)} test images")
    found = evaluate_labels(
        descriptors, test.labels, queries=test.queries, gallery=test.gallery, ks=benchmark.ks
    )
    columns = _columns(found)
    grouped = cluster(descriptors, test.labels, seed=seed) if clusters else None
    return Result(
        make_card(model, benchmark.name, test, selection=selection, seed=seed),
        (*(_mean(column, seed) for column in columns), *_agreement(grouped, len(test))),
        grouped,
        tuple(test.paths[query] for query in found.per_query.queries),
        columns,
        _rows(found, test, descriptors),
    )


def _columns(found: LabelResult) -> tuple[Column, ...]:
    values = found.per_query
    recalls = [
        (f"R@{k}", hits.astype(np.float64))
        for (k, _), hits in zip(found.recall, values.recall.T, strict=True)
    ]
    named = [*recalls, ("MAP@R", values.map_at_r), ("R-precision", values.r_precision)]
    return tuple(Column(name, _without_nan(column)) for name, column in named)


def _without_nan(values: Float64[np.ndarray, " n"]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else value for value in values.tolist())


def _mean(column: Column, seed: int) -> Measure:
    interval = bootstrap(column.array, seed=seed)
    if interval.count == 0:
        return Measure(column.name, None, None, None, 0)
    return Measure(column.name, interval.mean, interval.low, interval.high, interval.count)


def _agreement(found: ClusterResult | None, images: int) -> tuple[Measure, ...]:
    if found is None:
        return ()
    return Measure("NMI", found.nmi, None, None, images), Measure("AMI", found.ami, None, None, images)


def _rows(
    found: LabelResult, test: LabelledImages, descriptors: Float32[np.ndarray, "n dim"]
) -> tuple[PictureRow, ...]:
    """Returns the worst queries by MAP@R, of different labels while there are such, and the median ones."""
    values = found.per_query
    counted = np.flatnonzero(values.positives > 0)
    order = counted[np.lexsort((values.queries[counted], values.map_at_r[counted]))]
    worst = _of_different_labels(order, test.labels[values.queries])
    middle = max(0, len(order) // 2 - _ROWS_OF_A_KIND // 2)
    median = [place for place in order[middle:].tolist() if place not in worst][:_ROWS_OF_A_KIND]
    places = [*worst, *median]
    answers = (
        first_answers(descriptors, values.queries[places].tolist(), _ANSWERS_SHOWN, gallery=test.gallery)
        if places
        else []
    )
    return tuple(
        PictureRow(
            "worst" if number < len(worst) else "median",
            _shown(test, int(values.queries[place])),
            float(values.map_at_r[place]),
            int(values.positives[place]),
            _judged(test, int(values.queries[place]), found_answers),
        )
        for number, (place, found_answers) in enumerate(zip(places, answers, strict=True))
    )


def _of_different_labels(order: np.ndarray, labels: np.ndarray) -> list[int]:
    """Returns the first places of an order; a label comes again only when every other one has been taken."""
    _, first = np.unique(labels[order], return_index=True)
    once = np.sort(first)[:_ROWS_OF_A_KIND]
    rest = np.setdiff1d(np.arange(len(order)), once)[: _ROWS_OF_A_KIND - len(once)]
    chosen: Sequence[int] = np.sort(np.concatenate([once, rest])).tolist()
    return [int(order[number]) for number in chosen]


def _judged(test: LabelledImages, query: int, found: FirstAnswers) -> tuple[ShownAnswer, ...]:
    return tuple(
        ShownAnswer(_shown(test, index), score, bool(test.labels[index] == test.labels[query]))
        for index, score in zip(found.indices.tolist(), found.scores.tolist(), strict=True)
    )


def _shown(test: LabelledImages, index: int) -> ShownPhoto:
    box = test.boxes[index] if test.boxes is not None else None
    return ShownPhoto(
        test.paths[index], test.label_names[int(test.labels[index])], None if box is None else box.corners
    )
