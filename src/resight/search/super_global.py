"""SuperGlobal's re-ranking: answers refined by their neighbours, the query by its best answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.search.ranking import Ranking
from resight.search.rescoring import rescore_heads

__all__ = ["rerank_super_global"]


def rerank_super_global(
    ranking: Ranking,
    queries: Float32[np.ndarray, "q dim"],
    descriptors_of: Callable[[Int64[np.ndarray, " n"]], Float32[np.ndarray, "n dim"]],
    *,
    top: int = 400,
    neighbours: int = 9,
    weight: float = 0.15,
    expansion: int = 10,
) -> Ranking:
    """Returns the ranking with its first ``top`` ids sorted by refined descriptors.

    S. Shao, K. Chen, A. Karpur, Q. Cui, A. Araujo, B. Cao, Global Features are All You Need for Image
    Retrieval and Reranking, ICCV 2023, as in the authors' code:

    1. Each answer becomes the mean of itself (weight 1) and its nearest neighbours among the answers (weight
       beta times similarity, negative ones too), divided by the sum of the weights and not brought to unit
       length again.
    2. The expanded query is the largest value in each dimension over the refined answers that are most
       similar to the query; the query itself is not among them.
    3. The score is the mean of both inner products: query and expanded query with the refined answer.

    Scores are lifted above the rest of the row as `rescore_heads` says. Nothing is left out of the list
    beforehand: take what a benchmark ignores out of the ranking yourself.

    Args:
        ranking: Not changed.
        queries: Unit length, one a row of the ranking.
        descriptors_of: Descriptors of ids, unit length, in their order.
        top: M: answers that are re-ranked in each row.
        neighbours: Of an answer among the others; fewer where there are fewer.
        weight: beta.
        expansion: Refined answers that make the expanded query.

    Raises:
        InvalidInput: A number cannot be right, or queries or descriptors do not fit.
    """
    if neighbours < 0 or expansion < 1 or not 0 <= weight < np.inf:
        raise InvalidInput(
            "SuperGlobal needs neighbours >= 0, expansion >= 1 and a weight that is not negative, "
            f"not {neighbours}, {expansion} and {weight}"
        )

    def rescored(
        query: Float32[np.ndarray, " dim"], candidates: Float32[np.ndarray, "m dim"]
    ) -> Float64[np.ndarray, " m"]:
        refined = _refined(candidates.astype(np.float64), neighbours, weight)
        first = refined @ query
        best = np.argsort(-first, kind="stable")[:expansion]
        return (first + refined @ refined[best].max(axis=0)) / 2

    return rescore_heads(ranking, queries, descriptors_of, rescored, top=top)


def _refined(
    answers: Float64[np.ndarray, "m dim"], neighbours: int, weight: float
) -> Float64[np.ndarray, "m dim"]:
    """Returns the weighted mean of each answer and its nearest neighbours among the others."""
    similarities = answers @ answers.T
    np.fill_diagonal(similarities, -np.inf)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, : min(neighbours, len(answers) - 1)]
    shares = np.zeros_like(similarities)
    np.put_along_axis(shares, order, weight * np.take_along_axis(similarities, order, 1), axis=1)
    np.fill_diagonal(shares, 1.0)
    total = shares.sum(axis=1, keepdims=True)
    # Only answers that are nearly all opposite to one could bring its weights to 0 or below.
    return (shares @ answers) / np.where(total > 0, total, 1.0)
