"""GeM: trunk, pooling, optional whitening layer, unit norm; described at several scales.

Radenović, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.models.backbone import Backbone
from resight.models.pooling import EPSILON, MAC, RMAC, GeM, SPoC

__all__ = ["GeMNet", "GlobalOutput", "Pooling"]

Pooling: TypeAlias = SPoC | MAC | GeM | RMAC
"""What can stand between trunk and whitening."""


@dataclass(frozen=True, slots=True)
class GlobalOutput:
    """What a global model says of a batch of images.

    Attributes:
        descriptor: float32 ``(batch, dim)``, unit L2 norm.
    """

    descriptor: Float[Tensor, "batch dim"]


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
        if isinstance(pooling, GeM) and len(pooling.p) not in (1, channels):
            raise InvalidInput(
                f"the trunk {trunk.trunk} gives {channels} channels and GeM has {len(pooling.p)} exponents: "
                f"give it 1 or {channels}"
            )
        self.trunk = trunk
        self.pooling = pooling
        self.whitening = whitening
        self.dim = channels if whitening is None else whitening.out_features

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> GlobalOutput:
        """Returns one descriptor an image, described at one scale.

        Norms are divided by with 1e-6 added, as in the authors' code.
        """
        pooled = _unit(self.pooling(self.trunk(self._at_least_a_cell(images))[-1]))
        if self.whitening is None:
            return GlobalOutput(pooled)
        with torch.autocast(images.device.type, enabled=False):
            return GlobalOutput(_unit(self.whitening(pooled.to(self.whitening.weight.dtype))))

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
        if not scales or min(scales) <= 0:
            raise InvalidInput(f"scales must be positive numbers, at least one, not {tuple(scales)}")
        power = self._scale_power()
        total = torch.zeros(len(images), self.dim, device=images.device)
        for scale in scales:
            total = total + self(_resized(images, scale)).descriptor.float().pow(power)
        joined = (total / len(scales)).pow(1 / power)
        # Without an addend: what leaves here is compared with descriptors of norm 1 exactly.
        return GlobalOutput(nn.functional.normalize(joined, dim=1, eps=torch.finfo(torch.float32).tiny))

    def _scale_power(self) -> float:
        if isinstance(self.pooling, GeM) and len(self.pooling.p) == 1 and self.whitening is None:
            return float(self.pooling.p)
        return 1.0

    def _at_least_a_cell(self, images: Tensor) -> Tensor:
        # Trunks without padding end in an empty map on smaller ones; zero is the mean colour.
        down, right = (max(0, self.trunk.strides[-1] - size) for size in images.shape[2:])
        return nn.functional.pad(images, (0, right, 0, down)) if down or right else images


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) + EPSILON)


def _resized(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    if min(images.shape[2:]) * scale < 1:
        size = [max(1, int(side * scale)) for side in images.shape[2:]]
        return nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    return nn.functional.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
