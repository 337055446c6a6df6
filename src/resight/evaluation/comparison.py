"""Two results over the same queries, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resight.errors import InvalidInput
from resight.evaluation.card import TEST_CLASSES, ProtocolCard
from resight.evaluation.labelled import Intervals
from resight.evaluation.quantity import Quantity
from resight.evaluation.result import Result
from resight.evaluation.statistics import PairedTest, most_changed, paired

__all__ = ["ChangedQuery", "ComparedMeasure", "Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class ComparedMeasure:
    """One measure of both results, over the queries that count in both.

    Attributes:
        quantity: What is measured.
        first: Mean of the first result.
        second: Mean of the second.
        test: Of their difference, query by query.
    """

    quantity: Quantity
    first: float
    second: float
    test: PairedTest

    @property
    def name(self) -> str:
        """The quantity's, for people."""
        return self.quantity.name


@dataclass(frozen=True, slots=True)
class ChangedQuery:
    """A query whose main measure differs between both results."""

    path: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the second result differs from the first.

    Attributes:
        first: The first model.
        second: The second model.
        measures: In the order of the results.
        changed: The queries whose main measure differs most, the largest difference first.
        differences: What else differs on the protocol cards, in words: the numbers may not be comparable.
        main: The main measure.
        unit: What was drawn for intervals and tests: ``classes`` or ``queries``.
        warnings: Why the numbers must not be compared, in sentences.
    """

    first: str
    second: str
    measures: tuple[ComparedMeasure, ...]
    changed: tuple[ChangedQuery, ...]
    differences: tuple[str, ...]
    main: Quantity
    unit: Intervals = "queries"
    warnings: tuple[str, ...] = ()


def compare(first: Result, second: Result, *, changed: int = 10, seed: int = 0) -> Comparison:
    """Returns the paired tests of two results and the queries that changed most.

    Args:
        first: The one to start from.
        second: The one that may be better.
        changed: How many changed queries at most.
        seed: Of the tests' draws.

    Raises:
        InvalidInput: The results are not over the same queries and labels, or have no measure in common.
    """
    if first.queries != second.queries or _relevant(first) != _relevant(second):
        raise InvalidInput(
            f"the results are of different queries ({len(first.queries)} of {first.card.benchmark}, "
            f"{len(second.queries)} of {second.card.benchmark}): only results of one set can be compared"
        )
    others = {column.quantity: column.array for column in second.columns}
    # Results of older versions do not say the class of a query.
    stored = first.classes or second.classes
    classes = np.array(stored, dtype=np.int64) if stored else None
    tests = []
    for column in first.columns:
        if column.quantity in others:
            left, right = column.array, others[column.quantity]
            counted = ~np.isnan(left) & ~np.isnan(right)
            if counted.any():
                test = paired(left, right, classes=classes, seed=seed)
                tests.append(
                    ComparedMeasure(
                        column.quantity, float(left[counted].mean()), float(right[counted].mean()), test
                    )
                )
    if not tests:
        raise InvalidInput("the results have no measure in common: evaluate both models again")
    return Comparison(
        first.card.model,
        second.card.model,
        tuple(tests),
        _changed(first, second, changed),
        _differences(first, second),
        first.main,
        "classes" if stored else "queries",
        _warnings(first, second),
    )


def _relevant(result: Result) -> tuple[int, int, int, int]:
    card = result.card
    return card.images, card.classes, card.queries, card.gallery


def _changed(first: Result, second: Result, count: int) -> tuple[ChangedQuery, ...]:
    columns = [
        column.array
        for result in (first, second)
        for column in result.columns
        if column.quantity == first.main
    ]
    if len(columns) != 2:
        return ()
    left, right = columns
    return tuple(
        ChangedQuery(first.queries[place], float(left[place]), float(right[place]))
        for place in most_changed(left, right, count)
    )


def _differences(first: Result, second: Result) -> tuple[str, ...]:
    one, other = first.card, second.card
    pairs = (
        ("data", one.data_fingerprint[:12], other.data_fingerprint[:12]),
        *_descriptors(one, other),
        ("boxes", _yes(one.boxes), _yes(other.boxes)),
        ("long side", f"{one.max_side} px", f"{other.max_side} px"),
        ("scales", _numbers(one.scales), _numbers(other.scales)),
        ("dimension", str(one.dim), str(other.dim)),
        ("selection", one.selection, other.selection),
    )
    ours, theirs = ({fact.name: fact.text for fact in card.facts} for card in (one, other))
    facts = ((name, ours.get(name, "none"), theirs.get(name, "none")) for name in ours | theirs)
    return tuple(f"{name}: {left} and {right}" for name, left, right in (*pairs, *facts) if left != right)


def _warnings(first: Result, second: Result) -> tuple[str, ...]:
    on_test = [result.card.selection.startswith(TEST_CLASSES) for result in (first, second)]
    if on_test[0] == on_test[1]:
        return ()
    side, card = ("first", first.card) if on_test[0] else ("second", second.card)
    return (
        f"The {side} model, {card.model}, was chosen on the test classes and the other was not: "
        "its numbers are too high to compare.",
    )


def _descriptors(one: ProtocolCard, other: ProtocolCard) -> tuple[tuple[str, str, str], ...]:
    """Returns the fingerprints of models or files of descriptors that have one name."""
    if one.model != other.model:
        return ()
    return (("descriptors", one.model_fingerprint[:12], other.model_fingerprint[:12]),)


def _yes(boxes: bool) -> str:  # noqa: FBT001 (a word for a flag)
    return "cropped to them" if boxes else "not used"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
