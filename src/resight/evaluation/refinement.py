"""What can follow the first ranking of a landmark benchmark: query expansion and geometric verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.errors import InvalidInput
from resight.evaluation.landmark_description import LandmarkDescriptors
from resight.features import LocalFeatures
from resight.search.exact import Ranks
from resight.search.expansion import expand
from resight.search.geometry.config import verification_config
from resight.search.ranking import Ranking

__all__ = ["UNREFINED", "Heads", "Refinement", "expanded_queries", "verified_heads"]

Heads = dict[str, list[Int64[np.ndarray, " _"]]]
"""Task name to the re-ranked first answers of each query, what the task ignores taken out."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """What is done after the first ranking.

    Attributes:
        expand: Neighbours that enter alpha query expansion; 0: none.
        alpha: Its exponent.
        verify: Answers of each query that are verified by geometry; 0: none.
        protocol: How, a name that `resight.search.verification_config` takes: ``delg`` is the DELG paper's.

    Raises:
        InvalidInput: A number is negative, or there is no such protocol.
    """

    expand: int = 0
    alpha: float = 3.0
    verify: int = 0
    protocol: str = "default"

    def __post_init__(self) -> None:
        verification_config(self.protocol)
        if self.expand < 0 or self.verify < 0:
            raise InvalidInput(
                f"expansion and verification take 0 or more answers, not {self.expand} and {self.verify}"
            )

    @property
    def words(self) -> str:
        """For the protocol card."""
        parts = []
        if self.expand:
            parts.append(f"alpha query expansion by {self.expand} neighbours, alpha {self.alpha:g}")
        if self.verify:
            ordered = verification_config(self.protocol).order
            by = "evidence and score" if ordered == "evidence" else "(inliers, score)"
            parts.append(
                f"geometric verification of the first {self.verify}, by {by}, after what the "
                f"task ignores has left; protocol {self.protocol}"
            )
        return "; ".join(parts) or "none"


UNREFINED = Refinement()
"""The first ranking as it is."""


def expanded_queries(
    queries: Float32[np.ndarray, "q dim"],
    parts: Sequence[Float[np.ndarray, "_ dim"]],
    ranking: Ranking,
    *,
    alpha: float,
) -> Float32[np.ndarray, "q dim"]:
    """Returns the queries after alpha query expansion by all answers of a ranking.

    Args:
        queries: As given; normalised here, as their neighbours are.
        parts: The database one after the other.
        ranking: The neighbours.
        alpha: The exponent of ``resight.search.expand``.
    """
    neighbours = np.zeros((*ranking.ids.shape, queries.shape[1]), dtype=np.float32)
    start = 0
    for part in parts:
        here = (ranking.ids >= start) & (ranking.ids < start + len(part))
        neighbours[here] = _unit(part[ranking.ids[here] - start].astype(np.float32))
        start += len(part)
    return expand(_unit(queries), neighbours, ranking.scores, alpha=alpha)


def verified_heads(
    truth: LandmarkTruth,
    ranks: Ranks,
    described: LandmarkDescriptors,
    top: int,
    *,
    protocol: str = "default",
) -> Heads:
    """Returns the first answers of every task and query, sorted by `order_verified`.

    What a task ignores leaves its ranking before the first ``top`` are taken; an image that several tasks
    verify is verified once. Distractors have no local features and no inliers.

    Args:
        truth: What is ignored.
        ranks: With enough first answers for every task.
        described: With local features.
        top: Answers that are verified.
        protocol: How.
    """
    from resight.search.geometry.reranking import order_verified
    from resight.search.geometry.verification import verify_answers

    local, config = described.database_local, verification_config(protocol)

    def features_of(ids: Int64[np.ndarray, " n"]) -> list[LocalFeatures | None]:
        return [local[row] if row < len(local) else None for row in ids.tolist()]

    heads: Heads = {task.name: [] for task in truth.tasks}
    for query, features in enumerate(described.query_local):
        ids, scores = ranks.first.row(query)
        ranked = {task.name: _without_ignored(ids, task, query, top) for task in truth.tasks}
        places = np.unique(np.concatenate(list(ranked.values())))
        if features is None:
            for name, head in ranked.items():
                heads[name].append(ids[head])
            continue
        fits = verify_answers(features, features_of(ids[places]), config=config)
        matches = dict(zip(places.tolist(), fits, strict=True))
        for name, head in ranked.items():
            order = order_verified(
                scores[head], [matches[place] for place in head.tolist()], order=config.order
            )
            heads[name].append(ids[head][order])
    return heads


def _without_ignored(
    ids: Int64[np.ndarray, " n"], task: Task, query: int, top: int
) -> Int64[np.ndarray, " top"]:
    return np.flatnonzero(~np.isin(ids, list(task.ignored[query])))[:top]


def _unit(rows: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, "n dim"]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
