"""Pairs of a query and its positive, with the cluster of every photo: what training on tuples needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from resight.errors import InvalidInput

__all__ = ["TupleSet"]


@dataclass(frozen=True, slots=True, eq=False)
class TupleSet:
    """Photos, their clusters, and pairs of a query and a positive.

    Attributes:
        photos: Files.
        clusters: Cluster of each photo; negatives of a query come from others. -1 for a photo that belongs
            to none, which is never a negative.
        queries: Rows of photos.
        positives: Rows of photos, one a query; a query may stand there with several.

    Raises:
        InvalidInput: The numbers do not belong together.
    """

    photos: tuple[Path, ...]
    clusters: Int64[np.ndarray, " photos"]
    queries: Int64[np.ndarray, " pairs"]
    positives: Int64[np.ndarray, " pairs"]

    def __post_init__(self) -> None:
        if len(self.clusters) != len(self.photos) or len(self.queries) != len(self.positives):
            raise InvalidInput(
                f"{len(self.photos):,} photos have {len(self.clusters):,} clusters, and "
                f"{len(self.queries):,} queries {len(self.positives):,} positives: each photo has a cluster, "
                "each query a positive"
            )
        rows = np.concatenate([self.queries, self.positives])
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self.photos)):
            raise InvalidInput(f"a query or positive is none of the {len(self.photos):,} photos")
        if (self.queries == self.positives).any():
            raise InvalidInput("a query is its own positive")

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self.queries)
