"""GeM: trunk, pooling, optional whitening layer, unit norm; described at several scales.

Radenović, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.global_net import GlobalOutput, at_least_a_cell, join_scales, project
from resight.networks.pooling import EPSILON, MAC, RMAC, AverageMax, GeM, SPoC
from resight.networks.trunks.backbone import Backbone

__all__ = ["GeMNet", "Pooling", "check_pooling"]

Pooling: TypeAlias = SPoC | MAC | AverageMax | GeM | RMAC
"""What can stand between trunk and linear layer."""


@final
class GeMNet(nn.Module):
    """Deepest map of a trunk, pooled, made unit, optionally whitened and made unit again.

    Attributes:
        trunk: Where the maps come from.
        pooling: How a map becomes a vector.
        whitening: A linear layer after it, or ``None``.
        dim: Length of a descriptor.
    """

    def __init__(self, trunk: Backbone, pooling: Pooling, whitening: nn.Linear | None = None) -> None:
        """Joins the parts.

        Raises:
            InvalidInput: The whitening layer or GeM's exponents do not fit the trunk's channels.
        """
        super().__init__()
        channels = trunk.channels[-1]
        if whitening is not None and whitening.in_features != channels:
            raise InvalidInput(
                f"the trunk {trunk.trunk} gives {channels} channels and the whitening layer takes "
                f"{whitening.in_features}: make it a Linear of {channels} inputs"
            )
        check_pooling(pooling, trunk)
        self.trunk = trunk
        self.pooling = pooling
        self.whitening = whitening
        self.dim = channels if whitening is None else whitening.out_features

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> GlobalOutput:
        """Returns one descriptor an image, described at one scale.

        Norms are divided by with 1e-6 added, as in the authors' code.
        """
        pooled = _unit(self.pooling(self.trunk(at_least_a_cell(self.trunk, images))[-1]))
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


def check_pooling(pooling: Pooling, trunk: Backbone) -> None:
    """Returns if GeM has one exponent, or one for each of the trunk's channels.

    Raises:
        InvalidInput: It has another number.
    """
    channels = trunk.channels[-1]
    if isinstance(pooling, GeM) and len(pooling.p) not in (1, channels):
        raise InvalidInput(
            f"the trunk {trunk.trunk} gives {channels} channels and GeM has {len(pooling.p)} exponents: "
            f"give it 1 or {channels}"
        )


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) + EPSILON)
