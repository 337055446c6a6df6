"""Embedding: trunk, pooling, linear layer, unit norm; what SoftTriple, the proxy losses and others train.

Qian et al., "SoftTriple Loss", ICCV 2019: BN-Inception, average pooling, a linear layer to 64 or 512
dimensions, unit norm. Proxy-Anchor pools by `resight.networks.pooling.AverageMax` on ResNet-50.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.gem import Pooling, check_pooling
from resight.networks.global_net import (
    GlobalOutput,
    at_least_a_cell,
    join_scales,
    make_linear,
    project,
    unit,
)
from resight.networks.trunks.backbone import Backbone

__all__ = ["Embedding"]


@final
class Embedding(nn.Module):
    """Deepest map of a trunk, pooled, projected and made unit.

    Attributes:
        trunk: Where the maps come from.
        pooling: How a map becomes a vector.
        linear: From the trunk's channels to the descriptor.
        dim: Length of a descriptor.
    """

    def __init__(
        self,
        trunk: Backbone,
        pooling: Pooling,
        dim: int,
        *,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            trunk: Where the maps come from.
            pooling: How a map becomes a vector.
            dim: Length of a descriptor.
            bias: Whether the linear layer has one, as the authors' code.
            generator: Draws the linear layer's weights; torch's own one if ``None``.

        Raises:
            InvalidInput: ``dim`` is below 1, or GeM's exponents do not fit the trunk's channels.
        """
        super().__init__()
        if dim < 1:
            raise InvalidInput(f"dim must be a positive number of dimensions, not {dim}")
        check_pooling(pooling, trunk)
        self.trunk = trunk
        self.pooling = pooling
        self.linear = make_linear(trunk.channels[-1], dim, bias=bias, generator=generator)
        self.dim = dim

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> GlobalOutput:
        """Returns one descriptor an image, described at one scale."""
        pooled = self.pooling(self.trunk(at_least_a_cell(self.trunk, images))[-1])
        return GlobalOutput(unit(project(self.linear, pooled)))

    def describe_at(
        self, images: Float[Tensor, "batch 3 height width"], scales: Sequence[float]
    ) -> GlobalOutput:
        """Returns one descriptor an image: the mean over several scales of the input, made unit.

        Raises:
            InvalidInput: No scale, or one that is not positive.
        """
        return GlobalOutput(join_scales(lambda shown: self(shown).descriptor, images, scales, power=1.0))
