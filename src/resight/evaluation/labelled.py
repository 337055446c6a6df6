"""A labelled benchmark end to end: describe its test images, measure, and say how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from resight.datasets.dataset import Benchmark, LabelledImages, Split, shared_classes
from resight.errors import InvalidInput
from resight.evaluation.card import (
    NOT_STATED,
    Fact,
    ProtocolCard,
    Source,
    labelled_card,
    source_of,
    transform_fact,
)
from resight.evaluation.digests import bytes_of
from resight.evaluation.drawn import drawn_classes
from resight.evaluation.measures.clustering import ClusterResult, cluster
from resight.evaluation.measures.labels import LabelResult, evaluate_labels
from resight.evaluation.pictures import labelled_rows
from resight.evaluation.quantity import Quantity
from resight.evaluation.result import Column, Measure, Result
from resight.evaluation.shown import TestTransform, transform_of, transformed_features
from resight.evaluation.statistics import Intervals, bootstrap
from resight.evaluation.ties import tie_warning
from resight.files import Progress
from resight.models.extract import describe_photos
from resight.models.model import Model

__all__ = ["describe_set", "evaluate_benchmark", "measure_set", "measure_source"]

_TIE_QUERIES = 200
"""How many queries are looked at for ties."""


def evaluate_benchmark(
    model: Model,
    benchmark: Benchmark,
    *,
    split: Split = "test",
    clusters: bool = True,
    selection: str = NOT_STATED,
    as_trained: bool = True,
    intervals: Intervals | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Returns a model's result on a benchmark's test or validation images.

    Args:
        model: Describes the photos, cropped to their boxes where the benchmark was loaded with boxes.
        benchmark: As ``resight.datasets.load`` returns it.
        split: Which images are measured.
        clusters: Whether NMI and AMI are measured too; above 2000 classes that takes minutes.
        selection: How the model was chosen; it goes on the card. As the model's bundle says by default.
        as_trained: Show photos as the model was measured in training, where its bundle says how; else, and
            for other models, they are reduced to its long side.
        intervals: As for `measure_set`.
        seed: Of k-means and the bootstrap.
        progress: Is called with the photos described and their number.

    Raises:
        UnreadableImage: A photo is missing or broken.
        InvalidInput: The benchmark has no such images, or the model's descriptors are not of unit norm.
    """
    transform = transform_of(model) if as_trained else None
    descriptors = describe_set(model, benchmark.measured(split), transform=transform, progress=progress)
    return measure_set(
        model,
        benchmark,
        descriptors,
        split=split,
        transform=transform,
        clusters=clusters,
        selection=selection,
        intervals=intervals,
        seed=seed,
    )


def describe_set(
    model: Model,
    photos: LabelledImages,
    *,
    transform: TestTransform | None = None,
    progress: Progress | None = None,
) -> Float32[np.ndarray, "n dim"]:
    """Returns one descriptor a photo, in the order of the set.

    Args:
        model: Describes the photos.
        photos: The set.
        transform: What each whole photo goes through first; by default it is reduced to the long side of
            the model.
        progress: Is called with the photos described and their number.

    Raises:
        UnreadableImage: A photo is missing or broken.
        InvalidInput: A box lies outside its photo.
    """
    paths = [photos.root / path for path in photos.paths]
    descriptors = np.empty((len(paths), model.dim), dtype=np.float32)
    described = (
        describe_photos(paths, model, boxes=photos.boxes)
        if transform is None
        else transformed_features(model, photos, transform)
    )
    for row, features in enumerate(described):
        descriptors[row] = features.descriptor
        if progress is not None:
            progress(row + 1, len(paths))
    return descriptors


