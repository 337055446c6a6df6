"""Rankings: the answers of several queries as one value, and rankings without some of their answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput

__all__ = ["PADDING_ID", "Ranking", "without"]

PADDING_ID = -1
"""Fills the end of a row that has fewer than k answers; its score is minus infinity."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Answers of several queries, best first.

    Attributes:
        ids: int64 ``(queries, k)``, non-negative and unique within a row; `PADDING_ID` after the last answer.
        scores: float32 ``(queries, k)``, larger is better, never increasing along a row; -inf at padding.

    Raises:
        InvalidInput: Shapes or types differ, a row is unsorted, repeats an id, or holds NaN.
    """

    ids: Int64[np.ndarray, "queries k"]
    scores: Float32[np.ndarray, "queries k"]

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.shape != self.scores.shape:
            raise InvalidInput(
                f"a ranking needs ids and scores (queries, k), got {self.ids.shape} and {self.scores.shape}"
            )
        if self.ids.dtype != np.int64 or self.scores.dtype != np.float32:
            raise InvalidInput(
                f"a ranking holds int64 ids and float32 scores, not {self.ids.dtype} and {self.scores.dtype}"
            )
        if not _is_full(self.ids, self.scores):
            self._check_padded()
        for name in ("ids", "scores"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @classmethod
    def proved(cls, ids: Int64[np.ndarray, "queries k"], scores: Float32[np.ndarray, "queries k"]) -> Ranking:
        """Returns a ranking of what is one by construction, unchecked: for searches of some microseconds.

        Args:
            ids: Of the attribute; nobody else may change them.
            scores: The same.
        """
        ranking = object.__new__(cls)
        for name, array in (("ids", ids), ("scores", scores)):
            array.flags.writeable = False
            object.__setattr__(ranking, name, array)
        return ranking

    def _check_padded(self) -> None:
        padding = self.ids == PADDING_ID
        ordered = np.sort(self.ids, axis=1)
        repeated = ordered[:, 1:] == ordered[:, :-1]
        if padding.any():
            repeated &= ordered[:, 1:] != PADDING_ID
        if (ordered[:, :1] < PADDING_ID).any() or (padding[:, :-1] > padding[:, 1:]).any():
            raise InvalidInput("ids of a ranking must be non-negative, with padding only at the end of a row")
        if np.isnan(self.scores).any() or ((self.scores == -np.inf) != padding).any():
            raise InvalidInput("scores of a ranking must be numbers, and -inf exactly at padding")
        if (self.scores[:, 1:] > self.scores[:, :-1]).any():
            raise InvalidInput("scores of a ranking must not increase along a row")
        if repeated.any():
            raise InvalidInput("a row of a ranking repeats an id")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def k(self) -> int:
        """Length of a row, padding included."""
        return self.ids.shape[1]

    def row(self, query: int) -> tuple[Int64[np.ndarray, " answers"], Float32[np.ndarray, " answers"]]:
        """Returns ids and scores of one query without padding."""
        present = self.ids[query] != PADDING_ID
        return self.ids[query][present], self.scores[query][present]


def _is_full(ids: Int64[np.ndarray, "queries k"], scores: Float32[np.ndarray, "queries k"]) -> bool:
    """Returns whether all is as `Ranking` says, without padding: with few calls, as most rankings are so."""
    ordered = np.sort(ids, axis=1)
    return bool(
        (ordered[:, :1] >= 0).all()
        and (ordered[:, 1:] > ordered[:, :-1]).all()
        # A NaN in a row makes one of these comparisons false.
        and (scores[:, 1:] <= scores[:, :-1]).all()
        and (scores[:, -1:] > -np.inf).all()
    )


def without(ranking: Ranking, ignored: Sequence[Collection[int]]) -> Ranking:
    """Returns the ranking with some ids of each row taken out; the rest moves up, padding fills the end.

    A benchmark's junk leaves before the first answers are re-ranked, each difficulty its own::

        for difficulty in ("medium", "hard"):
            left = without(ranking, [truth.ignored(difficulty) for truth in truths])
            reranked = rerank(left, queries, features_of, top=100, config=verification_config("delg"))

    Args:
        ranking: Not changed.
        ignored: Ids of each row.

    Raises:
        InvalidInput: There is not one collection a row.
    """
    if len(ignored) != len(ranking):
        raise InvalidInput(f"{len(ranking)} queries need as many collections of ids, got {len(ignored)}")
    ids = np.full_like(ranking.ids, PADDING_ID)
    scores = np.full_like(ranking.scores, -np.inf)
    for row, ignored_ids in enumerate(ignored):
        row_ids, row_scores = ranking.row(row)
        left = ~np.isin(row_ids, np.array(sorted(ignored_ids), dtype=np.int64))
        count = int(np.count_nonzero(left))
        ids[row, :count], scores[row, :count] = row_ids[left], row_scores[left]
    return Ranking(ids, scores)
