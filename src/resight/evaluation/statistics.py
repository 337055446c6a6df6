"""How far a mean over queries can be trusted, and whether two results differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from resight.errors import InvalidInput

__all__ = ["Interval", "PairedTest", "bootstrap", "most_changed", "paired"]

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
    values: Float64[np.ndarray, " queries"], *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Returns the mean of the values and its percentile bootstrap interval (Efron, 1979).

    As many queries as there are are drawn with replacement, ``draws`` times. It says how much the mean
    depends on which queries were asked; queries of one class resemble each other, so that it is rather too
    narrow for other classes, and it says nothing of other training runs.

    Args:
        values: One a query; NaN for a query that does not count.
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
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // count)
    means = np.concatenate(
        [
            counted[generator.integers(count, size=(min(step, draws - start), count))].mean(axis=1)
            for start in range(0, draws, step)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(counted.mean()), float(low), float(high), level, count)


def paired(
    first: Float64[np.ndarray, " queries"],
    second: Float64[np.ndarray, " queries"],
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Returns whether two results over the same queries differ by more than chance.

    The test of random signs (Fisher, 1935; for retrieval Smucker et al., CIKM 2007): were both results alike,
    each query's difference could as well have the other sign. The p-value is ``(1 + hits) / (1 + draws)``, so
    that it is never 0.

    Args:
        first: One value a query; NaN for a query that does not count.
        second: The same queries; a query counts where it does in both.
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
    differences = second - first
    differences = differences[~np.isnan(differences)]
    changed = differences[differences != 0]
    return PairedTest(
        bootstrap(differences, draws=min(draws, 1000), seed=seed),
        _p_value(changed, draws, np.random.default_rng(seed)),
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
