"""How far the centres of a class lie apart: the regulariser that merges them, and how many are left."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from resight.errors import InvalidInput

__all__ = ["centre_spread", "distinct_centres"]

_ADDED = 1e-5
_SHORTEST = 1e-12


def centre_spread(centres: Float[Tensor, "classes centres dim"]) -> Float[Tensor, ""]:
    """Returns the mean over classes of half the mean distance between two unit centres of a class.

    Qian et al., ICCV 2019, equation 9 as in the authors' code:
    ``Σ over classes and pairs j < k of √(2 + 1e-5 - 2 w_j·w_k) / (C·K·(K - 1))``; the 1e-5 keeps the root
    differentiable where centres coincide. Only the K by K products of each class are computed. Differentiable
    once.

    Raises:
        InvalidInput: A single centre a class, of which there are no pairs.
    """
    if centres.shape[1] < 2:
        raise InvalidInput("the spread of one centre a class is not defined: give 2 centres or leave it out")
    precise = centres.to(torch.promote_types(centres.dtype, torch.float32))
    spread: Tensor = _Spread.apply(precise)  # type: ignore[no-untyped-call]  # torch has no annotation
    return spread


@torch.no_grad()
def distinct_centres(
    centres: Float[Tensor, "classes centres dim"], *, distance: float = 0.1
) -> Int[Tensor, " classes"]:
    """Returns how many centres of each class are left: those closer than the distance count as one.

    Counted are connected components, so that a chain of close centres is one, over unit centres and Euclidean
    distance. The threshold is our own.
    """
    cosines, _ = _cosines(centres.to(torch.promote_types(centres.dtype, torch.float32)))
    count = centres.shape[1]
    reached = _distances(cosines, 0.0) < distance
    reached |= torch.eye(count, dtype=torch.bool, device=centres.device)
    for _ in range(count.bit_length()):
        # Whoever is reached in two goes: chains double in length each time.
        reached = (reached.float() @ reached.float()) > 0
    # A component is counted at its first centre, from which no earlier one is reached.
    return (~reached.tril(diagonal=-1).any(dim=2)).sum(dim=1)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, centres: Tensor) -> Tensor:
        with torch.autocast(centres.device.type, enabled=False):
            cosines, inverse = _cosines(centres)
        ctx.save_for_backward(centres, cosines, inverse)
        return _distances(cosines, _ADDED).triu(diagonal=1).sum() / _divisor(centres)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        centres, cosines, inverse = ctx.saved_tensors
        # With unit centre u, √(2 + 1e-5 - 2 u_j·u_k) has the derivative -u_k / root by u_j, of which the part
        # along u_j is lost to the length: all in all a K by K matrix times the centres as they are.
        mixing = _distances(cosines, _ADDED).reciprocal_()
        mixing.diagonal(dim1=1, dim2=2).zero_()
        along = (mixing * cosines).sum(dim=2)
        mixing.diagonal(dim1=1, dim2=2).copy_(-along)
        mixing.mul_(inverse).mul_(inverse.mT).mul_(-upstream / _divisor(centres))
        with torch.autocast(centres.device.type, enabled=False):
            return mixing @ centres


def _divisor(centres: Tensor) -> int:
    classes, count, _ = centres.shape
    return classes * count * (count - 1)


def _cosines(centres: Tensor) -> tuple[Tensor, Tensor]:
    """The products of each class's unit centres, and the centres' inverse lengths."""
    inverse = torch.linalg.vector_norm(centres, dim=2, keepdim=True).clamp_(min=_SHORTEST).reciprocal_()
    return (centres @ centres.mT).mul_(inverse).mul_(inverse.mT), inverse


def _distances(cosines: Tensor, added: float) -> Tensor:
    # Rounding can take the product of two equal unit vectors past 1.
    return (2 - 2 * cosines).clamp_(min=0).add_(added).sqrt_()
