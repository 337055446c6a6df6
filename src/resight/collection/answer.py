"""What a search in a collection returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from resight.collection.schema import Value
from resight.features import Box, LocalFeatures
from resight.files import typed_path
from resight.images import PhotoSource
from resight.search.geometry.verdict import Verdict, verdict
from resight.search.geometry.verification import Verification

__all__ = ["Answer", "Hit", "QueryPhoto", "Seconds", "ShownKeypoints", "written_score"]

SHOWN_KEYPOINTS = 300
"""Keypoints of a photo that are kept to be drawn: more would hide the photo."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownKeypoints:
    """The places of a photo that a model attended to, to be drawn.

    Attributes:
        positions: float32 ``(n, 2)``, pixels of the whole upright photo; integer coordinates are centres.
        scores: float32 ``(n,)``, the attention there, best first.
    """

    positions: Float32[np.ndarray, "n 2"]
    scores: Float32[np.ndarray, " n"]

    @classmethod
    def of(cls, features: LocalFeatures) -> ShownKeypoints:
        """Returns the places of the `SHOWN_KEYPOINTS` best features."""
        best = features.best(SHOWN_KEYPOINTS)
        return cls(best.positions, best.scores)


@dataclass(frozen=True, slots=True, eq=False)
class QueryPhoto:
    """A photo that was searched for.

    Attributes:
        source: The photo as the query holds it: a path, bytes, a PIL image or an array.
        box: The part of it that was searched for, inside the photo; None for the whole.
        width: Width of the whole upright photo, pixels.
        height: Height of the whole upright photo, pixels.
        wanted: False for a photo of what the answers must not show.
        keypoints: Places that the model attended to, for a model with attention; otherwise None.
    """

    source: PhotoSource
    box: Box | None
    width: int
    height: int
    wanted: bool = True
    keypoints: ShownKeypoints | None = None

    @property
    def path(self) -> str:
        """The file as the caller named it; ``a photo in memory`` where there is none."""
        return str(self.source) if isinstance(self.source, str | Path) else "a photo in memory"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Hit:
    """One answer of a search, and the evidence for it.

    Attributes:
        rank: From 1. Verified answers come first, by evidence and similarity
            (`resight.search.order_verified`); the others follow by similarity.
        similarity: Inner product of the descriptors, or the score that a refinement replaced it by; larger is
            better.
        path: The photo's file, absolute.
        width: Width of the whole upright photo, pixels.
        height: Height of the whole upright photo, pixels.
        match: What geometry says: inliers and how many chance would reach, matched points in pixels of the
            query photo and of this one, transform and region; None where not verified.
        query: Which of the answer's query photos the match is with; None where not verified.
        metadata: The user's values of this photo; names without a value are left out.
        keypoints: Places that the model attended to, for a verified answer of a model with attention; else
            None.
        missing: The file is not there any more, or may not be shown: it lies in no folder that was named on
            this machine.
        changed: The file has other bytes than when it was described: it may show something else now.
        id: Number of the photo in its collection, the same as long as it is there; None outside of one.
        probability: That both photos show the same thing; None before `resight calibrate`, and where the
            query was expanded or the ranking refined.
        part: Of a collection with parts (`resight index --regions`), the part of this photo whose descriptor
            the similarity is of, in pixels; None for the whole photo.
    """

    rank: int
    similarity: float
    path: str
    width: int
    height: int
    match: Verification | None
    query: int | None
    metadata: Mapping[str, Value]
    keypoints: ShownKeypoints | None = None
    missing: bool = False
    changed: bool = False
    id: int | None = None
    probability: float | None = None
    part: Box | None = None

    def __repr__(self) -> str:
        inliers = "" if self.inliers is None else f" with {self.inliers} inliers"
        return f"<Hit {self.rank} {self.verdict}, {self.similarity:.4f}{inliers}: {self.path!r}>"

    @property
    def verdict(self) -> Verdict:
        """How far the answer can be trusted: `resight.search.verdict` of its match."""
        return verdict(self.match)

    @property
    def score(self) -> float:
        """The similarity. It does not order verified answers alone: evidence comes first."""
        return self.similarity

    @property
    def inliers(self) -> int | None:
        """Matched points that agree on one transform; None where not verified."""
        return None if self.match is None else self.match.inliers

    @property
    def box(self) -> Box | None:
        """Bounds of the match's region inside this photo, along pixel edges; None without a fit or outside.

        A region's corners are positions (the first pixel's centre is 0), a box runs along edges (it is 0.5).
        """
        if self.match is None or self.match.region is None:
            return None
        region = self.match.region
        x0, y0 = np.maximum(region.min(axis=0) + 0.5, 0.0).tolist()
        x1, y1 = np.minimum(region.max(axis=0) + 0.5, (self.width, self.height)).tolist()
        return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


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


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """Hits, best first, and what was asked; iterated and indexed, it is its hits.

    Attributes:
        queries: The query photos in the order of the query; those of the thing first.
        hits: Best first.
        searched: Photos that were searched, after the filter.
        seconds: Where the time went.
        notes: What is amiss with folders and files, a sentence each with the command that mends it.
        damage: Those of the notes that tell of damaged rows, which geometry could not check.
    """

    queries: list[QueryPhoto]
    hits: list[Hit]
    searched: int
    seconds: Seconds
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, place: int) -> Hit:
        return self.hits[place]

    def __repr__(self) -> str:
        return f"<Answer of {len(self.hits)} hits among {self.searched} photos>"

    @property
    def is_found(self) -> bool | None:
        """Whether a hit likely shows the thing, by probability or verdict; None where neither is known."""
        probabilities = [hit.probability for hit in self.hits if hit.probability is not None]
        if probabilities:
            return max(probabilities) >= 0.5
        verdicts = {hit.verdict for hit in self.hits} - {"unchecked"}
        return bool(verdicts & {"confirmed", "likely"}) if verdicts else None

    def save_html(self, path: str | Path) -> None:
        """Writes the answer as a page that shows why, see `resight.write_sheet`.

        Raises:
            OSError: The file cannot be written.
        """
        from resight._shown import save_sheet

        save_sheet(self, typed_path(path))

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from resight._shown import notebook_html

        return notebook_html(self)


def written_score(hit: Hit) -> float:
    """Returns the similarity as files and the API show it: at most 1 where only rounding takes it beyond.

    Descriptors are stored in float16, so that a photo's product with itself may be 1.0003. Scores of
    refinements, which may be larger, stay as they are.
    """
    return 1.0 if 1.0 < hit.similarity < 1.001 else hit.similarity
