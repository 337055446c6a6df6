"""Local features and a global one to one vector: orthogonal fusion and what DOLG's paper compares it with."""

from __future__ import annotations

from typing import Literal, TypeAlias

from jaxtyping import Float
from torch import Tensor

__all__ = ["FLOOR", "Fusion", "fuse", "orthogonal_part"]

Fusion: TypeAlias = Literal["orthogonal", "concatenate", "hadamard"]
"""The part of the local features orthogonal to the global one beside it; the local features themselves beside
it; or the product of both, number by number."""

FLOOR = 1e-6
"""Squared norm of the global feature by which its projection is divided at least."""


def orthogonal_part(
    local: Float[Tensor, "batch channels"], whole: Float[Tensor, "batch channels"]
) -> Float[Tensor, "batch channels"]:
    """Returns ``f - (f·g) g / max(|g|², 1e-6)``: what of the local feature f the global one g does not say.

    Yang et al. 2021. The authors' code has no floor and gives NaN for g = 0; nothing is taken away here then.
    """
    length = whole.square().sum(dim=1, keepdim=True).clamp(min=FLOOR)
    share = (local * whole).sum(dim=1, keepdim=True) / length
    return local - share * whole


def fuse(
    local: Float[Tensor, "batch channels rows cols"], whole: Float[Tensor, "batch channels"], how: Fusion
) -> Float[Tensor, "batch channels"]:
    """Returns what stands beside the global feature, or for ``hadamard`` instead of it.

    The paper fuses at every location and averages over them. All three ways are linear in the local feature,
    so the average comes first here, which gives the same and costs one vector an image instead of a map.

    Args:
        local: A feature a location.
        whole: The global feature.
        how: Which way.
    """
    mean = local.mean(dim=(2, 3))
    match how:
        case "orthogonal":
            return orthogonal_part(mean, whole)
        case "concatenate":
            return mean
        case "hadamard":
            return mean * whole
