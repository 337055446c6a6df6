"""What an index takes and gives, measured on vectors of its own."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int64

from resight.search.approximate.index import ApproximateIndex, Effort
from resight.search.index import SearchIndex
from resight.search.ranking import Ranking

__all__ = [
    "DEPTHS",
    "MEASURED_K",
    "choose_effort",
    "map_loss",
    "measured_recall",
    "median_milliseconds",
    "recall",
    "true_neighbours",
]

MEASURED_K = 10
"""Answers of a search that is timed, and whose recall is told."""

DEPTHS = (10, 100, 1000)
"""Numbers of answers for which a search's effort is chosen."""

_SHORTLISTS = (2, 4, 8, 16)
"""Rows compared by their descriptors, for each answer."""

_LABELLED, _MAP_DEPTH = 200, 100
"""Queries with a label, and answers of them, by which the loss in mean average precision is measured."""

_GROWTH = 1.5
"""From one number of lists that is tried to the next."""


def median_milliseconds(index: SearchIndex, queries: Float32[np.ndarray, "q dim"]) -> float:
    """Returns the median time of a search for ten answers; three searches come before, to warm up."""
    times = []
    for query in (*queries[:3], *queries):
        started = time.perf_counter()
        index.search(query[None], min(MEASURED_K, len(index)))
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times[len(queries[:3]) :])


def true_neighbours(
    index: SearchIndex, queries: Float32[np.ndarray, "q dim"], own: Int64[np.ndarray, " q"], k: int
) -> list[Int64[np.ndarray, " k"]]:
    """Returns the first k answers of each query that are not the query's own photo.

    Args:
        index: Searched.
        queries: Descriptors of photos in the index.
        own: Their ids.
        k: Answers.
    """
    return _others(index.search(queries, min(k + 1, max(1, len(index)))), own, k)


def _others(ranking: Ranking, own: Int64[np.ndarray, " q"], k: int) -> list[Int64[np.ndarray, " k"]]:
    return [row[(row != one) & (row >= 0)][:k] for row, one in zip(ranking.ids, own, strict=True)]


def recall(found: Sequence[Int64[np.ndarray, " k"]], true: Sequence[Int64[np.ndarray, " k"]]) -> float:
    """Returns the share of the true neighbours that are among those found, over all queries."""
    hits = sum(len(np.intersect1d(one, other)) for one, other in zip(found, true, strict=True))
    return hits / max(1, sum(len(one) for one in true))


def measured_recall(
    index: ApproximateIndex,
    efforts: Sequence[Effort],
    queries: Float32[np.ndarray, "q dim"],
    own: Int64[np.ndarray, " q"],
    true: Sequence[Int64[np.ndarray, " k"]],
) -> float:
    """Returns the share of the ten nearest of each query that a search for ten answers finds.

    Args:
        index: Searched; its efforts are set.
        efforts: The first is that of ten answers.
        queries: Descriptors of photos in the index.
        own: Their ids.
        true: Their neighbours, ten or more each.
    """
    # One more, as the photo itself is found, too.
    index.efforts = [replace(efforts[0], k=MEASURED_K + 1)]
    found = true_neighbours(index, queries, own, MEASURED_K)
    index.efforts = list(efforts)
    return recall(found, [row[:MEASURED_K] for row in true])


def map_loss(index: ApproximateIndex, labels: Mapping[int, object]) -> float | None:
    """Returns the mean average precision of the exact search less that of an index; None without labels.

    Over at most 200 photos, evenly spread, that share their label with another; each is a query without
    itself among its answers, of which the first 100 count. The average precision of a query is the mean, over
    the photos of its label (100 at most), of the precision at the place of each, 0 where it is not found.

    Args:
        index: Searched; its efforts are set meanwhile.
        labels: Of photos by id; None for none.
    """
    counts = Counter(label for label in labels.values() if label is not None)
    able = sorted(one for one, label in labels.items() if counts.get(label, 0) > 1)
    if not able:
        return None
    own = np.array(able)[np.linspace(0, len(able) - 1, min(_LABELLED, len(able))).astype(np.int64)]
    queries, efforts = index.descriptors(own), index.efforts
    deep = next((effort for effort in efforts if effort.k >= _MAP_DEPTH), efforts[-1])
    means = []
    for tried in ([], [replace(deep, k=_MAP_DEPTH + 1)]):
        index.efforts = tried
        found = true_neighbours(index, queries, own, _MAP_DEPTH)
        means.append(
            np.mean([_precision(row, one, labels, counts) for row, one in zip(found, own, strict=True)])
        )
    index.efforts = efforts
    return float(means[0] - means[1])


def _precision(
    row: Int64[np.ndarray, " k"], own: int, labels: Mapping[int, object], counts: Mapping[object, int]
) -> float:
    label = labels[int(own)]
    places = np.flatnonzero([labels.get(one) == label for one in row.tolist()])
    precisions = (np.arange(len(places)) + 1) / (places + 1)
    return float(precisions.sum() / min(counts[label] - 1, _MAP_DEPTH))


def choose_effort(
    index: ApproximateIndex,
    queries: Float32[np.ndarray, "q dim"],
    own: Int64[np.ndarray, " q"],
    true: Sequence[Int64[np.ndarray, " k"]],
    *,
    k: int,
    least: float,
    most: int,
) -> tuple[Effort | None, float]:
    """Returns the quickest effort that finds a share of the k nearest, and the best share of all tried.

    Args:
        index: Searched.
        queries: Descriptors of photos in the index.
        own: Their ids.
        true: Their neighbours, k or more each.
        k: Answers.
        least: Share to be found.
        most: Lists that may be looked at.
    """
    wanted = [row[:k] for row in true]
    chosen, quickest, best = None, np.inf, 0.0
    for shortlist in _SHORTLISTS:
        probes, before = 1, -1.0
        while probes <= most:
            started = time.perf_counter()
            # One more, as the photo itself is found, too.
            ranking = index.look(queries, k + 1, Effort(k + 1, probes, shortlist))
            found = _others(ranking, own, k)
            seconds = time.perf_counter() - started
            shares = [recall([one], [true]) for one, true in zip(found, wanted, strict=True)]
            best = max(best, float(np.mean(shares)))
            # Less its standard error: other queries are not to find less than was asked for.
            reached = float(np.mean(shares) - np.std(shares) / math.sqrt(len(shares)))
            if reached >= least and seconds < quickest:
                chosen, quickest = Effort(k, probes, shortlist), seconds
            # What the shortlist loses, more lists do not bring back.
            if reached >= least or seconds > 2 * quickest or (probes > most // 4 and reached <= before):
                break
            probes, before = max(probes + 1, int(probes * _GROWTH)), reached
    return chosen, best
