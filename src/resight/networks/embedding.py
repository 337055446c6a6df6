"""Embedding: trunk, pooling, linear layer, unit norm; what SoftTriple, the proxy losses and others train.

Qian et al., "SoftTriple Loss", ICCV 2019: BN-Inception, average pooling, a linear layer to 64 or 512
dimensions, unit norm. Proxy-Anchor pools by `resight.networks.pooling.AverageMax` on ResNet-50.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.networks.global_net import (
    GlobalOutput,
    join_scales,
    make_linear,
    pool,
    pooled_channels,
    project,
    unit,
)
from resight.networks.pooling import POOLINGS, SPoC
from resight.networks.trunks.backbone import Backbone
from resight.settings.bounds import Count, check_fields
from resight.settings.choice import Choice

__all__ = ["Embedding", "EmbeddingConfig"]

_SPOC = POOLINGS.choose(SPoC)


@dataclass(frozen=True, slots=True)
class EmbeddingConfig:
    """Settings of an `Embedding`.

    Attributes:
        dim: Length of a descriptor.
        pooling: How the map becomes a vector.
        bias: Whether the linear layer has a bias, as in the authors' code.

    Raises:
        InvalidInput: A setting is outside of its range.
    """

    dim: Count
    pooling: Annotated[Choice, POOLINGS] = _SPOC
    bias: bool = True

    def __post_init__(self) -> None:
        check_fields(self)


@final
class Embedding(nn.Module):
    """Deepest map of a trunk, pooled, projected and made unit.

    Attributes:
        trunk: Gives the map.
        config: The settings.
        pooling: Makes the map a vector.
        linear: From the trunk's channels to the descriptor.
        dim: Length of a descriptor.
    """

    kind: ClassVar = "embedding"
    Config: ClassVar = EmbeddingConfig
    maps: ClassVar = 1

    def __init__(
        self, trunk: Backbone, config: EmbeddingConfig, *, generator: torch.Generator | None = None
    ) -> None:
        """Joins the parts.

        Args:
            trunk: Its deepest map is pooled.
            config: The settings.
            generator: Draws the linear layer's weights; torch's own generator if ``None``.
        """
        super().__init__()
        self.trunk = trunk
        self.config = config
        self.pooling: nn.Module = config.pooling.make(channels=trunk.channels[-1])
        channels = pooled_channels(trunk, self.pooling)
        self.linear = make_linear(channels, config.dim, bias=config.bias, generator=generator)
        self.dim = config.dim

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> GlobalOutput:
        """Returns one descriptor an image, described at one scale."""
        pooled = pool(self.trunk, self.pooling, images)
        return GlobalOutput(unit(project(self.linear, pooled)))

    def describe_at(
        self, images: Float[Tensor, "batch 3 height width"], scales: Sequence[float]
    ) -> GlobalOutput:
        """Returns one descriptor an image: the mean over several scales of the input, made unit.

        Raises:
            InvalidInput: No scale, or one that is not positive.
        """
        return GlobalOutput(join_scales(lambda shown: self(shown).descriptor, images, scales, power=1.0))
