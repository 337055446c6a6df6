"""SIFT keypoints with RootSIFT descriptors, and their one-byte codes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from resight.errors import InvalidInput
from resight.features import LocalFeatures

__all__ = ["DIM", "Keypoints", "from_stored", "keypoints", "mirrored", "root_sift", "to_codes"]

DIM = 128
"""Length of a SIFT descriptor."""

# A RootSIFT value above 255/512 means that one of 128 bins holds a quarter of all gradients; SIFT's own
# clipping leaves next to none. Rounding, by 1/1024 a value at most, moves the cosine of two descriptors by
# 1e-3.
_CODES_PER_UNIT = 512.0

_CELLS, _DIRECTIONS = 4, 8
"""A descriptor is 4 x 4 histograms of 8 directions, across its orientation, along it, by direction."""


@dataclass(frozen=True, slots=True)
class Keypoints:
    """SIFT keypoints of one picture, strongest first, in pixels of that picture.

    Attributes:
        positions: float32 ``(n, 2)``, x and y; integer coordinates are pixel centres.
        scales: float32 ``(n,)``, diameter in pixels.
        orientations: float32 ``(n,)``, radians in [0, 2π), clockwise on the screen.
        responses: float32 ``(n,)``, contrast of the extremum in the differences of Gaussians, larger is
        stronger.
        descriptors: float32 ``(n, 128)``, RootSIFT, unit L2 norm (zero where there is no gradient).
    """

    positions: Float32[np.ndarray, "n 2"]
    scales: Float32[np.ndarray, " n"]
    orientations: Float32[np.ndarray, " n"]
    responses: Float32[np.ndarray, " n"]
    descriptors: Float32[np.ndarray, "n 128"]

    def __len__(self) -> int:
        return len(self.positions)


def keypoints(
    pixels: UInt8[np.ndarray, "rows columns 3"],
    *,
    count: int,
    contrast_threshold: float,
    edge_threshold: float = 10.0,
) -> Keypoints:
    """Returns at most ``count`` SIFT keypoints (Lowe, IJCV 2004) of an RGB picture with RootSIFT descriptors.

    The picture is doubled before the first octave, as in the paper. A keypoint with two strong orientations
    counts twice. Equal responses are ordered by position, so that the same picture gives the same rows in the
    same order however many threads OpenCV uses.

    Args:
        pixels: RGB uint8.
        count: Upper limit; the strongest responses stay.
        contrast_threshold: Least contrast of an extremum, OpenCV's ``contrastThreshold`` (0.04 is its own).
        edge_threshold: Largest ratio of principal curvatures, OpenCV's ``edgeThreshold``.

    Raises:
        InvalidInput: ``count`` is below 1.
    """
    if count < 1:
        raise InvalidInput(f"the number of keypoints must be at least 1, not {count}")
    # Made anew each time (microseconds): one detector is not promised to be safe between threads.
    detector = cv2.SIFT.create(
        nfeatures=count,
        contrastThreshold=contrast_threshold,
        edgeThreshold=edge_threshold,
        enable_precise_upscale=True,
    )
    points, sift = detector.detectAndCompute(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), None)
    if sift is None:
        sift = np.zeros((0, DIM), dtype=np.float32)
    rows = np.array(
        [(*point.pt, point.size, point.angle, point.response) for point in points], dtype=np.float32
    ).reshape(-1, 5)
    x, y, size, angle, response = rows.T
    # OpenCV keeps every keypoint that ties with the last one; the limit holds all the same.
    best = np.lexsort((angle, size, y, x, -response))[:count]
    return Keypoints(
        rows[best, :2],
        size[best],
        # A half rounds 2π up to a number beyond it, and a full turn is none.
        np.deg2rad(np.mod(angle[best], np.float32(360.0))),
        response[best],
        root_sift(sift[best]),
    )


def root_sift(sift: Float32[np.ndarray, "n 128"]) -> Float32[np.ndarray, "n 128"]:
    """Returns the square roots of L1-normalised SIFT descriptors: unit L2 norm; a zero descriptor stays zero.

    Their inner product is the Hellinger kernel of the histograms (Arandjelović and Zisserman, "Three things
    everyone should know to improve object retrieval", CVPR 2012, section 3).
    """
    total = sift.sum(axis=1, keepdims=True, dtype=np.float32)
    return np.sqrt(sift / np.where(total > 0, total, np.float32(1.0)))


def to_codes(root: Float32[np.ndarray, "n 128"]) -> UInt8[np.ndarray, "n 128"]:
    """Returns RootSIFT descriptors as bytes, 512 codes per unit, values above 255/512 cut off."""
    return np.clip(np.rint(root * np.float32(_CODES_PER_UNIT)), 0, 255).astype(np.uint8)


def from_stored(stored: Shaped[np.ndarray, "n 128"]) -> Float32[np.ndarray, "n 128"]:
    """Returns the RootSIFT descriptors that `to_codes` rounded, or that a codec gives as halves."""
    values = stored.astype(np.float32)
    return values / np.float32(_CODES_PER_UNIT) if stored.dtype == np.uint8 else values


def mirrored(features: LocalFeatures, width: float) -> LocalFeatures:
    """Returns the features that a photo with left and right exchanged has; no photo is read for it.

    A keypoint keeps its size and lies at ``width - 1 - x``; its orientation φ becomes π - φ. In its own frame
    the mirror exchanges the two sides of its orientation: of the 4 x 4 histograms those across from each
    other, and in each the directions that turn left with those that turn right.

    Args:
        features: Of the upright photo, with descriptors of 128 values.
        width: Of the upright photo, pixels.
    """
    count = len(features)
    positions = features.positions.copy()
    positions[:, 0] = np.float32(width - 1) - positions[:, 0]
    histograms = features.descriptors.reshape(count, _CELLS, _CELLS, _DIRECTIONS)
    swapped = histograms[:, ::-1][..., -np.arange(_DIRECTIONS) % _DIRECTIONS]
    return LocalFeatures(
        positions,
        features.scales,
        np.mod(np.float32(np.pi) - features.orientations, np.float32(2 * np.pi)),
        features.scores,
        np.ascontiguousarray(swapped).reshape(count, DIM),
        features.metric,
    )
