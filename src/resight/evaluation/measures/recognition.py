"""The measures of Google Landmarks v2, of predictions as its challenges take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from resight.errors import InvalidInput
from resight.evaluation.measures.retrieval import rectangular_at_100
from resight.evaluation.statistics import Interval

__all__ = [
    "average_precisions_at_100",
    "mean_average_precision_at_100",
    "micro_average_precision",
    "micro_average_precision_interval",
]


def average_precisions_at_100(
    predictions: Mapping[str, Sequence[str]], solution: Mapping[str, frozenset[str]]
) -> dict[str, float]:
    """Returns the average precision of every test image of the solution, among its first 100 predictions.

    As the official program: an image named again scores nothing but keeps its rank, and a test image without
    prediction scores 0 (Weyand et al., CVPR 2020).

    Args:
        predictions: Test image to index images, best first; may lack test images.
        solution: Test image to its right answers, of one usage.

    Raises:
        InvalidInput: A prediction is for an image that the solution lacks, or a right answer is missing.

    >>> average_precisions_at_100({"q": ["x", "a"]}, {"q": frozenset("a"), "p": frozenset("a")})
    {'q': 0.5, 'p': 0.0}
    """
    _refuse_unknown(predictions, solution)
    values: dict[str, float] = {}
    for image, answers in solution.items():
        if not answers:
            raise InvalidInput(f"the test image {image} has no right answer: its precision is not defined")
        first: dict[str, int] = {}
        for rank, answer in enumerate(predictions.get(image, ())):
            first.setdefault(answer, rank)
        ranks = sorted(rank for answer, rank in first.items() if answer in answers)
        values[image] = rectangular_at_100(np.array(ranks, dtype=np.int64), len(answers))
    return values


def mean_average_precision_at_100(
    predictions: Mapping[str, Sequence[str]], solution: Mapping[str, frozenset[str]]
) -> float:
    """Returns the mean of `average_precisions_at_100` over all test images of the solution.

    Raises:
        InvalidInput: As there, or the solution is empty.

    >>> mean_average_precision_at_100({"q": ["a"]}, {"q": frozenset("a"), "p": frozenset("a")})
    0.5
    """
    values = average_precisions_at_100(predictions, solution)
    if not values:
        raise InvalidInput("the solution has no test image of this usage")
    return sum(values.values()) / len(values)


def micro_average_precision(
    images: Sequence[str],
    classes: Sequence[str],
    scores: Float64[np.ndarray, " n"],
    truth: Mapping[str, frozenset[str]],
) -> float:
    """Returns ``1/M * sum_i P(i) rel(i)`` over all predictions by score: the recognition measure of GLDv2.

    All predictions form one ranking, larger scores first, ties by image and then by class (both ascending).
    A prediction is right if its class is one of its image's; one for an image without landmark is wrong and
    costs precision. M counts the images that have a landmark, predicted or not (Perronnin et al., CVPR 2009;
    Weyand et al., CVPR 2020, section 5.1).

    Args:
        images: Test image of each prediction; at most one each.
        classes: The predicted landmark.
        scores: Larger is surer.
        truth: Test image to its landmarks, of one usage; empty: it has none.

    Raises:
        InvalidInput: Lengths differ, a score is NaN, an image is predicted twice or unknown, or no image has
            a landmark.

    >>> import numpy as np
    >>> truth = {"q": frozenset(), "p": frozenset("1")}
    >>> micro_average_precision(["q", "p"], ["1", "1"], np.array([0.9, 0.8]), truth)
    0.5
    """
    order = _order(images, classes, scores, truth)
    right = np.array([classes[place] in truth[images[place]] for place in order], dtype=np.bool_)
    return _micro(right, sum(1 for landmarks in truth.values() if landmarks))


def micro_average_precision_interval(
    images: Sequence[str],
    classes: Sequence[str],
    scores: Float64[np.ndarray, " n"],
    truth: Mapping[str, frozenset[str]],
    *,
    drawn_with: Sequence[int] | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Returns `micro_average_precision` with its percentile bootstrap interval over the test images.

    Each draw takes as many landmarks as there are, with replacement, each with all of its test images; one
    taken twice counts twice.

    Args:
        images: As for `micro_average_precision`.
        classes: The same.
        scores: The same.
        truth: The same.
        drawn_with: A number for each test image of ``truth``, equal for those that are drawn together; each
            is alone by default.
        draws: How many.
        seed: Of the draws.
        level: Share of the draws within the interval.

    Raises:
        InvalidInput: As for `micro_average_precision`.

    >>> import numpy as np
    >>> micro_average_precision_interval(["q"], ["1"], np.array([0.9]), {"q": frozenset("1")}).low
    1.0
    """
    order = _order(images, classes, scores, truth)
    right = np.array([classes[place] in truth[images[place]] for place in order], dtype=np.bool_)
    number = {image: place for place, image in enumerate(truth)}
    predicted = np.array([number[images[place]] for place in order], dtype=np.int64)
    landmark = np.array([bool(landmarks) for landmarks in truth.values()])
    generator = np.random.default_rng(seed)
    names, unit = np.unique(range(len(truth)) if drawn_with is None else drawn_with, return_inverse=True)
    values = []
    for _ in range(draws):
        times = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))[unit]
        counted = int(times[landmark].sum())
        if counted:
            values.append(_micro(np.repeat(right, times[predicted]), counted))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(_micro(right, int(landmark.sum())), float(low), float(high), level, int(landmark.sum()))


def _order(
    images: Sequence[str],
    classes: Sequence[str],
    scores: Float64[np.ndarray, " n"],
    truth: Mapping[str, frozenset[str]],
) -> list[int]:
    """Returns the places of the predictions in their ranking."""
    if not len(images) == len(classes) == len(scores):
        raise InvalidInput(f"{len(images)} images, {len(classes)} classes and {len(scores)} scores differ")
    if np.isnan(scores).any():
        raise InvalidInput(f"the score of image {images[int(np.flatnonzero(np.isnan(scores))[0])]} is NaN")
    predicted: set[str] = set()
    for image in images:
        if image in predicted:
            raise InvalidInput(f"the image {image} is predicted twice; one landmark an image is taken")
        predicted.add(image)
    _refuse_unknown(predicted, truth)
    if not any(truth.values()):
        raise InvalidInput("no test image of this usage has a landmark")
    return sorted(range(len(images)), key=lambda place: (-scores[place], images[place], classes[place]))


def _micro(right: Bool[np.ndarray, " n"], landmarks: int) -> float:
    ranks: Int64[np.ndarray, " hits"] = np.flatnonzero(right)
    return float(np.sum((np.arange(len(ranks)) + 1) / (ranks + 1)) / landmarks)


def _refuse_unknown(
    images: Mapping[str, Sequence[str]] | set[str], known: Mapping[str, frozenset[str]]
) -> None:
    unknown = sorted(set(images) - set(known))
    if unknown:
        raise InvalidInput(
            f"the predictions name {unknown[0]}, which is no test image of this solution and usage "
            f"({len(unknown):,} such)"
        )
