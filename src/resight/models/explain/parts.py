"""A descriptor as the sum of what each place of the photo gives to it. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float32, Float64

from resight.models.whitening import Whitening

__all__ = ["Method", "Parts", "join_parts", "resample", "whiten_parts"]

Method: TypeAlias = Literal["exact", "gradient", "keypoints"]
"""How the shares were found: ``exact`` for average pooling, where every location's share is a fact;
``gradient`` times activation for other poolings, with all norms held; ``keypoints`` for aggregated keypoints,
with all norms and roots held."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A descriptor in parts: it is the sum of all ``vectors`` and the ``constant``.

    Attributes:
        vectors: float32 ``(rows, columns, dim)``, what each cell of a grid over the photo gives.
        constant: float32 ``(dim,)``, what comes from no place: biases and means.
        method: How the parts are computed.
    """

    vectors: Float32[np.ndarray, "rows columns dim"]
    constant: Float32[np.ndarray, " dim"]
    method: Method

    @property
    def descriptor(self) -> Float32[np.ndarray, " dim"]:
        """The sum of all parts."""
        return self.vectors.sum(axis=(0, 1)) + self.constant

    def spread_evenly(self) -> Parts:
        """Returns the same with the constant shared evenly by all cells.

        For average pooling this is exact: the mean of ``x + b`` is the mean of x, plus b.
        """
        rows, columns, _ = self.vectors.shape
        share = self.constant / np.float32(rows * columns)
        return Parts(self.vectors + share, np.zeros_like(self.constant), self.method)


def whiten_parts(parts: Parts, whitening: Whitening) -> Parts:
    """Returns the parts of the whitened descriptor: ``P v`` for each, and ``-P m`` beside the constant."""
    rows, columns, dim = parts.vectors.shape
    flat = parts.vectors.reshape(-1, dim).astype(np.float64) @ whitening.matrix.T
    constant = whitening.matrix @ (parts.constant.astype(np.float64) - whitening.mean)
    norm = float(np.linalg.norm(flat.sum(axis=0) + constant))
    if norm == 0:
        return Parts(
            np.zeros((rows, columns, whitening.dim), dtype=np.float32),
            np.full(whitening.dim, whitening.dim**-0.5, dtype=np.float32),
            parts.method,
        )
    vectors = (flat / norm).astype(np.float32).reshape(rows, columns, -1)
    return Parts(vectors, (constant / norm).astype(np.float32), parts.method)


def join_parts(first: Parts, second: Parts, weight: float) -> Parts:
    """Returns the parts of both descriptors one after the other, as `resight.models.composite` joins them.

    Args:
        first: Of the descriptor with that weight.
        second: Of the descriptor with the rest of 1.
        weight: Of the first one's score.
    """
    rows, columns = np.maximum(first.vectors.shape[:2], second.vectors.shape[:2])
    shares = (weight**0.5, (1 - weight) ** 0.5)
    vectors, constants = [], []
    for parts, share in zip((first, second), shares, strict=True):
        down, across = (
            resample(old, new) for old, new in zip(parts.vectors.shape[:2], (rows, columns), strict=True)
        )
        vectors.append(share * np.einsum("rh,hwd,cw->rcd", down, parts.vectors, across, optimize=True))
        constants.append(share * parts.constant)
    # The weaker of two statements: only averages have shares that are facts.
    method: Method = first.method if first.method != "exact" else second.method
    return Parts(
        np.concatenate(vectors, axis=2).astype(np.float32),
        np.concatenate(constants).astype(np.float32),
        method,
    )


def resample(cells: int, new_cells: int) -> Float64[np.ndarray, "new_cells cells"]:
    """Returns the matrix that spreads a row of cells over another number of cells of the same whole length.

    Each cell's content is shared out by how much of it lies in each new one, so that sums are kept.
    """
    edges, new = np.linspace(0, 1, cells + 1), np.linspace(0, 1, new_cells + 1)
    overlap = np.minimum(edges[None, 1:], new[1:, None]) - np.maximum(edges[None, :-1], new[:-1, None])
    return np.clip(overlap, 0, None) * cells
