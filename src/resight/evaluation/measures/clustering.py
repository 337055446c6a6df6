"""How well k-means finds the labels again: normalised and adjusted mutual information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.evaluation.measures.k_means import k_means

__all__ = ["ClusterResult", "adjusted_mutual_information", "cluster", "normalised_mutual_information"]

RESTARTS = 10
"""How often k-means starts by default."""

MANY_CLUSTERS = 2000
"""Above this many clusters one start is all: each takes minutes, and they hardly differ."""


@dataclass(frozen=True, slots=True)
class ClusterResult:
    """How well the clusters agree with the labels, and how they came about.

    Attributes:
        nmi: Normalised mutual information, a fraction.
        ami: Adjusted mutual information; 0 is what chance gives, 1 is perfect.
        clusters: How many clusters were looked for.
        restarts: How many starts k-means had; the one with the smallest inertia counts.
        seed: Of all random choices.
        iterations: Of the start that counts.
        inertia: Sum of squared distances to the nearest centre, of the start that counts.
    """

    nmi: float
    ami: float
    clusters: int
    restarts: int
    seed: int
    iterations: int
    inertia: float


def cluster(
    descriptors: Float32[np.ndarray, "n dim"],
    labels: Int64[np.ndarray, " n"],
    *,
    clusters: int | None = None,
    restarts: int | None = None,
    seed: int = 0,
) -> ClusterResult:
    """Returns the agreement of k-means clusters with the labels.

    Args:
        descriptors: One an image.
        labels: One an image.
        clusters: How many; by default as many as there are distinct labels. (SoftTriple's code takes the
            largest label plus one, which is the same only for labels from 0 without gaps.)
        restarts: How many starts; by default 10, and 1 above 2000 clusters.
        seed: Of all random choices.

    Raises:
        InvalidInput: Lengths differ, or there are fewer images than clusters, or no start.

    >>> import numpy as np
    >>> descriptors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    >>> cluster(descriptors, np.array([4, 4, 9])).nmi
    1.0
    """
    if len(descriptors) != len(labels) or not len(labels):
        raise InvalidInput(f"{len(descriptors)} descriptors were given with {len(labels)} labels")
    count = len(np.unique(labels)) if clusters is None else clusters
    starts = (1 if count > MANY_CLUSTERS else RESTARTS) if restarts is None else restarts
    if not 1 <= count <= len(labels) or starts < 1:
        raise InvalidInput(
            f"k-means needs from 1 to {len(labels)} clusters for as many images and at least one start, "
            f"got {count} clusters and {starts} starts"
        )
    seeds = np.random.SeedSequence(seed).spawn(starts)
    runs = (k_means(descriptors, count, np.random.default_rng(child)) for child in seeds)
    best = min(runs, key=lambda run: run.inertia)
    return ClusterResult(
        normalised_mutual_information(labels, best.assignment),
        adjusted_mutual_information(labels, best.assignment),
        count,
        starts,
        seed,
        best.iterations,
        best.inertia,
    )


def normalised_mutual_information(first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"]) -> float:
    """Returns the mutual information of two labellings over the arithmetic mean of their entropies.

    Strehl and Ghosh, JMLR 2002, with the arithmetic mean of today's scikit-learn (before 0.22 its default was
    the geometric one). 1 where both hold a single label.

    >>> import numpy as np
    >>> normalised_mutual_information(np.array([0, 0, 1, 1]), np.array([5, 5, 7, 7]))
    1.0
    """
    cells, rows, columns = _contingency(first, second)
    mean = (_entropy(rows) + _entropy(columns)) / 2
    return _mutual_information(cells, rows, columns) / mean if mean > 0 else 1.0


def adjusted_mutual_information(first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"]) -> float:
    """Returns the mutual information less its expectation by chance, over the largest such value.

    Vinh, Epps and Bailey, JMLR 2010, with the arithmetic mean of the entropies as the upper bound. 1 where
    both labellings are trivial in the same way. The expectation takes margins of one size together, which for
    ten thousand classes is far less work than each pair of margins, as scikit-learn takes them.

    >>> import numpy as np
    >>> round(adjusted_mutual_information(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])), 4)
    -0.5
    """
    cells, rows, columns = _contingency(first, second)
    if len(rows) == len(columns) == 1 or len(rows) == len(columns) == len(first):
        return 1.0
    expected = _expected_information(rows, columns)
    mean = (_entropy(rows) + _entropy(columns)) / 2
    # The mean is never below the expectation, but for rounding where chance explains both labellings whole.
    above = max(mean - expected, float(np.finfo(np.float64).eps))
    return (_mutual_information(cells, rows, columns) - expected) / above


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The cells of a contingency table that are not empty."""

    counts: Int64[np.ndarray, " cells"]
    row: Int64[np.ndarray, " cells"]
    column: Int64[np.ndarray, " cells"]


def _contingency(
    first: Int64[np.ndarray, " n"], second: Int64[np.ndarray, " n"]
) -> tuple[_Cells, Int64[np.ndarray, " rows"], Int64[np.ndarray, " columns"]]:
    row, rows = np.unique(first, return_inverse=True, return_counts=True)[1:]
    column, columns = np.unique(second, return_inverse=True, return_counts=True)[1:]
    pairs, counts = np.unique(row * len(columns) + column, return_counts=True)
    return _Cells(counts, *np.divmod(pairs, len(columns))), rows, columns


def _entropy(counts: Int64[np.ndarray, " n"]) -> float:
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _mutual_information(
    cells: _Cells, rows: Int64[np.ndarray, " rows"], columns: Int64[np.ndarray, " columns"]
) -> float:
    total = rows.sum()
    shares = cells.counts / total
    logs = np.log(shares) - np.log(rows / total)[cells.row] - np.log(columns / total)[cells.column]
    return max(float((shares * logs).sum()), 0.0)


def _expected_information(rows: Int64[np.ndarray, " rows"], columns: Int64[np.ndarray, " columns"]) -> float:
    """Returns the mean mutual information over all tables of these margins (Vinh et al., equation 24a).

    Margins of one size are dealt with together: there are few sizes, however many classes.
    """
    total = int(rows.sum())
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    widths, times = np.unique(columns, return_counts=True)
    expected = 0.0
    for height, repeated in zip(*np.unique(rows, return_counts=True), strict=True):
        for width, often in zip(widths, times, strict=True):
            both = np.arange(max(1, height + width - total), min(height, width) + 1)
            term = _table_terms(both, int(height), int(width), total, log_factorial)
            expected += float(repeated * often * term)
    return expected


def _table_terms(
    both: Int64[np.ndarray, " cells"],
    height: int,
    width: int,
    total: int,
    log_factorial: Float64[np.ndarray, " n"],
) -> float:
    information = both / total * (np.log(total) + np.log(both) - np.log(height) - np.log(width))
    log_chance = (
        log_factorial[height]
        + log_factorial[width]
        + log_factorial[total - height]
        + log_factorial[total - width]
        - log_factorial[total]
        - log_factorial[both]
        - log_factorial[height - both]
        - log_factorial[width - both]
        - log_factorial[total - height - width + both]
    )
    return float((information * np.exp(log_chance)).sum())
