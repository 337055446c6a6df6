"""How matches are found and judged: the settings of geometric verification, and protocols by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from resight.errors import InvalidInput
from resight.features import LocalFeatures
from resight.search.geometry.matching import MatchRule

__all__ = [
    "NEAR",
    "PROTOCOLS",
    "SAMPLES",
    "FitModel",
    "VerificationConfig",
    "VerifiedOrder",
    "verification_config",
]

FitModel = Literal["similarity", "affine", "homography"]

NEAR = 0.6
"""Distance of unit descriptors below which XFeat's authors take mutual neighbours for a match (a cosine above
0.82). Of 224 mutual neighbours of two unrelated photos nine are as near; without the limit a tenth of such
pairs was confirmed (`benchmarks/local_sources.py`)."""

VerifiedOrder = Literal["evidence", "beyond", "inliers"]
"""``evidence``: similarity and inliers beyond chance together, see `reranking.order_verified`.
``beyond``: inliers beyond chance, then the similarity, for scores of an unknown scale.
``inliers``: the number of inliers, then the similarity."""

SAMPLES: dict[FitModel, int] = {"similarity": 2, "affine": 3, "homography": 4}
"""Matches that determine a transform of each kind."""


@dataclass(frozen=True, slots=True)
class VerificationConfig:
    """How matches are found and judged.

    Attributes:
        model: What is fitted: a similarity (2 matches), an affine transform (3) or a homography (4).
        matching: Mutual nearest neighbours, the ratio test, or nearest neighbours within a distance; ``None``
            for what suits the keypoints (`rule_for`). ``near`` is mutual neighbours within `NEAR`.
        ratio: Of the distances to the nearest and the second nearest; only for the ratio test.
        max_distance: Of unit-length descriptors, 0 to 2; only for neighbours within a distance. Of binary
            codes, the share of differing bits that this angle of the vectors stands for.
        threshold: How far from its place a match may lie, in pixels where an answer's features span 640.
            Photos of any size are judged alike: the threshold grows with the span of the answer's features.
            Under ``sampling="random"`` it is in pixels of the query's photo.
        max_scale: Fits that enlarge or shrink beyond it, relative to the spans above 640 pixels, are refused.
        max_stretch: Fits that stretch one direction this many times more than another are refused.
        max_matches: Only so many of the most similar matches are used; bounds the time.
        sampling: ``"guided"`` tries the similarity transform of every match, or of pairs of matches where
            keypoints have no orientation, grows the best and refuses what no camera sees. ``"random"`` is
            plain RANSAC with ``trials`` samples of three matches, all matches counted and no fit refused
            (`resight.search.geometry.plain_ransac`).
        order: How verified answers are ordered (`reranking.order_verified`): by similarity and what their
            inliers exceed chance by, or by their number of inliers.
        trials: Samples; only for ``sampling="random"``.
        seed: Of the samples; only for ``sampling="random"``.

    Raises:
        InvalidInput: A number is out of its range.
    """

    model: FitModel = "affine"
    matching: MatchRule | None = None
    ratio: float = 0.9
    threshold: float = 20.0
    max_scale: float = 8.0
    max_stretch: float = 4.0
    max_matches: int = 500
    max_distance: float = 1.0
    sampling: Literal["guided", "random"] = "guided"
    order: VerifiedOrder = "evidence"
    trials: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in SAMPLES or self.matching not in (None, "mutual", "near", "ratio", "distance"):
            raise InvalidInput(
                "verification fits 'similarity', 'affine' or 'homography' to 'mutual', 'near', 'ratio' or "
                f"'distance' matches, not {self.model!r} to {self.matching!r}"
            )
        if self.sampling not in ("guided", "random") or (
            self.sampling == "random" and self.model != "affine"
        ):
            raise InvalidInput(
                "verification's sampling is 'guided', or 'random' with the affine model, "
                f"not {self.sampling!r} with {self.model!r}"
            )
        if not (0 < self.ratio <= 1 and 0 < self.max_distance <= 2 and 0 < self.threshold < np.inf):
            raise InvalidInput(
                "verification needs 0 < ratio <= 1, 0 < max_distance <= 2 and a positive threshold, "
                f"not {self.ratio}, {self.max_distance} and {self.threshold}"
            )
        if not (self.max_scale >= 1 and self.max_stretch >= 1 and self.max_matches >= 4):
            raise InvalidInput(
                "verification needs max_scale and max_stretch of at least 1 and max_matches of at least 4, "
                f"not {self.max_scale}, {self.max_stretch} and {self.max_matches}"
            )
        if self.order not in ("evidence", "beyond", "inliers"):
            raise InvalidInput(
                f"verified answers are ordered by 'evidence', 'beyond' or 'inliers', not {self.order!r}"
            )
        if self.trials < 1 or self.seed < 0:
            raise InvalidInput(
                f"verification needs trials >= 1 and seed >= 0, not {self.trials} and {self.seed}"
            )

    def rule_for(self, features: LocalFeatures) -> MatchRule:
        """Returns how these features of a query are matched.

        By default by the ratio test where keypoints have orientations. Those without, in several sizes, are
        cells of a network's maps, whose neighbours, in place and in size, look alike: the test would refuse
        the right matches. They are matched within a distance. Those without that have one size are points
        apart from each other (XFeat), matched where both are each other's nearest and near.
        """
        if self.matching is not None:
            return self.matching
        if features.has_orientations:
            return "ratio"
        return "distance" if features.has_sizes else "near"

    def distance_for(self, features: LocalFeatures) -> float:
        """Returns below which distance these features of a query are matched, where distances count."""
        return NEAR if self.rule_for(features) == "near" else self.max_distance


PROTOCOLS: dict[str, VerificationConfig] = {
    "default": VerificationConfig(),
    "delg": VerificationConfig(
        matching="distance", max_distance=1.0, threshold=20.0, sampling="random", order="inliers"
    ),
}
"""``delg``: the geometric re-ranking of the DELG code (B. Cao et al., Unifying Deep Local and Global Features
for Image Search, ECCV 2020, and its released script). Each query feature's nearest answer feature within
distance 1.0, one way only; at least 4 matches; RANSAC of an affine transform from the answer to the query,
1000 samples of a fixed seed, 20 pixels of the query's photo. The protocol verifies the first 100 of a ranking
that this difficulty's junk has left (`resight.search.without`), Medium and Hard each on their own, and sorts
by (inliers, score). The settings are those of that script, which overrides its library's 0.9 and 10 pixels.

It differs from the script in this: the samples come from another generator; descriptors are compared after
rounding (`resight.search.geometry.matching`) and, of a collection's photos, as its codec stores them; samples
on one line are passed over; and among samples with equally many inliers the first counts. How features are
extracted is the model's own."""


def verification_config(name: str) -> VerificationConfig:
    """Returns the settings of a protocol: ``default`` or ``delg``.

    Raises:
        InvalidInput: There is no such protocol.
    """
    if name not in PROTOCOLS:
        raise InvalidInput(f"there is no verification protocol {name!r}; there are: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
