"""The ranks of the positives of every query, without ever sorting a row: the work behind the label measures.

All that recall at k, MAP@R and R-precision ask of a ranking is the rank of its positives. Those are few,
so their exact scores come first. The blocks of the big product are then only compared with one threshold a
query, the score of the worst positive whose rank can still matter, and the few pairs above it are counted.
As the counts grow the thresholds rise.

Scores and ties are those of `resight.search.exact`. Blocks are computed in float32; wherever that leaves the
order of a negative and a positive open, both are compared by the exact score, so that the result depends
neither on blocks nor on threads.

`rank_marked` gives the same ranks. For 20,000 descriptors of 512 dimensions in 2,000 classes, sorting every
row in float64 took 49 s and 81 MB where this took 9 s and 15 MB (two busy cores); a training selects by these
ranks after every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

import numpy as np
from jaxtyping import Float32, Float64, Int64

from resight.files import Progress, in_threads
from resight.search.exact.order import STEPS

__all__ = ["PositiveRanks", "rank_positives"]

_ONE = int(STEPS)
_ROW = 32
"""Bits a score takes in a key."""

_BLOCK = 2048
"""Rows and columns of a block: at 512 dimensions two thirds of the time are the product's own."""

_SAMPLE = 2048
"""A first look at so many database images raises the thresholds before the real count."""

_PAIRS = 1 << 23
"""Most pairs of a query and its positive held at once: 200 MB, and as much again while ranks are computed."""

_POSITIVE_BYTES = 1 << 25
_CLASS_QUERIES = 128


@dataclass(frozen=True, slots=True, eq=False)
class PositiveRanks:
    """The ranks of the positives of some queries.

    Attributes:
        queries: int64, the queries' indices.
        starts: int64, one more than queries: those of query ``q`` are ``ranks[starts[q]:starts[q + 1]]``.
        ranks: int64, from 1, ascending within a query. The first positive's rank is exact up to the depth
            asked for, any other up to the number of the query's positives; beyond, it is only known to be
            larger.
    """

    queries: Int64[np.ndarray, " queries"]
    starts: Int64[np.ndarray, " queries+1"]
    ranks: Int64[np.ndarray, " pairs"]


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """Descriptors in the order of their labels, those of one label in the order of their indices."""

    rows: Float32[np.ndarray, "n dim"]
    labels: Int64[np.ndarray, " n"]
    indices: Int64[np.ndarray, " n"]


@dataclass(frozen=True, slots=True, eq=False)
class _Positives:
    """The positives of a run of queries, best first, and what was counted so far.

    Attributes:
        first: Position of the run's first query on its side.
        keys: Ascending over all pairs: query shifted by `_ROW` bits, minus score.
        ahead: Negatives that stand directly before each positive, behind the positive before it.
        thresholds: One a query: pairs of a lower score cannot matter any more.
    """

    first: int
    starts: Int64[np.ndarray, " queries+1"]
    keys: Int64[np.ndarray, " pairs"]
    indices: Int64[np.ndarray, " pairs"]
    ahead: Int64[np.ndarray, " pairs"]
    thresholds: Float32[np.ndarray, " queries"]


def rank_positives(
    descriptors: Float32[np.ndarray, "n dim"],
    labels: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " queries"] | None,
    gallery: Int64[np.ndarray, " gallery"] | None,
    *,
    depth: int,
    progress: Progress | None = None,
) -> Iterator[PositiveRanks]:
    """Yields the ranks of the positives of all queries, as many queries at a time as memory allows.

    Every pair of images is multiplied once where all are queries and database alike.

    Args:
        descriptors: Unit L2 norm.
        labels: One a descriptor.
        queries: Ascending indices; ``None`` for all.
        gallery: Ascending indices of the database; ``None`` for all. A query in it is no answer to itself.
        depth: Down to which rank that of the first positive is to be exact.
        progress: Called with the blocks of the product done and their number.
    """
    everything = np.arange(len(labels))
    database = _side(descriptors, labels, everything if gallery is None else gallery)
    query_side = database if queries is None and gallery is None else None
    query_side = query_side or _side(descriptors, labels, everything if queries is None else queries)
    spread = 4.0 * 2.0**-24 * np.sqrt(descriptors.shape[1])
    runs = list(_runs(query_side, database))
    total = len(runs) * _blocks(len(query_side.rows)) * _blocks(len(database.rows))
    done = 0
    for first, stop in runs:
        counter = _Counter(
            query_side, database, _positives(query_side, first, stop, database), depth, float(spread)
        )
        counter.look_ahead()
        for blocks in counter.count(mirrored=query_side is database and len(runs) == 1):
            done += blocks
            if progress is not None:
                progress(min(done, total), total)
        yield counter.result()
    if progress is not None and runs:
        progress(total, total)


