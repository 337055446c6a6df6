"""k-means in blocks: seeded, in bounded memory, and made for thousands of clusters.

scikit-learn's `KMeans` draws its first centres one at a time, with several trials each, and compares every
descriptor with every centre in each iteration: for thousands of clusters that takes many times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

__all__ = ["Clustering", "k_means"]

_ITERATIONS = 100
_CELLS = 1 << 24
"""Most scores held at once: 64 MB."""

_AT_ONCE = 16
"""For every so many centres already drawn one more is drawn at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """The outcome of one start of k-means.

    Attributes:
        assignment: int64 ``(n,)``, the cluster of each descriptor.
        inertia: Sum of squared distances to the cluster's centre.
        iterations: How often the centres were moved.
    """

    assignment: Int64[np.ndarray, " n"]
    inertia: float
    iterations: int


def k_means(
    descriptors: Float32[np.ndarray, "n dim"], clusters: int, generator: np.random.Generator
) -> Clustering:
    """Returns the clusters by Lloyd's iteration from k-means++ centres, until no descriptor changes cluster.

    Centres are drawn as by Arthur and Vassilvitskii (2007), beyond the first 32 several at a time: a
    sixteenth of those already drawn, without replacement, by the distances to those (the rounds of Bahmani
    et al., VLDB 2012). A cluster that runs empty takes the descriptor furthest from its centre. At most 100
    iterations.

    From the second iteration on, a descriptor whose own centre did not move is compared only with the centres
    that did: nothing else can have come nearer. The result is the same.

    Args:
        descriptors: Finite.
        clusters: From 1 to n.
        generator: Of all random choices.
    """
    squares = np.einsum("nd,nd->n", descriptors, descriptors).astype(np.float64)
    centres = _draw(descriptors, squares, clusters, generator)
    assignment = np.zeros(len(descriptors), dtype=np.int64)
    distances = np.full(len(descriptors), np.inf)
    moved = np.ones(clusters, dtype=np.bool_)
    iterations = 0
    for iterations in range(1, _ITERATIONS + 1):
        before = assignment.copy()
        _assign(descriptors, squares, centres, moved, assignment, distances)
        _fill_empty(assignment, distances, clusters)
        if iterations > 1 and np.array_equal(before, assignment):
            break
        fresh = _means(descriptors, assignment, clusters)
        moved = (fresh != centres).any(axis=1)
        centres = fresh
    difference = np.einsum("nd,nd->n", *[descriptors - centres[assignment]] * 2)
    return Clustering(assignment, float(difference.sum(dtype=np.float64)), iterations)


def _draw(
    descriptors: Float32[np.ndarray, "n dim"],
    squares: Float64[np.ndarray, " n"],
    clusters: int,
    generator: np.random.Generator,
) -> Float32[np.ndarray, "clusters dim"]:
    """Returns the first centres, descriptors themselves."""
    chosen = generator.integers(len(descriptors), size=1)
    nearest = np.full(len(descriptors), np.inf)
    fresh = chosen
    while True:
        _, distances = _nearest(descriptors, squares, descriptors[fresh])
        np.minimum(nearest, distances, out=nearest)
        nearest[chosen] = 0.0
        if len(chosen) == clusters:
            return descriptors[chosen]
        count = min(max(1, len(chosen) // _AT_ONCE), clusters - len(chosen))
        free = np.flatnonzero(nearest > 0)
        if len(free) < count:
            # Fewer different descriptors are left than centres wanted: the rest are duplicates.
            free = np.setdiff1d(np.arange(len(descriptors)), chosen)
            fresh = generator.choice(free, count, replace=False)
        else:
            chances = nearest[free] / nearest[free].sum()
            fresh = generator.choice(free, count, replace=False, p=chances)
        chosen = np.concatenate([chosen, fresh])


def _nearest(
    descriptors: Float32[np.ndarray, "n dim"],
    squares: Float64[np.ndarray, " n"],
    centres: Float32[np.ndarray, "centres dim"],
) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Returns the nearest centre of each descriptor, the first among equals, and its squared distance."""
    halves = np.einsum("cd,cd->c", centres, centres) / 2
    nearest = np.empty(len(descriptors), dtype=np.int64)
    distances = np.empty(len(descriptors))
    step = max(1, _CELLS // len(centres))
    for start in range(0, len(descriptors), step):
        part = slice(start, start + step)
        scores = descriptors[part] @ centres.T
        scores -= halves
        best = scores.argmax(axis=1)
        nearest[part] = best
        products = np.take_along_axis(scores, best[:, None], axis=1)[:, 0].astype(np.float64)
        distances[part] = np.maximum(squares[part] - 2 * products, 0.0)
    return nearest, distances


def _assign(
    descriptors: Float32[np.ndarray, "n dim"],
    squares: Float64[np.ndarray, " n"],
    centres: Float32[np.ndarray, "clusters dim"],
    moved: Bool[np.ndarray, " clusters"],
    assignment: Int64[np.ndarray, " n"],
    distances: Float64[np.ndarray, " n"],
) -> None:
    """Brings assignment and distances, both changed in place, up to date with the centres that moved."""
    afresh = np.flatnonzero(moved[assignment])
    assignment[afresh], distances[afresh] = _nearest(descriptors[afresh], squares[afresh], centres)
    others = np.setdiff1d(np.arange(len(descriptors)), afresh, assume_unique=True)
    candidates = np.flatnonzero(moved)
    if len(others) == 0 or len(candidates) == 0:
        return
    nearest, near = _nearest(descriptors[others], squares[others], centres[candidates])
    nearer = near < distances[others]
    assignment[others[nearer]] = candidates[nearest[nearer]]
    distances[others[nearer]] = near[nearer]


def _fill_empty(
    assignment: Int64[np.ndarray, " n"], distances: Float64[np.ndarray, " n"], clusters: int
) -> None:
    """Gives every empty cluster the descriptor furthest from its centre that is not alone; changes both."""
    counts = np.bincount(assignment, minlength=clusters)
    empty = np.flatnonzero(counts == 0)
    if len(empty) == 0:
        return
    furthest = iter(np.argsort(-distances, kind="stable"))
    for lonely in empty:
        taken = next(place for place in furthest if counts[assignment[place]] > 1)
        counts[assignment[taken]] -= 1
        counts[lonely] = 1
        assignment[taken], distances[taken] = lonely, 0.0


def _means(
    descriptors: Float32[np.ndarray, "n dim"], assignment: Int64[np.ndarray, " n"], clusters: int
) -> Float32[np.ndarray, "clusters dim"]:
    order = np.argsort(assignment, kind="stable")
    starts = np.searchsorted(assignment[order], np.arange(clusters))
    sums = np.add.reduceat(descriptors[order], starts, axis=0, dtype=np.float32)
    counts = np.bincount(assignment, minlength=clusters)
    return (sums / counts[:, None]).astype(np.float32)
