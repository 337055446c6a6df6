"""Multi-atrous convolutions: a map seen at several distances side by side.

Chen et al. 2017 (DeepLab v3, atrous spatial pyramid pooling) in the form of DOLG's authors' code: no batch
normalisation, and no activation on the parallel convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.networks.convolution import make_convolution

__all__ = ["MultiAtrous"]


@final
class MultiAtrous(nn.Module):
    """The map's mean, a 1 x 1 and several dilated 3 x 3 convolutions, joined by a 1 x 1 convolution and ReLU.

    Each of them halves the channels; the last convolution brings back as many as the map has.

    Attributes:
        pooled: 1 x 1 convolution of the map's mean, followed by a ReLU.
        parallel: The 1 x 1 and the dilated convolutions.
        joined: From all of them, the mean first, to the map's channels.
    """

    def __init__(
        self,
        channels: int,
        dilations: Sequence[int],
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Takes the channels of the map and the dilations, in cells.

        Raises:
            InvalidInput: One is below 1.
        """
        super().__init__()
        half = max(1, channels // 2)
        self.pooled = make_convolution(channels, half, scheme="he", generator=generator)
        self.parallel = nn.ModuleList(
            make_convolution(channels, half, scheme="he", dilation=dilation, generator=generator)
            for dilation in (None, *dilations)
        )
        self.joined = make_convolution(
            half * (len(self.parallel) + 1), channels, scheme="he", generator=generator
        )

    def forward(
        self, maps: Float[Tensor, "batch channels rows cols"]
    ) -> Float[Tensor, "batch channels rows cols"]:
        """Returns a map of the same shape, not negative."""
        mean = nn.functional.relu(self.pooled(maps.mean(dim=(2, 3), keepdim=True)))
        # Enlarging a single cell bilinearly repeats it.
        parallel = [mean.expand(-1, -1, *maps.shape[2:]), *(each(maps) for each in self.parallel)]
        return nn.functional.relu(self.joined(torch.cat(parallel, dim=1)))
