"""The descriptor of `resight.models.sift.sift` as a sum over its keypoints, laid on a grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from resight.images import Photo
from resight.models.explain.parts import Parts
from resight.models.sift.aggregation import assign
from resight.models.sift.sift import Sift

__all__ = ["parts_of_keypoints"]

_CELLS = 32
"""Cells along the longer side of a photo."""

_BLUR = 0.75
"""Least standard deviation with which a keypoint is laid on the grid, in cells."""


def parts_of_keypoints(model: Sift, photo: Photo) -> Parts:
    """Returns a photo's descriptor in parts, on a grid of 32 cells along the longer side.

    A VLAD aggregate is a sum of residuals, brought to unit norm centre by centre and to signed square roots
    number by number. With these norms and roots held, ``√|s| = s / √|s|``, each keypoint's residuals have
    their share, and the shares add up. A keypoint is laid around its position as a Gaussian of its size.
    """
    points, weights = model.weighted_keypoints(photo)
    shares = _shares(model, points.descriptors, points.orientations, weights)
    norm = np.linalg.norm(shares.sum(axis=0) - model.offset)
    rows, columns = photo.pixels.shape[:2]
    high, wide = _laid(points.positions, points.scales, rows, columns)
    cells = (high[:, None] * wide).reshape(len(high) * len(wide), len(points))
    grid = (cells @ (shares / norm)).reshape(len(high), len(wide), model.dim)
    return Parts(grid, -model.offset / norm, "keypoints")


def _shares(
    model: Sift,
    descriptors: Float32[np.ndarray, "n full"],
    orientations: Float32[np.ndarray, " n"],
    weights: Float32[np.ndarray, " n"],
) -> Float32[np.ndarray, "n dim"]:
    """Returns what each keypoint gives to the projected aggregate."""
    codebook = model.codebook
    local = (descriptors - codebook.mean) @ codebook.basis
    assignment = assign(local, codebook)
    turned = np.float32(codebook.angular) * np.stack([np.cos(orientations), np.sin(orientations)])
    harmonics = weights * np.concatenate([np.ones_like(orientations)[None], turned])

    def residuals(centre: int) -> tuple[np.ndarray, np.ndarray]:
        members = np.flatnonzero(assignment[:, centre])
        counts = harmonics[:, members] * assignment[members, centre]
        away = local[members] - codebook.centres[centre]
        return members, np.einsum("hm,md->mhd", counts, away).reshape(
            len(members), len(counts) * away.shape[1]
        )

    count = len(codebook.centres)
    sums = np.stack([residuals(centre)[1].sum(axis=0) for centre in range(count)])
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    roots = np.sqrt(np.abs(sums / np.where(norms > 0, norms, 1)))
    held = np.divide(1, norms * roots, out=np.zeros_like(sums), where=roots > 0)
    held /= max(float(np.linalg.norm(roots)), np.finfo(np.float32).tiny)
    blocks = model.projection.reshape(model.dim, count, -1)
    shares = np.zeros((len(local), model.dim), dtype=np.float32)
    for centre in range(count):
        members, own = residuals(centre)
        shares[members] += (own * held[centre]) @ blocks[:, centre].T
    return shares


def _laid(
    positions: Float32[np.ndarray, "n 2"], sizes: Float32[np.ndarray, " n"], rows: int, columns: int
) -> tuple[Float32[np.ndarray, "high n"], Float32[np.ndarray, "wide n"]]:
    """Returns how much of each keypoint lies in each row and each column of the grid, sums of 1."""
    cell = max(rows, columns) / _CELLS
    deviation = np.maximum(sizes / 2, _BLUR * cell)
    laid = []
    for length, along in ((rows, positions[:, 1]), (columns, positions[:, 0])):
        count = max(1, round(length / cell))
        centres = (np.arange(count) + 0.5) * (length / count)
        weights = np.exp(-0.5 * ((centres[:, None] - along - 0.5) / deviation) ** 2)
        # Along each axis alone at most half a cell away, so no sum is zero.
        laid.append((weights / weights.sum(axis=0)).astype(np.float32))
    return laid[0], laid[1]
