"""The first answers of a few queries, by the very scores the measures count with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

__all__ = ["FirstAnswers", "first_answers"]

_ROWS = 8192


@dataclass(frozen=True, slots=True, eq=False)
class FirstAnswers:
    """Answers of one query, best first.

    Attributes:
        indices: Of the images.
        scores: Their inner products with the query.
    """

    indices: Int64[np.ndarray, " k"]
    scores: Float64[np.ndarray, " k"]


def first_answers(
    descriptors: Float32[np.ndarray, "n dim"],
    queries: Sequence[int],
    k: int,
    *,
    gallery: Bool[np.ndarray, " n"] | None = None,
) -> list[FirstAnswers]:
    """Returns the k best answers of each query, fewer where the database is smaller, equal ones by index.

    Args:
        descriptors: Unit L2 norm.
        queries: Indices; each is left out of its own answers.
        k: How many answers.
        gallery: Which descriptors are the database; all by default.
    """
    asked = descriptors[list(queries)].astype(np.float64)
    scores = np.empty((len(asked), len(descriptors)))
    for start in range(0, len(descriptors), _ROWS):
        part = slice(start, start + _ROWS)
        scores[:, part] = asked @ descriptors[part].astype(np.float64).T
    # Rounded as in `resight.evaluation.measures.positives`, so that duplicates are equal.
    scores = np.rint(scores * 2**30) / 2**30
    found = []
    for query, row in zip(queries, scores, strict=True):
        allowed = np.ones(len(descriptors), dtype=np.bool_) if gallery is None else gallery.copy()
        allowed[query] = False
        candidates = np.flatnonzero(allowed)
        best = candidates[np.argsort(-row[candidates], kind="stable")[:k]]
        found.append(FirstAnswers(best, row[best]))
    return found
