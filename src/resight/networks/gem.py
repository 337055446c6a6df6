"""GeM: trunk, pooling, optional whitening layer, unit norm; described at several scales.

Radenović, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.networks.global_net import GlobalOutput, join_scales, pool, pooled_channels, project
from resight.networks.pooling import EPSILON, POOLINGS, ClassToken, GeM, SignedGeM
from resight.networks.trunks.backbone import Backbone
from resight.settings.bounds import Count, check_fields
from resight.settings.choice import Choice

__all__ = ["GeMNet", "GeMNetConfig", "signed_pooling"]

_GEM = POOLINGS.choose(GeM)


@dataclass(frozen=True, slots=True)
class GeMNetConfig:
    """Settings of a `GeMNet`.

    Attributes:
        pooling: How the map becomes a vector. GeM takes no negative activations; in a recipe that names no
            pooling, and for the models ``timm:NAME``, transformers and their like get `signed_pooling`.
        dim: Length of a descriptor, which a whitening layer then makes; the trunk's channels and no such
            layer if ``None``.

    Raises:
        InvalidInput: A setting is outside of its range.
    """

    pooling: Annotated[Choice, POOLINGS] = _GEM
    dim: Count | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@final
class GeMNet(nn.Module):
    """Deepest map of a trunk, pooled, made unit, optionally whitened and made unit again.

    Attributes:
        trunk: Gives the map.
        config: The settings.
        pooling: Makes the map a vector.
        whitening: The linear layer after it, with bias, or ``None``.
        dim: Length of a descriptor.
    """

    kind: ClassVar = "gem"
    Config: ClassVar = GeMNetConfig
    maps: ClassVar = 1

    def __init__(self, trunk: Backbone, config: GeMNetConfig) -> None:
        """Joins the parts.

        Args:
            trunk: Its deepest map is pooled.
            config: The settings.
        """
        super().__init__()
        self.trunk = trunk
        self.config = config
        self.pooling: nn.Module = config.pooling.make(channels=trunk.channels[-1])
        channels = pooled_channels(trunk, self.pooling)
        self.whitening = None if config.dim is None else nn.Linear(channels, config.dim)
        self.dim = channels if config.dim is None else config.dim

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> GlobalOutput:
        """Returns one descriptor an image, described at one scale.

        Norms are divided by with 1e-6 added, as in the authors' code.
        """
        pooled = _unit(pool(self.trunk, self.pooling, images))
        if self.whitening is None:
            return GlobalOutput(pooled)
        return GlobalOutput(_unit(project(self.whitening, pooled)))

    def describe_at(
        self, images: Float[Tensor, "batch 3 height width"], scales: Sequence[float]
    ) -> GlobalOutput:
        """Returns one descriptor an image, joined over several scales of the input.

        The input is resized bilinearly. Descriptors v_s of S scales are joined as
        ``((1/S) Σ v_s^m)^(1/m)`` and made unit, where m is GeM's exponent if the pooling is GeM with one
        shared exponent and there is no whitening layer, and 1 otherwise (the authors' code).

        Raises:
            InvalidInput: No scale, or one that is not positive.
        """
        joined = join_scales(lambda shown: self(shown).descriptor, images, scales, power=self.scale_power)
        return GlobalOutput(joined)

    @property
    def scale_power(self) -> float:
        """The m with which descriptors of several scales are joined."""
        if isinstance(self.pooling, GeM) and len(self.pooling.p) == 1 and self.whitening is None:
            return float(self.pooling.p.detach())
        return 1.0


def signed_pooling(trunk: Backbone, pooling: Choice, *, token: bool = True) -> Choice:
    """Returns a pooling in the place of GeM for a trunk whose maps are negative as often as positive.

    The class token where the trunk has one, else `resight.networks.pooling.SignedGeM`; any other pooling, and
    that of any other trunk, as it is.

    Args:
        trunk: The trunk.
        pooling: What would be taken.
        token: Whether the network takes a class token.
    """
    if not trunk.signed or pooling.part is not GeM:
        return pooling
    if token and trunk.has_class_token:
        return POOLINGS.choose(ClassToken)
    settings = pooling.model_dump(exclude={"kind"})
    return POOLINGS.choose(SignedGeM, **settings)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) + EPSILON)
