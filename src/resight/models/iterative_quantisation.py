"""Directions along which the signs of values lose little.

Y. Gong and S. Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", CVPR 2011.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

__all__ = ["quantising_directions", "random_rotation"]

_ROUNDS = 50


def quantising_directions(
    centred: Float[np.ndarray, "n dim"], bits: int, random: np.random.Generator
) -> Float64[np.ndarray, "bits dim"]:
    """Returns orthonormal directions: the first principal ones, turned so that values are near signs.

    Args:
        centred: Values of mean zero.
        bits: At most as many as dimensions.
        random: Draws the first rotation.
    """
    values = centred.astype(np.float64)
    _, directions = np.linalg.eigh(values.T @ values)
    basis = directions[:, ::-1][:, :bits]
    shown = values @ basis
    turn = random_rotation(bits, random)
    for _ in range(_ROUNDS):
        corners = np.where(shown @ turn > 0, 1.0, -1.0)
        # The nearest rotation of the values to their corners: orthogonal Procrustes.
        left, _, right = np.linalg.svd(corners.T @ shown)
        turn = (left @ right).T
    directed: Float64[np.ndarray, "bits dim"] = (basis @ turn).T
    return directed


def random_rotation(size: int, random: np.random.Generator) -> Float64[np.ndarray, "size size"]:
    """Returns an orthogonal matrix, every one as likely as any other (F. Mezzadri 2007, section 5)."""
    orthogonal, upper = np.linalg.qr(random.standard_normal((size, size)))
    turned: Float64[np.ndarray, "size size"] = orthogonal * np.sign(np.diag(upper))
    return turned
