"""What a search in a collection returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from resight.collection.metadata import Value
from resight.features import Box, LocalFeatures

__all__ = ["Answer", "Hit", "Keypoints", "QueryPhoto", "Seconds"]

SHOWN_KEYPOINTS = 300
"""So many of a photo's keypoints are kept for display; more than that hide it."""


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Where a model looked in a photo, to be shown.

    Attributes:
        positions: float32 ``(n, 2)``, pixels of the whole upright photo; integer coordinates are centres.
        scores: float32 ``(n,)``, the attention there, best first.
    """

    positions: Float32[np.ndarray, "n 2"]
    scores: Float32[np.ndarray, " n"]

    @classmethod
    def of(cls, features: LocalFeatures) -> Keypoints:
        """Returns the places of the best features."""
        best = features.best(SHOWN_KEYPOINTS)
        return cls(best.positions, best.scores)


@dataclass(frozen=True, slots=True)
class QueryPhoto:
    """A photo that was searched for.

    Attributes:
        path: The file as the caller named it.
        box: The part of it that was searched for, inside the photo; None for the whole.
        width: Width of the whole upright photo, pixels.
        height: Height of the whole upright photo, pixels.
        wanted: False for a photo of what the answers must not be.
        keypoints: Where the model looked, for a model with attention; otherwise None.
    """

    path: str
    box: Box | None
    width: int
    height: int
    wanted: bool = True
    keypoints: Keypoints | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A photo found, and why.

    Attributes:
        rank: From 1.
        score: Inner product of the descriptors, or what refinement made of it, plus 2 for each inlier if
            verified; larger is better.
        path: The photo's file, absolute.
        width: Width of the whole upright photo, pixels.
        height: Height of the whole upright photo, pixels.
        inliers: Matches that agree with one transform; None where not verified.
        expected: Inliers that chance would reach, had the matches meant nothing
            (`resight.search.geometry.chance`); those beyond are what speaks for an answer. None where not
            verified.
        query: Which of the answer's queries the matches are with; None where not verified.
        query_points: float32 ``(inliers, 2)``, pixels of the query photo; integer coordinates are centres.
        answer_points: float32 ``(inliers, 2)``, pixels of this photo.
        transform: float64 ``(3, 3)``, from query pixels to pixels of this photo; None without a fit.
        region: float32 ``(4, 2)``, corners of the query's box in this photo, integer
            coordinates being centres; None without a fit.
        box: Bounds of the region inside this photo, along pixel edges; None without a fit or outside.
        metadata: The user's values of this photo; names without a value are left out.
        keypoints: Where the model looked, for a verified answer of a model with attention; otherwise None.
    """

    rank: int
    score: float
    path: str
    width: int
    height: int
    inliers: int | None
    expected: float | None
    query: int | None
    query_points: Float32[np.ndarray, "inliers 2"] | None
    answer_points: Float32[np.ndarray, "inliers 2"] | None
    transform: Float64[np.ndarray, "3 3"] | None
    region: Float32[np.ndarray, "4 2"] | None
    box: Box | None
    metadata: Mapping[str, Value]
    keypoints: Keypoints | None = None

    @property
    def similarity(self) -> float:
        """The score without the 2 that each inlier adds."""
        return self.score - 2 * (self.inliers or 0)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where a search spent its wall time.

    Attributes:
        describe: Reading and describing the query photos (and loading the model, the first time).
        load: Bringing the descriptors into memory (the first time, and after a change).
        search: Filter, scan and query expansion.
        verify: Local features from disk, and geometry.
        total: All of it.
    """

    describe: float
    load: float
    search: float
    verify: float
    total: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits, best first, and what was asked.

    Attributes:
        queries: The query photos in the order given, wanted ones first.
        hits: Best first.
        searched: Photos that were searched, after the filter.
        seconds: Where the time went.
    """

    queries: list[QueryPhoto]
    hits: list[Hit]
    searched: int
    seconds: Seconds