def _side(descriptors: np.ndarray, labels: np.ndarray, indices: Int64[np.ndarray, " n"]) -> _Side:
    order = indices[np.argsort(labels[indices], kind="stable")]
    return _Side(descriptors[order], labels[order], order)


def _blocks(count: int) -> int:
    return -(-count // _BLOCK)


def _partners(
    query_side: _Side, database: _Side
) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " queries"], Int64[np.ndarray, " queries"]]:
    """Returns where each query's label starts and stops in the database, and how many positives it has."""
    starts = np.searchsorted(database.labels, query_side.labels, side="left")
    stops = np.searchsorted(database.labels, query_side.labels, side="right")
    return starts, stops, stops - starts - np.isin(query_side.indices, database.indices)


def _runs(query_side: _Side, database: _Side) -> Iterator[tuple[int, int]]:
    """Yields ranges of queries whose positives together fit into memory."""
    reached = np.cumsum(_partners(query_side, database)[2])
    first = 0
    while first < len(reached):
        before = reached[first - 1] if first else 0
        stop = max(int(np.searchsorted(reached, before + _PAIRS, side="right")), first + 1)
        yield first, stop
        first = stop


def _fixed(scores: Float64[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
    return np.rint(scores * _ONE).astype(np.int64)


def _positives(query_side: _Side, first: int, stop: int, database: _Side) -> _Positives:
    """Returns the positives of queries ``first`` to ``stop``, best first, nothing counted yet."""
    left, right, counts = (part[first:stop] for part in _partners(query_side, database))
    starts = np.concatenate([[0], np.cumsum(counts)])
    keys = np.empty(starts[-1], dtype=np.int64)
    indices = np.empty(starts[-1], dtype=np.int64)
    for queries, width in _like_classes(left, right - left, query_side.rows.shape[1]):
        rows = first + queries
        columns = left[queries[:, :1]] + np.arange(width)
        products = query_side.rows[rows].astype(np.float64) @ database.rows[columns].astype(np.float64).mT
        distances = -_fixed(products)
        # A query in the database is its own worst answer, and falls off the end.
        distances[query_side.indices[rows][:, :, None] == database.indices[columns][:, None, :]] = 2 * _ONE
        order = np.argsort(distances, axis=2, kind="stable")
        present = np.arange(width) < counts[queries][:, :, None]
        places = (starts[queries][:, :, None] + np.arange(width))[present]
        keys[places] = (np.take_along_axis(distances, order, 2) + (queries[:, :, None] << _ROW))[present]
        answers = np.broadcast_to(database.indices[columns][:, None, :], order.shape)
        indices[places] = np.take_along_axis(answers, order, 2)[present]
    return _Positives(
        first, starts, keys, indices, np.zeros_like(keys), np.zeros(stop - first, dtype=np.float32)
    )


def _like_classes(
    left: Int64[np.ndarray, " queries"], widths: Int64[np.ndarray, " queries"], dim: int
) -> Iterator[tuple[Int64[np.ndarray, "classes height"], int]]:
    """Yields queries of several classes of one shape at a time, one class (or a part of it) a row."""
    changes = np.flatnonzero(np.diff(left, prepend=-1) | np.diff(widths, prepend=-1))
    edges = [*changes.tolist(), len(left)]
    pieces = [
        (start, min(start + _CLASS_QUERIES, stop))
        for begin, stop in pairwise(edges)
        for start in range(begin, stop, _CLASS_QUERIES)
        if widths[begin] > 0
    ]
    shapes: dict[tuple[int, int], list[int]] = {}
    for start, stop in pieces:
        shapes.setdefault((stop - start, int(widths[start])), []).append(start)
    for (height, width), members in shapes.items():
        together = max(1, _POSITIVE_BYTES // (8 * (dim * (height + width) + 4 * height * width)))
        for begin in range(0, len(members), together):
            yield np.array(members[begin : begin + together])[:, None] + np.arange(height), width


class _Counter:
    """Counts the negatives before each positive of a run of queries."""

    def __init__(
        self, query_side: _Side, database: _Side, positives: _Positives, depth: int, spread: float
    ) -> None:
        self._queries, self._database, self._positives, self._depth = query_side, database, positives, depth
        # Four times the root of the dimension in units of float32's rounding: ten times what is observed
        # (Higham and Mary, 2019, for why it is the root and not the dimension).
        self._spread, self._steps = spread, int(np.ceil(spread * _ONE))
        self._lock = Lock()
        self._raise(0, len(positives.thresholds))

    def look_ahead(self) -> None:
        """Raises the thresholds by what an evenly spaced part of the database shows; no counts are kept."""
        size = len(self._database.rows)
        if size <= 4 * _SAMPLE:
            return
        sample = np.linspace(0, size - 1, _SAMPLE).astype(np.int64)
        # A bad model's first thresholds let nearly everything through: few columns first, then ever more.
        steps = np.split(sample, [_SAMPLE >> power for power in (5, 4, 3, 2, 1)])

        def look(rows: Int64[np.ndarray, " rows"]) -> None:
            for columns in steps:
                self._compare(self._queries.rows[rows] @ self._database.rows[columns].T, rows, columns)

        for _ in in_threads(look, self._tiles(), blas_threads=1):
            pass
        self._forget()

    def _forget(self) -> None:
        """Takes all counts back, but leaves what cannot matter any more behind every other image."""
        positives, queries = self._positives, len(self._positives.thresholds)
        counts = self._mattering(0, queries)
        hopeless = (positives.starts[:-1] + counts)[counts < np.diff(positives.starts)]
        positives.ahead[:] = 0
        positives.ahead[hopeless] = len(self._database.rows)

    def count(self, *, mirrored: bool) -> Iterator[int]:
        """Counts everything, yielding how many blocks were dealt with; a mirrored one serves both sides."""
        everything = np.arange(len(self._database.rows))
        split = np.split(everything, range(_BLOCK, len(everything), _BLOCK))
        blocks = (
            (rows, columns)
            for rows in self._tiles()
            for columns in split
            if not mirrored or columns[0] >= rows[0]
        )

        def count_block(block: tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " columns"]]) -> int:
            rows, columns = block
            apart = mirrored and columns[0] != rows[0]
            left, right = self._queries.rows, self._database.rows
            products = left[rows[0] : rows[-1] + 1] @ right[columns[0] : columns[-1] + 1].T
            self._compare(products, rows, columns)
            if apart:
                self._compare(products, columns, rows, turned=True)
            return 2 if apart else 1

        yield from in_threads(count_block, blocks, blas_threads=1)

    def result(self) -> PositiveRanks:
        """Returns the ranks."""
        positives, queries = self._positives, len(self._positives.thresholds)
        indices = self._queries.indices[positives.first : positives.first + queries]
        return PositiveRanks(indices, positives.starts, self._ranks(0, queries))

    def _tiles(self) -> Iterator[Int64[np.ndarray, " rows"]]:
        first, count = self._positives.first, len(self._positives.thresholds)
        for start in range(0, count, _BLOCK):
            yield np.arange(first + start, first + min(start + _BLOCK, count))

    def _ranks(self, begin: int, end: int) -> Int64[np.ndarray, " pairs"]:
        """Returns the ranks, from 1, of the positives of those queries of the run, by what was counted."""
        positives = self._positives
        starts = positives.starts[begin : end + 1]
        before = np.concatenate([[0], np.cumsum(positives.ahead[starts[0] : starts[-1]] + 1)])
        return before[1:] - np.repeat(before[starts[:-1] - starts[0]], np.diff(starts))

    def _mattering(self, begin: int, end: int) -> Int64[np.ndarray, " queries"]:
        """Returns how many of the first positives of those queries have a rank that can still matter."""
        starts = self._positives.starts[begin : end + 1]
        sizes = np.diff(starts)
        limits = np.repeat(sizes, sizes)
        firsts = starts[:-1][sizes > 0] - starts[0]
        limits[firsts] = np.maximum(limits[firsts], self._depth)
        matter = np.concatenate([[0], np.cumsum(self._ranks(begin, end) <= limits)])
        return matter[starts[1:] - starts[0]] - matter[starts[:-1] - starts[0]]

    def _raise(self, begin: int, end: int) -> None:
        """Sets the thresholds of those queries to the worst positive whose rank can still matter."""
        positives = self._positives
        counts = self._mattering(begin, end)
        some = counts > 0
        worst = (positives.starts[begin:end] + counts - 1)[some]
        scores = ((np.arange(begin, end)[some] << _ROW) - positives.keys[worst]) / _ONE
        thresholds = np.full(end - begin, np.inf)
        thresholds[some] = scores - 1.5 * self._spread
        positives.thresholds[begin:end] = thresholds

    def _compare(
        self,
        products: Float32[np.ndarray, "rows columns"],
        queries: Int64[np.ndarray, " queries"],
        answers: Int64[np.ndarray, " answers"],
        *,
        turned: bool = False,
    ) -> None:
        """Counts the negatives of one block; ``turned``: queries are its columns."""
        positives = self._positives
        begin, end = int(queries[0]) - positives.first, int(queries[-1]) + 1 - positives.first
        thresholds = positives.thresholds[begin:end]
        flat = np.flatnonzero(products >= (thresholds if turned else thresholds[:, None]))
        if len(flat) == 0:
            return
        row, column = np.divmod(flat, products.shape[1])
        query, answer = (column, row) if turned else (row, column)
        negative = self._queries.labels[queries[query]] != self._database.labels[answers[answer]]
        query, answer, flat = query[negative], answer[negative], flat[negative]
        scores = _fixed(products.ravel()[flat].astype(np.float64))
        low, high = int(positives.starts[begin]), int(positives.starts[end])
        rows = (query + begin) << _ROW
        places = np.searchsorted(positives.keys[low:high], rows - scores) + low
        open_ = np.flatnonzero(self._is_open(places, rows, scores))
        if len(open_):
            exact = self._exact(queries, query[open_], answers, answer[open_])
            keys = rows[open_] - exact
            places[open_] = self._settle(keys, self._database.indices[answers[answer[open_]]], low, high)
        behind = places < positives.starts[query + begin + 1]
        # Thresholds another thread reads meanwhile are lower than they could be: more is compared, not less.
        with self._lock:
            np.add.at(positives.ahead, places[behind], 1)
            self._raise(begin, end)

    def _is_open(
        self, places: Int64[np.ndarray, " n"], rows: Int64[np.ndarray, " n"], scores: Int64[np.ndarray, " n"]
    ) -> np.ndarray:
        """Returns whether a positive of the same query is so near that float32 leaves the order open."""
        keys, own = self._positives.keys, rows - scores
        after = keys[np.minimum(places, len(keys) - 1)] - own
        before = own - keys[np.maximum(places - 1, 0)]
        # Keys of other queries lie further away than any spread.
        return (np.abs(after) <= self._steps) | (np.abs(before) <= self._steps)

    def _settle(
        self,
        keys: Int64[np.ndarray, " n"],
        indices: Int64[np.ndarray, " n"],
        low: int,
        high: int,
    ) -> Int64[np.ndarray, " n"]:
        """Returns the places of negatives by exact score, and by index among equal ones (bisection)."""
        positives = self._positives
        left = np.searchsorted(positives.keys[low:high], keys, side="left") + low
        right = np.searchsorted(positives.keys[low:high], keys, side="right") + low
        while (searching := np.flatnonzero(left < right)).size:
            middle = (left[searching] + right[searching]) // 2
            smaller = positives.indices[middle] < indices[searching]
            left[searching] = np.where(smaller, middle + 1, left[searching])
            right[searching] = np.where(smaller, right[searching], middle)
        return left

    def _exact(
        self,
        queries: Int64[np.ndarray, " queries"],
        query: Int64[np.ndarray, " n"],
        answers: Int64[np.ndarray, " answers"],
        answer: Int64[np.ndarray, " n"],
    ) -> Int64[np.ndarray, " n"]:
        """Returns the exact scores of some pairs, by the whole block where they are many (a collapse)."""
        query_side, database = self._queries.rows, self._database.rows
        if len(query) * 16 > len(queries) * len(answers):
            whole = query_side[queries].astype(np.float64) @ database[answers].astype(np.float64).T
            return _fixed(whole[query, answer])
        scores = np.empty(len(query))
        for start in range(0, len(query), _BLOCK):
            part = slice(start, start + _BLOCK)
            left = query_side[queries[query[part]]].astype(np.float64)
            right = database[answers[answer[part]]].astype(np.float64)
            scores[part] = np.einsum("nd,nd->n", left, right)
        return _fixed(scores)
