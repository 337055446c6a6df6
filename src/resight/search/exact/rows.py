"""Which row of a matrix belongs to which id, through adds and removals."""

from __future__ import annotations

from typing import final

import numpy as np
from jaxtyping import Bool, Int64

from resight.errors import InvalidInput

__all__ = ["RowTable"]


@final
class RowTable:
    """Ids in the order of their rows; appending is amortised, looking up is a binary search."""

    def __init__(self) -> None:
        self._buffer = np.empty(0, dtype=np.int64)
        self._count = 0
        self._ascending = True
        self._order: Int64[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """Ids in the order of the rows, a read-only view."""
        view = self._buffer[: self._count]
        view.flags.writeable = False
        return view

    def check_new(self, ids: Int64[np.ndarray, " m"]) -> None:
        """Passes ids that can be appended.

        Raises:
            InvalidInput: An id is negative, repeated, or already here.
        """
        if len(ids) == 0:
            return
        if ids.min() < 0:
            raise InvalidInput(f"ids of an index must not be negative, got {ids.min()}")
        ordered = np.sort(ids)
        repeated = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(repeated):
            raise InvalidInput(f"id {repeated[0]} is given twice; each id of an index must be unique")
        if self._ascending and (self._count == 0 or ordered[0] > self._buffer[self._count - 1]):
            return
        known = ids[self.rows_of(ids) >= 0]
        if len(known):
            raise InvalidInput(f"id {known[0]} is already in the index; remove it before adding it again")

    def append(self, ids: Int64[np.ndarray, " m"]) -> None:
        """Gives the next rows to ids that `check_new` passed."""
        total = self._count + len(ids)
        if total > len(self._buffer):
            grown = np.empty(max(total, 2 * len(self._buffer)), dtype=np.int64)
            grown[: self._count] = self._buffer[: self._count]
            self._buffer = grown
        self._buffer[self._count : total] = ids
        tail = self._buffer[max(self._count - 1, 0) : total]
        self._ascending = self._ascending and bool((tail[1:] > tail[:-1]).all())
        self._count, self._order = total, None

    def rows_of(self, ids: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Returns the row of each id, -1 where it is not here."""
        if self._count == 0 or len(ids) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        own = self.ids
        if self._ascending:
            rows = np.minimum(np.searchsorted(own, ids), self._count - 1)
        else:
            order = self._order
            if order is None:
                # A stable sort is a merge of runs: cheap where batches come in ascending order.
                self._order = order = np.argsort(own, kind="stable")
            rows = order[np.minimum(np.searchsorted(own, ids, sorter=order), self._count - 1)]
        return np.where(own[rows] == ids, rows, -1)

    def keep(self, mask: Bool[np.ndarray, " n"]) -> None:
        """Drops the rows where ``mask`` is false; the others move up in order."""
        ids = self.ids[mask]
        self._buffer, self._count, self._order = ids, len(ids), None
        self._ascending = bool((ids[1:] > ids[:-1]).all())