def measure_set(
    model: Model,
    benchmark: Benchmark,
    descriptors: Float32[np.ndarray, "n dim"],
    *,
    split: Split = "test",
    transform: TestTransform | None = None,
    clusters: bool = True,
    selection: str = NOT_STATED,
    intervals: Intervals | None = None,
    seed: int = 0,
) -> Result:
    """Returns the result of descriptors that a model has made of a benchmark's test or validation images.

    Args:
        model: Made the descriptors.
        benchmark: As ``resight.datasets.load`` returns it.
        descriptors: One an image of the split, unit L2 norm.
        split: Which images are measured.
        transform: What the photos went through, for the card.
        clusters: Whether NMI and AMI are measured too.
        selection: How the model was chosen; it goes on the card.
        intervals: What is drawn: ``classes`` with all their queries (the default), or single ``queries``.
        seed: Of k-means and the bootstrap.

    Raises:
        InvalidInput: There are more or fewer descriptors than images, one is not of unit norm, landmarks are
            to be drawn, or the benchmark has no such images.
    """
    source = source_of(model, view="whole", root=benchmark.test.root.name)
    shown = () if transform is None else (transform_fact(transform),)
    return measure_source(
        source if transform is None else replace(source, max_side=transform.size),
        benchmark,
        descriptors,
        split=split,
        facts=shown,
        clusters=clusters,
        selection=selection,
        intervals=intervals,
        seed=seed,
    )


def measure_source(
    source: Source,
    benchmark: Benchmark,
    descriptors: Float32[np.ndarray, "n dim"],
    *,
    split: Split = "test",
    facts: tuple[Fact, ...] = (),
    clusters: bool = True,
    selection: str = NOT_STATED,
    intervals: Intervals | None = None,
    seed: int = 0,
) -> Result:
    """Returns the result of descriptors of any source, otherwise as `measure_set`.

    Args:
        source: Of the descriptors, for the card.
        benchmark: The set.
        descriptors: One an image of the split, unit L2 norm.
        split: Which images are measured.
        facts: What else the card says of the descriptors.
        clusters: Whether NMI and AMI are measured too.
        selection: How the model was chosen.
        intervals: As for `measure_set`.
        seed: Of k-means and the bootstrap.

    Raises:
        InvalidInput: As `measure_set` raises it.
    """
    test = benchmark.measured(split)
    if len(descriptors) != len(test):
        raise InvalidInput(f"{len(descriptors)} descriptors were given for {len(test)} {split} images")
    values = evaluate_labels(
        descriptors, test.labels, queries=test.queries, gallery=test.gallery, ks=benchmark.ks
    )
    columns = _columns(values)
    clustered = cluster(descriptors, test.labels, seed=seed) if clusters else None
    units = drawn_classes(test.labels[values.per_query.queries], benchmark.name, intervals)
    means = (
        Measure.of(column.quantity, bootstrap(column.array, classes=units.array, seed=seed))
        for column in columns
    )
    return Result(
        _with_ties(
            labelled_card(
                source,
                benchmark,
                test,
                split=split,
                trained=0 if test is benchmark.train else shared_classes(test, benchmark.train),
                facts=facts,
                descriptors=bytes_of(descriptors),
                selection=selection,
                units=units,
                seed=seed,
            ),
            descriptors,
            values,
        ),
        (*means, *_agreement(clustered, len(test))),
        clustered,
        tuple(test.paths[query] for query in values.per_query.queries),
        columns,
        labelled_rows(values.per_query, test, descriptors),
        classes=units.of,
    )


def _with_ties(
    card: ProtocolCard, descriptors: Float32[np.ndarray, "n dim"], values: LabelResult
) -> ProtocolCard:
    """Returns the card, with a warning where equal scores, which the list's order decides, are many."""
    every = values.per_query.queries
    queries = every[:: -(-len(every) // _TIE_QUERIES)]
    scores = descriptors[queries] @ descriptors.T
    scores[np.arange(len(queries)), queries] = -np.inf
    warning = tie_warning(-np.sort(-scores, axis=1))
    return replace(card, facts=(*card.facts, Fact("ties", warning))) if warning else card


def _columns(values: LabelResult) -> tuple[Column, ...]:
    queries = values.per_query
    recalls = zip(values.recall, queries.recall.T, strict=True)
    return (
        *(Column.of(Quantity("R", k), hits.astype(np.float64)) for (k, _), hits in recalls),
        Column.of(Quantity("MAP@R"), queries.map_at_r),
        Column.of(Quantity("R-precision"), queries.r_precision),
    )


def _agreement(clusters: ClusterResult | None, images: int) -> tuple[Measure, ...]:
    if clusters is None:
        return ()
    return (
        Measure(Quantity("NMI"), clusters.nmi, None, None, images),
        Measure(Quantity("AMI"), clusters.ami, None, None, images),
    )
