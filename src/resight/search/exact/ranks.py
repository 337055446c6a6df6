"""At which ranks the images that matter come, over a database of any size in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.files import Progress
from resight.search.exact.order import rounded, top_k
from resight.search.ranking import PADDING_ID, Ranking

__all__ = ["Ranks", "rank_marked", "rank_scores", "ranks_of"]

_BLOCK_BYTES = 32 << 20
"""Of a block of the database in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Where some images of the database stand in the rankings of some queries.

    Attributes:
        marked: For each query, int64 ``(m,)``: the database indices whose ranks are known, ascending.
        places: For each query, int64 ``(m,)``: their ranks from 0, ties by the smaller index; -1: not ranked.
        first: The first answers of each query, best first.
    """

    marked: tuple[Int64[np.ndarray, " _"], ...]
    places: tuple[Int64[np.ndarray, " _"], ...]
    first: Ranking


def rank_marked(
    queries: Float32[np.ndarray, "q dim"],
    parts: Sequence[Float[np.ndarray, "_ dim"]],
    marked: Sequence[Int64[np.ndarray, " _"]],
    *,
    first: int,
    progress: Progress | None = None,
) -> Ranks:
    """Returns the exact ranks of the marked images, and the first answers, without sorting the database.

    A rank is the number of images with a larger score, or an equal one and a smaller index; they are counted
    block by block. Scores are inner products of L2-normalised rows, rounded as `resight.search.exact` says.

    Args:
        queries: One a row; normalised here.
        parts: The database one after the other, such as a benchmark's own images and a memory-mapped file of
            distractors, float16, float32 or float64; indices run through. Rows are normalised here; one of
            zeros stays, and scores 0.
        marked: For each query, indices of the database, ascending.
        first: How many answers of each query are returned.
        progress: Called after each block with the descriptors compared and their number.

    Raises:
        InvalidInput: Dimensions differ, or a number is not finite.
    """
    units = _unit(queries, range(len(queries)), "query")
    for part in parts:
        if part.shape[1:] != queries.shape[1:]:
            raise InvalidInput(
                f"queries have {queries.shape[1]} dimensions and a part of the database has the shape "
                f"{part.shape}"
            )
    size = sum(len(part) for part in parts)
    own_scores = [_scores_of(query, parts, rows) for query, rows in zip(units, marked, strict=True)]
    places = [np.zeros(len(rows), dtype=np.int64) for rows in marked]
    best = _Best(len(queries), min(first, size))
    for start, block in _blocks(parts, units.shape[1]):
        scores = rounded(units @ block.T)
        best.add(scores, start)
        for query, row in enumerate(scores):
            places[query] += _before(row, start, own_scores[query], marked[query])
        if progress is not None:
            progress(start + len(block), size)
    return Ranks(tuple(marked), tuple(places), best.ranking())


def rank_scores(
    scores: Float[np.ndarray, "q n"], marked: Sequence[Int64[np.ndarray, " _"]], *, first: int
) -> Ranks:
    """Returns the ranks in a matrix of scores, larger is better, ties by the smaller index.

    Raises:
        InvalidInput: A score is NaN.
    """
    if np.isnan(scores).any():
        raise InvalidInput("a similarity is NaN; all must be numbers")
    ids = np.arange(scores.shape[1])
    order = np.array([top_k(row, ids, len(ids)) for row in scores.astype(np.float64)], dtype=np.int64)
    order = order.reshape(scores.shape)
    ranking = Ranking(order, np.take_along_axis(scores, order, axis=1).astype(np.float32))
    return Ranks(tuple(marked), ranks_of(ranking, marked).places, _head(ranking, first))


def ranks_of(ranking: Ranking, marked: Sequence[Int64[np.ndarray, " _"]]) -> Ranks:
    """Returns the ranks of the marked images in a ranking, which may be truncated.

    >>> ranking = Ranking(np.array([[7, 3, 5]]), np.array([[0.9, 0.8, 0.7]], dtype=np.float32))
    >>> ranks_of(ranking, [np.array([1, 5])]).places[0].tolist()
    [-1, 2]
    """
    places = []
    for ids, rows in zip(ranking.ids, marked, strict=True):
        order = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids, rows, sorter=order), max(len(ids) - 1, 0))
        place = order[at] if len(ids) else np.zeros(len(rows), dtype=np.int64)
        places.append(np.where(ids[place] == rows, place, -1) if len(ids) else place - 1)
    return Ranks(tuple(marked), tuple(places), ranking)


def _head(ranking: Ranking, first: int) -> Ranking:
    return Ranking(ranking.ids[:, :first].copy(), ranking.scores[:, :first].copy())


class _Best:
    """The best answers so far of each query."""

    def __init__(self, queries: int, count: int) -> None:
        self._count = count
        self._ids = np.full((queries, 0), PADDING_ID, dtype=np.int64)
        self._scores = np.empty((queries, 0))

    def add(self, scores: Float64[np.ndarray, "q block"], start: int) -> None:
        new = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        ids = np.concatenate([self._ids, new], axis=1)
        joined = np.concatenate([self._scores, scores], axis=1)
        size = min(self._count, ids.shape[1])
        order = np.empty((len(ids), size), dtype=np.int64)
        for query in range(len(ids)):
            order[query] = top_k(joined[query], ids[query], size)
        self._scores = np.take_along_axis(joined, order, axis=1)
        self._ids = np.take_along_axis(ids, order, axis=1)

    def ranking(self) -> Ranking:
        return Ranking(self._ids, self._scores.astype(np.float32))


def _before(
    row: Float64[np.ndarray, " block"],
    start: int,
    own_scores: Float64[np.ndarray, " m"],
    marked: Int64[np.ndarray, " m"],
) -> Int64[np.ndarray, " m"]:
    """Returns how many images of a block come before each marked one."""
    ordered = np.sort(row)
    above = len(row) - np.searchsorted(ordered, own_scores, side="right")
    reached = len(row) - np.searchsorted(ordered, own_scores, side="left")
    count = np.where(marked >= start + len(row), reached, above)
    for place in np.flatnonzero((marked >= start) & (marked < start + len(row))):
        own, score = marked[place] - start, own_scores[place]
        # The product of a whole block may round otherwise than that of a single row: never before itself.
        count[place] = above[place] + np.count_nonzero(row[:own] == score) - int(row[own] > score)
    return count


def _scores_of(
    query: Float64[np.ndarray, " dim"],
    parts: Sequence[Float[np.ndarray, "_ dim"]],
    rows: Int64[np.ndarray, " m"],
) -> Float64[np.ndarray, " m"]:
    scores = np.empty(len(rows))
    start = 0
    for part in parts:
        here = (rows >= start) & (rows < start + len(part))
        units = _unit(part[rows[here] - start], rows[here].tolist(), "database image")
        scores[here] = rounded(units @ query)
        start += len(part)
    return scores


def _blocks(
    parts: Sequence[Float[np.ndarray, "_ dim"]], dim: int
) -> Iterator[tuple[int, Float64[np.ndarray, "block dim"]]]:
    rows = max(1, _BLOCK_BYTES // (8 * dim))
    offset = 0
    for part in parts:
        for start in range(0, len(part), rows):
            block = _rows(part, start, min(start + rows, len(part)))
            numbers = range(offset + start, offset + start + len(block))
            yield offset + start, _unit(block, numbers, "database image")
        offset += len(part)


def _rows(part: Float[np.ndarray, "n dim"], start: int, stop: int) -> Float[np.ndarray, "block dim"]:
    """Returns some rows; of a mapped file by a mapping of their own, gone with them.

    Pages of a whole mapping would stay resident for as long as there is room: 4 GB of a million distractors.
    """
    if not (isinstance(part, np.memmap) and isinstance(part.base, mmap) and part.flags.c_contiguous):
        return part[start:stop]
    if part.filename is None:
        return part[start:stop]
    offset = part.offset + start * part.strides[0]
    return np.memmap(part.filename, part.dtype, "r", offset, (stop - start, part.shape[1]))


def _unit(
    rows: Float[np.ndarray, "n dim"], numbers: Sequence[int], what: str
) -> Float64[np.ndarray, "n dim"]:
    wide = rows.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    if not np.isfinite(lengths).all():
        number = numbers[int(np.flatnonzero(~np.isfinite(lengths))[0])]
        raise InvalidInput(f"the descriptor of {what} number {number} (from 0) holds NaN or infinity")
    wide /= np.where(lengths > 0, lengths, 1.0)[:, None]
    return wide
