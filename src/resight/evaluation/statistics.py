"""How far a mean over queries can be trusted, and whether two results differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from resight.errors import InvalidInput

__all__ = ["Interval", "Intervals", "PairedTest", "bootstrap", "most_changed", "paired"]

Intervals: TypeAlias = Literal["classes", "landmarks", "queries"]
"""What is drawn with replacement for an interval: classes or landmarks with all their queries, or queries."""

_CELLS = 1 << 23


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its bootstrap interval.

    Attributes:
        mean: Over the values that are there.
        low: Lower end.
        high: Upper end.
        level: Share of the bootstrap means between the ends.
        count: How many values there are; NaN is none.
    """

    mean: float
    low: float
    high: float
    level: float
    count: int


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The mean difference of two results over the same queries.

    Attributes:
        difference: Mean of second minus first, with its bootstrap interval.
        p_value: How often random signs give a mean difference at least as large, either way.
        better: Queries on which the second is larger.
        worse: Queries on which the second is smaller.
        equal: Queries on which they are the same.
    """

    difference: Interval
    p_value: float
    better: int
    worse: int
    equal: int


def bootstrap(
    values: Float64[np.ndarray, " queries"],
    *,
    classes: Int64[np.ndarray, " queries"] | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Returns the mean of the values and its percentile bootstrap interval (Efron, 1979).

    As many classes as there are are drawn with replacement, ``draws`` times, each with all of its queries
    (the cluster bootstrap; Davison and Hinkley, 1997, section 3.8). Without classes queries are drawn, which
    says how much the mean depends on which queries were asked; queries of one class resemble each other, so
    that such an interval is too narrow for other classes. Neither says anything of other training runs.

    Args:
        values: One a query; NaN for a query that does not count.
        classes: The class of each query; each query is its own by default.
        draws: How many means are drawn.
        seed: Of the draws.
        level: Share of the means within the interval, between 0 and 1.

    Raises:
        InvalidInput: No draw, or a level outside (0, 1).
    """
    if draws < 1 or not 0 < level < 1:
        raise InvalidInput(f"an interval needs at least one draw and a level in (0, 1), got {draws}, {level}")
    counted = values[~np.isnan(values)].astype(np.float64)
    count = len(counted)
    if count == 0:
        return Interval(float("nan"), float("nan"), float("nan"), level, 0)
    sums, sizes = _by_class(values, classes)
    units = len(sums)
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // units)
    means = np.concatenate(
        [
            sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
            for start in range(0, draws, step)
            for drawn in [generator.integers(units, size=(min(step, draws - start), units))]
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(counted.mean()), float(low), float(high), level, count)


def paired(
    first: Float64[np.ndarray, " queries"],
    second: Float64[np.ndarray, " queries"],
    *,
    classes: Int64[np.ndarray, " queries"] | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Returns whether two results over the same queries differ by more than chance.

    The test of random signs (Fisher, 1935; for retrieval Smucker et al., CIKM 2007): were both results alike,
    the differences of each class could as well all have the other sign. The p-value is
    ``(1 + hits) / (1 + draws)``, so that it is never 0.

    Args:
        first: One value a query; NaN for a query that does not count.
        second: The same queries; a query counts where it does in both.
        classes: The class of each query, as for `bootstrap`; each query is its own by default.
        draws: How many assignments of signs are drawn, and 1000 at most for the interval.
        seed: Of the draws.

    Raises:
        InvalidInput: The lengths differ, or no draw.
    """
    if first.shape != second.shape or draws < 1:
        raise InvalidInput(
            f"a paired test needs as many values on both sides and at least one draw, "
            f"got {first.shape}, {second.shape} and {draws} draws"
        )
    every = second - first
    differences = every[~np.isnan(every)]
    changed = differences[differences != 0]
    units = changed if classes is None else _by_class(every, classes)[0]
    return PairedTest(
        bootstrap(every, classes=classes, draws=min(draws, 1000), seed=seed),
        _p_value(units[units != 0], draws, np.random.default_rng(seed)),
        int((changed > 0).sum()),
        int((changed < 0).sum()),
        len(differences) - len(changed),
    )


def most_changed(
    first: Float64[np.ndarray, " queries"], second: Float64[np.ndarray, " queries"], count: int
) -> Int64[np.ndarray, " changed"]:
    """Returns the positions of the queries whose values differ most, the largest difference first.

    Queries without a difference are left out; equal ones are in the order given.
    """
    size = np.nan_to_num(np.abs(second - first))
    order = np.argsort(-size, kind="stable")[:count]
    return order[size[order] > 0]


def _by_class(
    values: Float64[np.ndarray, " queries"], classes: Int64[np.ndarray, " queries"] | None
) -> tuple[Float64[np.ndarray, " classes"], Float64[np.ndarray, " classes"]]:
    """Returns the sum and the number of the values that count, of each class that has any."""
    counts = ~np.isnan(values)
    counted = values[counts].astype(np.float64)
    if classes is None:
        return counted, np.ones(len(counted))
    _, places = np.unique(classes[counts], return_inverse=True)
    return np.bincount(places, weights=counted), np.bincount(places).astype(np.float64)


def _p_value(changed: Float64[np.ndarray, " queries"], draws: int, generator: np.random.Generator) -> float:
    if len(changed) == 0:
        return 1.0
    observed = abs(changed.sum())
    # Sums of the same numbers in another order differ by rounding.
    enough = observed - 1e-12 * np.abs(changed).sum()
    hits = 0
    step = max(1, _CELLS // len(changed))
    for start in range(0, draws, step):
        bits = generator.integers(0, 2, size=(min(step, draws - start), len(changed)), dtype=np.int8)
        sums = (bits * 2 - 1).astype(np.float64) @ changed
        hits += int((np.abs(sums) >= enough).sum())
    return (1 + hits) / (1 + draws)
