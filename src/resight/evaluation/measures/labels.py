"""The measures of metric learning, from descriptors and labels: recall at k, MAP@R and R-precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from resight.errors import InvalidInput
from resight.evaluation.measures.arrays import as_array
from resight.files import Progress
from resight.search.exact import PositiveRanks, rank_positives

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LabelResult", "PerQuery", "evaluate_labels"]


@dataclass(frozen=True, slots=True, eq=False)
class PerQuery:
    """What each query contributes to the means.

    Attributes:
        queries: int64, the queries' indices, ascending.
        positives: int64, how many positives each has in the database, itself left out.
        recall: bool ``(queries, ks)``, whether one of the first k answers is a positive.
        map_at_r: float64, a fraction; NaN where the query has no positive.
        r_precision: float64, a fraction; NaN where the query has no positive.
    """

    queries: Int64[np.ndarray, " queries"]
    positives: Int64[np.ndarray, " queries"]
    recall: Bool[np.ndarray, "queries ks"]
    map_at_r: Float64[np.ndarray, " queries"]
    r_precision: Float64[np.ndarray, " queries"]


@dataclass(frozen=True, slots=True, eq=False)
class LabelResult:
    """The means, as fractions.

    Attributes:
        recall: ``(k, recall at k)`` in the order of ``ks``, over all queries.
        map_at_r: Over the queries that have a positive; NaN where none has.
        r_precision: Over the queries that have a positive; NaN where none has.
        per_query: What they are the means of.
    """

    recall: tuple[tuple[int, float], ...]
    map_at_r: float
    r_precision: float
    per_query: PerQuery


def evaluate_labels(
    descriptors: Float[np.ndarray, "n dim"] | Tensor,
    labels: Int64[np.ndarray, " n"] | Tensor,
    *,
    queries: Bool[np.ndarray, " n"] | None = None,
    gallery: Bool[np.ndarray, " n"] | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    progress: Progress | None = None,
) -> LabelResult:
    """Returns recall at each k, MAP@R and R-precision of descriptors compared by inner product.

    A positive is another image of the query's label in the database; R is how many the query has. A query
    that is in the database is left out of its own answers by its index, never by its rank: a duplicate may
    stand before it. Equal scores (`resight.search.exact`) are ordered by the smaller index.

    * Recall at k (Oh Song et al., CVPR 2016): the share of queries with a positive among their first k
      answers. A query without any positive in the database is a miss.
    * MAP@R (Musgrave et al., "A Metric Learning Reality Check", ECCV 2020, section 3.2): the mean of
      ``1/R · Σ P(i)`` over the positives at ranks i ≤ R, P(i) being the precision of the first i answers.
    * R-precision (ibid.): the mean share of positives among the first R answers.

    The last two leave out queries without a positive. Memory beyond the descriptors: a copy of them in the
    order of their labels and at most about 0.7 GB, whatever their number.

    Args:
        descriptors: Unit L2 norm, float32 or float16, of numpy or torch; float32 is not copied.
        labels: One a descriptor, of any integer type, of numpy or torch.
        queries: Which of them are queries; all by default.
        gallery: Which of them are the database; all by default.
        ks: How many answers recall looks at.
        progress: Called with the blocks of the product done and their number.

    Raises:
        InvalidInput: Shapes or types do not fit, a descriptor is not of unit norm, k is not positive, or
            there is no query or nothing in the database.

    >>> import numpy as np
    >>> descriptors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    >>> evaluate_labels(descriptors, np.array([0, 0, 1]), ks=(1,)).map_at_r
    1.0
    """
    descriptors, labels = as_array(descriptors), as_array(labels)
    if descriptors.dtype == np.float16:
        descriptors = descriptors.astype(np.float32)
    _check(descriptors, labels, ks)
    chosen = _selected(queries, len(labels), "query")
    database = _selected(gallery, len(labels), "database image")
    parts = [
        _measure(ranks, ks)
        for ranks in rank_positives(
            descriptors, labels.astype(np.int64), chosen, database, depth=max(ks), progress=progress
        )
    ]
    per_query = _in_order(parts)
    with_positive = per_query.positives > 0
    return LabelResult(
        tuple((k, float(hits.mean())) for k, hits in zip(ks, per_query.recall.T, strict=True)),
        _mean(per_query.map_at_r[with_positive]),
        _mean(per_query.r_precision[with_positive]),
        per_query,
    )


def _check(descriptors: np.ndarray, labels: np.ndarray, ks: Sequence[int]) -> None:
    if descriptors.ndim != 2 or descriptors.dtype != np.float32 or labels.shape != (len(descriptors),):
        raise InvalidInput(
            f"measures need float32 descriptors (n, dim) and a label each, got {descriptors.dtype} "
            f"{descriptors.shape} and labels {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(f"labels are whole numbers, not {labels.dtype}")
    if not ks or min(ks) < 1:
        raise InvalidInput(f"recall at k needs k of at least 1, not {tuple(ks)}")
    norms = np.sqrt(np.einsum("nd,nd->n", descriptors, descriptors))
    wrong = np.flatnonzero(~(np.abs(norms - 1) < 1e-3))
    if len(wrong):
        raise InvalidInput(
            f"descriptors are compared by inner product and need unit L2 norm, "
            f"but number {wrong[0]} has {norms[wrong[0]]:g}: divide each by its norm"
        )


def _selected(
    mask: Bool[np.ndarray, " n"] | None, count: int, what: str
) -> Int64[np.ndarray, " selected"] | None:
    if mask is not None and (mask.shape != (count,) or mask.dtype != np.bool_):
        raise InvalidInput(
            f"which image is a {what} is said by {count} booleans, not by {mask.dtype} {mask.shape}"
        )
    if count == 0 or (mask is not None and not mask.any()):
        raise InvalidInput(f"there is not a single {what} to measure with")
    return None if mask is None else np.flatnonzero(mask)


def _measure(positives: PositiveRanks, ks: Sequence[int]) -> PerQuery:
    """Returns the values of some queries from the ranks of their positives."""
    sizes = np.diff(positives.starts)
    some = sizes > 0
    first = np.full(len(sizes), np.iinfo(np.int64).max)
    first[some] = positives.ranks[positives.starts[:-1][some]]
    ordinal = np.arange(len(positives.ranks)) - np.repeat(positives.starts[:-1], sizes) + 1
    within = positives.ranks <= np.repeat(sizes, sizes)
    precision = np.where(within, ordinal / positives.ranks, 0.0)
    return PerQuery(
        positives.queries,
        sizes,
        first[:, None] <= np.array(ks),
        _per_positive(precision, positives.starts),
        _per_positive(within.astype(np.float64), positives.starts),
    )


def _per_positive(
    values: Float64[np.ndarray, " pairs"], starts: Int64[np.ndarray, " queries+1"]
) -> Float64[np.ndarray, " queries"]:
    """Returns the mean of each query's values; NaN where it has none."""
    sizes = np.diff(starts)
    query = np.repeat(np.arange(len(sizes)), sizes)
    sums = np.bincount(query, weights=values, minlength=len(sizes))
    means = np.full(len(sizes), np.nan)
    np.divide(sums, sizes, out=means, where=sizes > 0)
    return means


def _in_order(parts: Sequence[PerQuery]) -> PerQuery:
    queries = np.concatenate([part.queries for part in parts])
    order = np.argsort(queries)
    return PerQuery(
        queries[order],
        np.concatenate([part.positives for part in parts])[order],
        np.concatenate([part.recall for part in parts])[order],
        np.concatenate([part.map_at_r for part in parts])[order],
        np.concatenate([part.r_precision for part in parts])[order],
    )


def _mean(values: Float64[np.ndarray, " n"]) -> float:
    return float(values.mean()) if len(values) else float("nan")
