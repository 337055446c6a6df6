"""Ranking by diffusion: scores spread from a query's neighbours over the graph of the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, final

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.sparse import coo_array, csr_array, vstack
from scipy.sparse.linalg import LinearOperator, cg

from resight.errors import InvalidInput
from resight.search.exact import ExactIndex
from resight.search.expansion import without_own
from resight.search.ranking import Ranking
from resight.search.rescoring import rescore_heads

__all__ = [
    "Diffusion",
    "OfflineDiffusion",
    "default_neighbours",
    "default_query_neighbours",
    "neighbour_graph",
    "rerank_diffusion",
]

CELLS = 1 << 22
"""Numbers of one working array (32 MB); queries are answered in blocks that keep to it."""

BLOCK = 1024
"""Points whose neighbours are searched at once."""


def default_neighbours(size: int) -> int:
    """Returns the default number of mutual neighbours in a database of that size.

    From 1,000 points on 50, as Iscen et al. take for Oxford and Paris; below, a twentieth, 5 at least. Where
    a point's neighbours are most of the database, every score spreads over all of it and the order is lost.
    """
    return min(50, max(5, size // 20))


def default_query_neighbours(size: int) -> int:
    """Returns the default number of neighbours from which a query starts: 10, or fewer as above."""
    return min(10, default_neighbours(size))


@final
@dataclass(frozen=True, slots=True, eq=False)
class Diffusion:
    """A database with the graph of its mutual neighbours; make it with `build` or `of_index`.

    A. Iscen, G. Tolias, Y. Avrithis, T. Furon, O. Chum, Efficient Diffusion on Region Manifolds: Recovering
    Small Objects with Compact CNN Representations, CVPR 2017: the scores f of a query solve
    ``(I - alpha S) f = y`` with the normalised affinities S of `neighbour_graph`, and y the affinities of
    the query to its own nearest neighbours. About 12 bytes an edge are held, at most 600 a photo.

    Attributes:
        index: The database, as it was when the graph was made: do not change it.
        graph: S, sparse ``(n, n)``, rows in the order of ``index.ids``.
        gamma: Exponent of the affinities.
        alpha: Share of the score that is handed on at each step of the walk.
    """

    index: ExactIndex
    graph: csr_array
    gamma: float
    alpha: float

    @classmethod
    def build(
        cls,
        database: Float32[np.ndarray, "n dim"],
        *,
        neighbours: int | None = None,
        gamma: float = 3.0,
        alpha: float = 0.99,
    ) -> Self:
        """Returns the diffusion over descriptors; the ids of its rankings are their rows.

        Args:
            database: Unit length; rounded to float16 once, as in every index.
            neighbours: k of the graph; by default `default_neighbours`.
            gamma: Exponent of the affinities.
            alpha: At least 0, below 1.

        Raises:
            InvalidInput: A number cannot be right, or descriptors are not finite or have no dimension.
        """
        return cls.of_index(_index_of(database), neighbours=neighbours, gamma=gamma, alpha=alpha)

    @classmethod
    def of_index(
        cls, index: ExactIndex, *, neighbours: int | None = None, gamma: float = 3.0, alpha: float = 0.99
    ) -> Self:
        """Returns the diffusion over an index, with its ids; arguments and errors are those of `build`."""
        if not 0 <= alpha < 1:
            raise InvalidInput(f"alpha of diffusion must be at least 0 and below 1, not {alpha}")
        near = default_neighbours(len(index)) if neighbours is None else neighbours
        return cls(index, neighbour_graph(index, neighbours=near, gamma=gamma), gamma, alpha)

    def diffuse(
        self, seeds: Float64[np.ndarray, "q n"], *, iterations: int = 20, tolerance: float = 1e-6
    ) -> Float64[np.ndarray, "q n"]:
        """Returns ``(I - alpha S)**-1 y`` for each y, by conjugate gradients.

        Args:
            seeds: One y a row, in the order of ``index.ids``.
            iterations: At most so many steps; after 20 the order of the best hardly changes (Iscen et al.).
            tolerance: A row is done when the residual is so small a part of ``|y|``.
        """
        return _solve(self.graph, seeds.astype(np.float64), self.alpha, iterations, tolerance)

    def rank(
        self,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        *,
        query_neighbours: int | None = None,
        iterations: int = 20,
        tolerance: float = 1e-6,
    ) -> Ranking:
        """Returns the k best of the database for each query.

        A score is ``(1 - alpha) f / |y|``, above 0 and at most 1. A photo that the diffusion does not reach
        follows behind, in the order of plain search, with ``(inner product - 1) / 2``, which is 0 or less.
        Ties go to the smaller id.

        Args:
            queries: Unit length.
            k: Answers a query; padded as in `ExactIndex.search`.
            query_neighbours: Nearest neighbours of the query from which its score spreads; by default
                `default_query_neighbours`.
            iterations: Of `diffuse`.
            tolerance: Of `diffuse`.

        Raises:
            InvalidInput: A number is not positive, or what `ExactIndex.search` refuses.
        """
        if iterations < 1 or not tolerance > 0:
            raise InvalidInput(
                f"diffusion needs iterations and tolerance above 0, not {iterations} and {tolerance}"
            )

        def spread(rows: Int64[np.ndarray, "b kq"], weights: Float64[np.ndarray, "b kq"]) -> np.ndarray:
            seeds = np.zeros((len(rows), len(self.index)))
            np.put_along_axis(seeds, rows, weights, axis=1)
            return self.diffuse(seeds, iterations=iterations, tolerance=tolerance)

        return _rank(self, queries, k, query_neighbours, spread)


@final
@dataclass(frozen=True, slots=True, eq=False)
class OfflineDiffusion:
    """The diffusion of each point of the database, solved beforehand: a query adds up a few of them.

    F. Yang, R. Hinami, Y. Matsui, S. Ly, S. Satoh, Efficient Image Retrieval via Decoupling Diffusion into
    Online and Offline Processing, AAAI 2019: row i of ``(I - alpha S)**-1`` is solved on the rows and columns
    of the ``truncation`` nearest neighbours of i alone. Up to ``8 * truncation`` bytes a photo are held.

    Attributes:
        diffusion: The graph, and the database.
        solved: Sparse float32 ``(n, n)``: row i holds how much of the score of point i reaches each point.
    """

    diffusion: Diffusion
    solved: csr_array

    @classmethod
    def build(
        cls,
        database: Float32[np.ndarray, "n dim"],
        *,
        truncation: int = 1000,
        neighbours: int | None = None,
        gamma: float = 3.0,
        alpha: float = 0.99,
        iterations: int = 20,
        tolerance: float = 1e-6,
    ) -> Self:
        """Returns the solved diffusion over descriptors; the ids of its rankings are their rows.

        Args:
            database: Unit length; rounded to float16 once, as in every index.
            truncation: Nearest neighbours on which each point is solved, itself among them.
            neighbours: k of the graph; by default `default_neighbours`.
            gamma: Exponent of the affinities.
            alpha: At least 0, below 1.
            iterations: Of conjugate gradients, at most.
            tolerance: Residual at which they stop.

        Raises:
            InvalidInput: A number cannot be right, or descriptors are not finite or have no dimension.
        """
        if truncation < 1 or iterations < 1 or not tolerance > 0:
            raise InvalidInput(
                "offline diffusion needs truncation, iterations and tolerance above 0, "
                f"not {truncation}, {iterations} and {tolerance}"
            )
        diffusion = Diffusion.build(database, neighbours=neighbours, gamma=gamma, alpha=alpha)
        index, graph = diffusion.index, diffusion.graph
        size = len(index)
        solved = [csr_array((0, size), dtype=np.float32)]
        block = max(1, CELLS // min(truncation, max(size, 1)))
        for start in range(0, size, block):
            own = index.ids[start : start + block]
            near = index.search(index.descriptors(own), min(truncation, size)).ids
            for point, nearest in zip(own, near, strict=True):
                # Copies of a point may crowd it out of its own neighbourhood.
                points = nearest if point in nearest else np.append(nearest[:-1], point)
                seed = (points == point).astype(np.float64)[None]
                row = _solve(graph[points][:, points], seed, alpha, iterations, tolerance)[0]
                at = np.zeros(len(points), dtype=np.int64)
                solved.append(coo_array((row.astype(np.float32), (at, points)), shape=(1, size)).tocsr())
        return cls(diffusion, vstack(solved, format="csr"))

    def rank(
        self, queries: Float32[np.ndarray, "q dim"], k: int, *, query_neighbours: int | None = None
    ) -> Ranking:
        """Returns the k best of the database for each query; scores and order are as in `Diffusion.rank`.

        Raises:
            InvalidInput: A number is not positive, or what `ExactIndex.search` refuses.
        """

        def spread(rows: Int64[np.ndarray, "b kq"], weights: Float64[np.ndarray, "b kq"]) -> np.ndarray:
            starts = np.arange(0, rows.size + 1, rows.shape[1])
            seeds = csr_array(
                (weights.ravel(), rows.ravel(), starts), shape=(len(rows), self.solved.shape[0])
            )
            return (seeds @ self.solved).toarray()

        return _rank(self.diffusion, queries, k, query_neighbours, spread)


def neighbour_graph(index: ExactIndex, *, neighbours: int, gamma: float) -> csr_array:
    """Returns the normalised affinities between the points of an index, sparse and symmetric, without loops.

    ``A[i, j] = max(x_i . x_j, 0)**gamma`` where each of i and j is among the k nearest neighbours of the
    other, and 0 elsewhere; then ``S = D**-0.5 A D**-0.5`` with D the sums of the rows (A. Iscen et al.,
    Efficient Diffusion on Region Manifolds, CVPR 2017, section 3.1). A point is not its own neighbour and
    does not count among the k; a point without neighbours has an empty row. Rows are in the order of
    ``index.ids``.

    Raises:
        InvalidInput: ``neighbours`` or ``gamma`` is not positive.
    """
    if neighbours < 1 or not 0 < gamma < np.inf:
        raise InvalidInput(
            f"a neighbour graph needs 1 or more neighbours and a positive gamma, got {neighbours} and {gamma}"
        )
    size = len(index)
    ids, order = np.sort(index.ids), np.argsort(index.ids, kind="stable")
    parts = [csr_array((0, size))]
    for start in range(0, size, BLOCK):
        own = index.ids[start : start + BLOCK]
        near = without_own(index.search(index.descriptors(own), neighbours + 1), own, neighbours)
        weights = affinity(near.scores, gamma)
        rows, places = np.nonzero(weights)
        columns = order[np.searchsorted(ids, near.ids[rows, places])]
        parts.append(coo_array((weights[rows, places], (rows, columns)), shape=(len(own), size)).tocsr())
    nearest = vstack(parts, format="csr")
    # 0 where only one of two is a neighbour of the other.
    mutual = nearest.minimum(nearest.T).tocoo()
    sums = mutual.sum(axis=1)
    values = mutual.data / np.sqrt(sums[mutual.row] * sums[mutual.col])
    return coo_array((values, (mutual.row, mutual.col)), shape=mutual.shape).tocsr()


def affinity(scores: np.ndarray, gamma: float) -> np.ndarray:
    """Returns ``max(score, 0)**gamma`` in float64, of any shape; padding (-inf) becomes 0."""
    return np.maximum(scores.astype(np.float64), 0.0) ** gamma


def rerank_diffusion(
    ranking: Ranking,
    queries: Float32[np.ndarray, "q dim"],
    descriptors_of: Callable[[Int64[np.ndarray, " n"]], Float32[np.ndarray, "n dim"]],
    *,
    top: int = 1000,
    neighbours: int | None = None,
    query_neighbours: int | None = None,
    gamma: float = 3.0,
    alpha: float = 0.99,
) -> Ranking:
    """Returns the ranking with its first ``top`` ids sorted by diffusion over the graph of these alone.

    It needs no database, and reaches nothing outside the list. Scores are those of `Diffusion.rank`, lifted
    above the rest of the row as `rescore_heads` says.

    Args:
        ranking: Not changed.
        queries: Unit length, one a row of the ranking.
        descriptors_of: Descriptors of ids, unit length, in their order.
        top: Answers that are re-ranked in each row.
        neighbours: k of the graph; by default `default_neighbours`.
        query_neighbours: Nearest neighbours of the query from which its score spreads; by default
            `default_query_neighbours`.
        gamma: Exponent of the affinities.
        alpha: At least 0, below 1.

    Raises:
        InvalidInput: A number cannot be right, or queries or descriptors do not fit.
    """

    def rescored(
        query: Float32[np.ndarray, " dim"], candidates: Float32[np.ndarray, "m dim"]
    ) -> Float64[np.ndarray, " m"]:
        graph = Diffusion.build(candidates, neighbours=neighbours, gamma=gamma, alpha=alpha)
        diffused = graph.rank(query[None], len(candidates), query_neighbours=query_neighbours)
        scores = np.empty(len(candidates))
        scores[diffused.ids[0]] = diffused.scores[0]
        return scores

    return rescore_heads(ranking, queries, descriptors_of, rescored, top=top)


def _index_of(database: Float32[np.ndarray, "n dim"]) -> ExactIndex:
    database = np.asarray(database)
    if database.ndim != 2:
        raise InvalidInput(f"diffusion needs descriptors of shape (n, dim), not {database.shape}")
    index = ExactIndex(database.shape[1], fingerprint="")
    index.add(np.arange(len(database)), database)
    return index


def _rank(
    diffusion: Diffusion,
    queries: Float32[np.ndarray, "q dim"],
    k: int,
    query_neighbours: int | None,
    spread: Callable[[Int64[np.ndarray, "b kq"], Float64[np.ndarray, "b kq"]], Float64[np.ndarray, "b n"]],
) -> Ranking:
    """Returns the k best by the scores that ``spread`` gives rows of neighbours and their weights."""
    if query_neighbours is None:
        query_neighbours = default_query_neighbours(len(diffusion.index))
    if query_neighbours < 1:
        raise InvalidInput(f"diffusion needs 1 or more neighbours of the query, not {query_neighbours}")
    if k < 1:
        raise InvalidInput(f"k must be at least 1, not {k}")
    index = diffusion.index
    # Those that are not reached follow in plain order: the k best hold enough of them.
    plain = index.search(queries, max(k, query_neighbours))
    ids, scores = plain.ids[:, :k].copy(), plain.scores[:, :k].copy()
    if len(index) == 0:
        return Ranking(ids, scores)
    by_id = np.argsort(index.ids, kind="stable")
    seeds = min(query_neighbours, len(index))
    rows = by_id[np.searchsorted(index.ids, plain.ids[:, :seeds], sorter=by_id)]
    weights = affinity(plain.scores[:, :seeds], diffusion.gamma)
    lengths = np.linalg.norm(weights, axis=1)
    step = max(1, CELLS // len(index))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        values = spread(rows[block], weights[block]) * (1 - diffusion.alpha)
        values /= np.where(lengths[block] > 0, lengths[block], 1.0)[:, None]
        for row, reached in enumerate(values.astype(np.float32), start):
            ids[row], scores[row] = _first(index.ids, reached, *plain.row(row), k)
    return Ranking(ids, scores)


def _first(
    ids: Int64[np.ndarray, " n"],
    diffused: Float32[np.ndarray, " n"],
    plain_ids: Int64[np.ndarray, " plain"],
    plain_scores: Float32[np.ndarray, " plain"],
    k: int,
) -> tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    """Returns the k best diffused, then what is not among them in plain order, then padding."""
    reached = np.flatnonzero(diffused > 0)
    order = reached[np.lexsort((ids[reached], -diffused[reached]))][:k]
    rest = ~np.isin(plain_ids, ids[order])
    # A float32 sum may reach a little beyond 1.
    behind = np.minimum((plain_scores[rest] - 1) / 2, 0).astype(np.float32)
    best = np.concatenate([ids[order], plain_ids[rest], np.full(k, -1)])[:k]
    scores = np.concatenate([diffused[order], behind, np.full(k, -np.inf, np.float32)])[:k]
    return best, scores


def _solve(
    graph: csr_array, seeds: Float64[np.ndarray, "q n"], alpha: float, iterations: int, tolerance: float
) -> Float64[np.ndarray, "q n"]:
    """Returns ``(I - alpha S)**-1`` times each row, by conjugate gradients (Hestenes and Stiefel, 1952).

    The matrix is positive definite: the eigenvalues of S lie between -1 and 1.
    """
    system = LinearOperator(graph.shape, matvec=lambda vector: vector - alpha * (graph @ vector), dtype=float)
    solution = np.zeros_like(seeds)
    for row, seed in enumerate(seeds):
        solution[row], _ = cg(system, seed, rtol=tolerance, maxiter=iterations)
    return solution
