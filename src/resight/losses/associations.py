"""From a class's several centres to one score: how an image is associated with them.

Products are inner products of an image with unit centres, all on one common scale; so is a score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from jaxtyping import Float
from torch import Tensor

__all__ = ["Association", "NearestCentre", "SingleCentre", "SoftCentres"]


@runtime_checkable
class Association(Protocol):
    """What makes one score of an image's products with a class's centres, and its derivative."""

    def scores(self, products: Float[Tensor, "batch classes centres"]) -> Float[Tensor, "batch classes"]:
        """Returns the score of each image for each class."""

    def gradient(
        self, products: Float[Tensor, "batch classes centres"], upstream: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes centres"]:
        """Returns the gradient of the products, given that of the scores."""


@final
@dataclass(frozen=True, slots=True)
class SingleCentre:
    """One centre a class: its product is the score."""

    def scores(self, products: Float[Tensor, "batch classes 1"]) -> Float[Tensor, "batch classes"]:
        """Returns the products themselves."""
        return products[..., 0]

    def gradient(
        self, products: Float[Tensor, "batch classes 1"], upstream: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes 1"]:
        """Returns the upstream gradient itself."""
        return upstream.view_as(products)


@final
@dataclass(frozen=True, slots=True)
class NearestCentre:
    """The nearest centre alone counts: the maximum over the centres (Qian et al. 2019, HardTriple)."""

    def scores(self, products: Float[Tensor, "batch classes centres"]) -> Float[Tensor, "batch classes"]:
        """Returns the largest product."""
        return products.amax(dim=2)

    def gradient(
        self, products: Float[Tensor, "batch classes centres"], upstream: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes centres"]:
        """Returns the upstream gradient at the nearest centre, shared evenly by several, zero elsewhere."""
        nearest = (products == products.amax(dim=2, keepdim=True)).to(products.dtype)
        return nearest.mul_((upstream / nearest.sum(dim=2))[..., None])


@final
@dataclass(frozen=True, slots=True)
class SoftCentres:
    """Products averaged with weights ``q = softmax(product / temperature)`` over a class's centres.

    Qian et al. 2019, equation 7, the relaxed similarity of SoftTriple. The temperature is on the products'
    scale: with products scaled by λ it is λ·γ.
    """

    temperature: float

    def assignment(
        self, products: Float[Tensor, "batch classes centres"]
    ) -> Float[Tensor, "batch classes centres"]:
        """Returns q: the share of each centre, summing to 1 over the centres of a class."""
        # Not torch.softmax, which takes 15 times as long over a few centres.
        shares = (products - products.amax(dim=2, keepdim=True)).div_(self.temperature).exp_()
        return shares.div_(shares.sum(dim=2, keepdim=True))

    def scores(self, products: Float[Tensor, "batch classes centres"]) -> Float[Tensor, "batch classes"]:
        """Returns ``Σ q·product`` over the centres."""
        return (self.assignment(products) * products).sum(dim=2)

    def gradient(
        self, products: Float[Tensor, "batch classes centres"], upstream: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes centres"]:
        """Returns ``q·(1 + (product - score) / temperature)`` times the upstream gradient."""
        shares = self.assignment(products)
        scores = (shares * products).sum(dim=2, keepdim=True)
        slopes = ((products - scores) / self.temperature).add_(1).mul_(shares)
        return slopes.mul_(upstream[..., None])
