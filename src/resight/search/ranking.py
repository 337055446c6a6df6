"""The answer of a search, as a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput

__all__ = ["PADDING_ID", "Ranking"]

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
        padding = self.ids == PADDING_ID
        if (self.ids < PADDING_ID).any() or (padding[:, :-1] & ~padding[:, 1:]).any():
            raise InvalidInput("ids of a ranking must be non-negative, with padding only at the end of a row")
        if np.isnan(self.scores).any() or (np.isneginf(self.scores) != padding).any():
            raise InvalidInput("scores of a ranking must be numbers, and -inf exactly at padding")
        if (self.scores[:, 1:] > self.scores[:, :-1]).any():
            raise InvalidInput("scores of a ranking must not increase along a row")
        ordered = np.sort(self.ids, axis=1)
        if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PADDING_ID)).any():
            raise InvalidInput("a row of a ranking repeats an id")
        for name in ("ids", "scores"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def k(self) -> int:
        """Length of a row, padding included."""
        return self.ids.shape[1]

    def row(self, query: int) -> tuple[Int64[np.ndarray, " found"], Float32[np.ndarray, " found"]]:
        """Returns ids and scores of one query without padding."""
        found = self.ids[query] != PADDING_ID
        return self.ids[query][found], self.scores[query][found]
