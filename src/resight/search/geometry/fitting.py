"""A transform fitted to a group of matches, grown over the others, and whether a camera could see it.

An affine transform or a homography is fitted with OpenCV's MAGSAC++ (D. Barath et al., MAGSAC++, a fast,
reliable and accurate robust estimator, CVPR 2020), a similarity by least squares. Transforms are float64
``(3, 3)`` and carry (x, y, 1).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from resight.search.geometry.config import SAMPLES, FitModel, VerificationConfig

__all__ = ["GROUP", "apply", "grow", "is_possible", "least_squares"]

ROUNDS = 4
"""Fits to a growing group at most; they add 3 % of inliers to a single fit, and harder pairs are found."""
GROUP = 2.0
"""A match joins a group up to so many thresholds away: one match's scale and orientation are rough."""


def grow(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    group: Bool[np.ndarray, " m"],
    config: VerificationConfig,
) -> tuple[Float64[np.ndarray, "3 3"], Bool[np.ndarray, " m"]] | None:
    """Returns the transform fitted to a group and what joins it, and which matches it explains.

    The group of a similarity transform is only a part of what an affine one explains.
    """
    best: tuple[Float64[np.ndarray, "3 3"], Bool[np.ndarray, " m"]] | None = None
    sample = SAMPLES[config.model]
    most = 0
    for _ in range(ROUNDS):
        if np.count_nonzero(group) < sample:
            break
        transform = _estimate(source[group], target[group], config.model, config.threshold)
        if transform is None:
            break
        away = np.linalg.norm(apply(transform, source) - target, axis=1)
        close = away <= config.threshold
        count = int(np.count_nonzero(close))
        if count < sample or count <= most:
            break
        most, best, before = count, (transform, close), group
        group = away <= GROUP * config.threshold
        # The same group once more gives the same fit once more.
        if np.array_equal(group, before):
            break
    return best


def apply(
    transform: Float64[np.ndarray, "3 3"], points: Float32[np.ndarray, "m 2"]
) -> Float64[np.ndarray, "m 2"]:
    """Returns the points moved; infinite or NaN where the transform sends one to the horizon."""
    moved = points @ transform[:, :2].T + transform[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return moved[:, :2] / moved[:, 2:]


def is_possible(
    transform: Float64[np.ndarray, "3 3"],
    points: Float32[np.ndarray, "m 2"],
    reduction: float,
    config: VerificationConfig,
) -> bool:
    """Returns whether a camera could see it: no mirror, no horizon, bounded scale and stretch.

    Args:
        transform: Of the whole photos' pixels.
        points: Inliers in the query.
        reduction: Scale of the query's pixels against the answer's that is none between the views.
        config: The bounds.
    """
    if not np.isfinite(transform).all():
        return False
    depth = points @ transform[2, :2] + transform[2, 2]
    if depth.min() <= 0 <= depth.max():
        return False
    for point in (points.mean(axis=0), points.min(axis=0), points.max(axis=0)):
        scale = transform[2, :2] @ point + transform[2, 2]
        moved = (transform[:2, :2] @ point + transform[:2, 2]) / scale
        # Derivative of the transform at the point.
        (a, b), (c, d) = ((transform[:2, :2] - np.outer(moved, transform[2, :2])) / scale).tolist()
        # Singular values of a 2 x 2 matrix: half the sum and half the difference of these two lengths.
        whole, rest = float(np.hypot(a + d, c - b)), float(np.hypot(a - d, b + c))
        large, small = (whole + rest) / 2 * reduction, (whole - rest) / 2 * reduction
        # The smaller of a mirror or a collapse, whose determinant is not positive, is not either.
        if large > config.max_scale or small < 1 / config.max_scale:
            return False
        if large > config.max_stretch * small:
            return False
    return True


def least_squares(
    source: Float[np.ndarray, "m 2"], target: Float[np.ndarray, "m 2"]
) -> Float64[np.ndarray, "3 3"]:
    """Returns the affine transform with the least squared distances; of several that of least norm."""
    rows = np.column_stack([source, np.ones(len(source))]).astype(np.float64)
    solved = np.linalg.lstsq(rows, target.astype(np.float64), rcond=None)[0]
    return np.vstack([solved.T, [0.0, 0.0, 1.0]])


def _estimate(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    model: FitModel,
    threshold: float,
) -> Float64[np.ndarray, "3 3"] | None:
    if model == "similarity":
        return _similarity(source, target, threshold)
    if model == "homography":
        fitted, _ = cv2.findHomography(
            source, target, cv2.USAC_MAGSAC, threshold, maxIters=1000, confidence=0.999
        )
        return None if fitted is None else np.asarray(fitted, dtype=np.float64)
    affine, _ = cv2.estimateAffine2D(
        source,
        target,
        method=cv2.USAC_MAGSAC,
        ransacReprojThreshold=threshold,
        maxIters=1000,
        confidence=0.999,
    )
    return None if affine is None else np.vstack([np.asarray(affine, dtype=np.float64), [0.0, 0.0, 1.0]])


def _similarity(
    source: Float32[np.ndarray, "m 2"], target: Float32[np.ndarray, "m 2"], threshold: float
) -> Float64[np.ndarray, "3 3"] | None:
    """Returns the similarity with the least squares, far matches weighing less and less.

    In complex numbers the least squares of ``target = factor * source + shift`` have a closed form
    (S. Umeyama, Least-squares estimation of transformation parameters between two point patterns, PAMI 1991).
    The weights 1 / (1 + (distance / threshold)**2) are those of the Cauchy estimator.
    """
    start = source[:, 0].astype(np.float64) + 1j * source[:, 1].astype(np.float64)
    goal = target[:, 0].astype(np.float64) + 1j * target[:, 1].astype(np.float64)
    weights = np.ones(len(start))
    factor = shift = 0j
    for _ in range(ROUNDS):
        total = weights.sum()
        centre, middle = (weights * start).sum() / total, (weights * goal).sum() / total
        offset = start - centre
        spread = float((weights * np.abs(offset) ** 2).sum())
        if spread <= 0:
            return None
        factor = (weights * np.conj(offset) * (goal - middle)).sum() / spread
        shift = middle - factor * centre
        weights = 1.0 / (1.0 + np.abs(factor * start + shift - goal) ** 2 / threshold**2)
    real, imaginary = float(factor.real), float(factor.imag)
    return np.array(
        [[real, -imaginary, shift.real], [imaginary, real, shift.imag], [0.0, 0.0, 1.0]], dtype=np.float64
    )
