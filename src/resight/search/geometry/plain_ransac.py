"""Plain RANSAC of an affine transform with every sample scored at once: the fit of the DELG code.

That code calls ``skimage.measure.ransac`` with an affine transform from the answer's points to the query's,
samples of three matches, a fixed number of samples and a fixed seed; the inliers are those of the best sample
(M. Fischler and R. Bolles, Random Sample Consensus, CACM 1981).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from resight.search.geometry.hypotheses import draw_distinct, from_triples, near, support

__all__ = ["LEAST", "random_consensus"]

LEAST = 4
"""Fewer matches than this are not fitted: the code asks for more than three."""


def random_consensus(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    *,
    threshold: float,
    trials: int,
    seed: int,
) -> Bool[np.ndarray, " m"] | None:
    """Returns the matches within ``threshold`` of the best sample's transform, the first among equals.

    ``None`` with fewer than `LEAST` matches, or if the points of all samples lie on one line.

    Args:
        source: Points of the first photo.
        target: Where they lie in the second; the threshold counts here.
        threshold: Pixels of the second photo.
        trials: Samples of three different matches.
        seed: Of the samples; one seed and one number of matches give the same samples.
    """
    if len(source) < LEAST:
        return None
    # Around the middle, where float32 is finest.
    source, target = source - source.mean(axis=0), target - target.mean(axis=0)
    triples = draw_distinct(np.random.default_rng(seed), trials, 3, len(source))
    transforms = from_triples(source, target, triples)
    if len(transforms) == 0:
        return None
    best = support(transforms, source, target, threshold).argmax()
    return near(transforms[best], source, target, threshold)
