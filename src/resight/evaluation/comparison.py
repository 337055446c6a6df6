"""Two results over the same queries, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from resight.errors import InvalidInput
from resight.evaluation.card import INTERVALS, TEST_CLASSES, ProtocolCard
from resight.evaluation.digests import DESCRIPTORS, GROUND_TRUTH
from resight.evaluation.quantity import Quantity
from resight.evaluation.result import Result
from resight.evaluation.statistics import Intervals, PairedTest, most_changed, paired

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
        unit: What was drawn for intervals and tests: ``classes``, ``landmarks`` or ``queries``.
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

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from resight._shown import notebook_html

        return notebook_html(self)


def compare(
    first: Result,
    second: Result,
    *,
    changed: int = 10,
    intervals: Intervals | None = None,
    seed: int = 0,
) -> Comparison:
    """Returns the paired tests of two results and the queries that changed most.

    Args:
        first: The one to start from.
        second: The one that may be better.
        changed: How many changed queries at most.
        intervals: What is drawn; by default classes or landmarks, where one of the results knows them.
        seed: Of the tests' draws.

    Raises:
        InvalidInput: The results are not over the same queries and labels, have no measure in common, or do
            not know the classes or landmarks that are to be drawn.
    """
    if first.queries != second.queries or _relevant(first) != _relevant(second):
        raise InvalidInput(
            f"the results are of different queries ({len(first.queries)} of {first.card.benchmark}, "
            f"{len(second.queries)} of {second.card.benchmark}): only results of one set can be compared"
        )
    others = {column.quantity: column.array for column in second.columns}
    unit, classes = _drawn(first, second, intervals)
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
        unit,
        _warnings(first, second),
    )


def _drawn(
    first: Result, second: Result, intervals: Intervals | None
) -> tuple[Intervals, Int64[np.ndarray, " queries"] | None]:
    """Returns what is drawn, and the class or landmark of each query; none where queries are drawn."""
    known: Intervals = "classes" if first.card.is_labelled else "landmarks"
    # Results of older versions do not say the class of a query.
    stored = first.classes or second.classes
    if intervals == "queries" or (intervals is None and not stored):
        return "queries", None
    if not stored or intervals not in (None, known):
        raise InvalidInput(
            f"the results do not say the {intervals} of their queries: "
            f"{'evaluate again, or draw queries' if intervals == known else f'draw {known} or queries'}"
        )
    return known, np.array(stored, dtype=np.int64)


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
        *_models(one, other),
        ("boxes", _yes(one.boxes), _yes(other.boxes)),
        ("long side", f"{one.max_side} px", f"{other.max_side} px"),
        ("scales", _numbers(one.scales), _numbers(other.scales)),
        ("dimension", str(one.dim), str(other.dim)),
        ("selection", one.selection, other.selection),
    )
    ours, theirs = ({fact.name: fact.text for fact in card.facts} for card in (one, other))
    # Hashes have sentences of their own, and intervals are drawn anew.
    names = [name for name in ours | theirs if name not in (GROUND_TRUTH, DESCRIPTORS, INTERVALS)]
    facts = ((name, ours.get(name, "none"), theirs.get(name, "none")) for name in names)
    return tuple(f"{name}: {left} and {right}" for name, left, right in (*pairs, *facts) if left != right)


def _warnings(first: Result, second: Result) -> tuple[str, ...]:
    one, other = first.card, second.card
    found = (_chosen_on_test(one, other), _other_truth(one, other), _other_descriptors(one, other))
    return tuple(sentence for sentence in found if sentence)


def _chosen_on_test(one: ProtocolCard, other: ProtocolCard) -> str:
    chosen = [_chosen_on(card) for card in (one, other)]
    if bool(chosen[0]) == bool(chosen[1]):
        return ""
    side, card = ("first", one) if chosen[0] else ("second", other)
    return (
        f"The {side} model, {card.model}, was chosen on {chosen[0] or chosen[1]} and the other was not: "
        "its numbers are too high to compare."
    )


def _chosen_on(card: ProtocolCard) -> str:
    """Returns by what a model was chosen that it is measured on, in words; empty where by nothing of it."""
    if card.selection.startswith(TEST_CLASSES):
        return "the test classes"
    return "these very photos" if card.data_fingerprint[:16] in card.selection else ""


def _other_truth(one: ProtocolCard, other: ProtocolCard) -> str:
    """Returns a sentence where the ground truths say different things, or are files of different bytes."""
    ours, theirs = (_fact(card, GROUND_TRUTH) for card in (one, other))
    if one.data_fingerprint != other.data_fingerprint:
        return (
            f"The results are by different ground truths (first {ours or one.data_fingerprint[:12]}; second "
            f"{theirs or other.data_fingerprint[:12]}): answers, boxes or paths differ, and a difference may "
            "come from them."
        )
    if ours and theirs and ours.rpartition(", ")[2] != theirs.rpartition(", ")[2]:
        return (
            "The ground truths say the same and are files of different bytes "
            f"(first {ours}; second {theirs})."
        )
    return ""


def _other_descriptors(one: ProtocolCard, other: ProtocolCard) -> str:
    """Returns a sentence where one model, or files of one name, gave descriptors of different bytes."""
    ours, theirs = (_fact(card, DESCRIPTORS) for card in (one, other))
    if one.model_fingerprint != other.model_fingerprint:
        return (
            f"Both results are of {one.model}, and their descriptors or models are of different bytes (first "
            f"{one.model_fingerprint[:12]}; second {other.model_fingerprint[:12]})."
            if one.model == other.model
            else ""
        )
    if not ours or not theirs or ours == theirs:
        return ""
    return (
        f"One model gave different descriptors (first {ours}; second {theirs}): the photos, how they were "
        "shown, or the machine were others."
    )


def _fact(card: ProtocolCard, name: str) -> str:
    return next((fact.text for fact in card.facts if fact.name == name), "")


def _models(one: ProtocolCard, other: ProtocolCard) -> tuple[tuple[str, str, str], ...]:
    """Returns the fingerprints of models or files of descriptors that have one name."""
    if one.model != other.model:
        return ()
    return (("descriptors", one.model_fingerprint[:12], other.model_fingerprint[:12]),)


def _yes(boxes: bool) -> str:  # noqa: FBT001 (a word for a flag)
    return "cropped to them" if boxes else "not used"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
