"""DOLG's local branch: a map to features of unit length, each weighed by its attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.networks.convolution import make_convolution, precise, unit_channels
from resight.networks.multi_atrous import MultiAtrous

__all__ = ["LocalBranch"]


@final
class LocalBranch(nn.Module):
    """Multi-atrous convolutions, a 1 x 1 convolution, batch normalisation; direction and attention of that.

    Yang et al. 2021: with h the normalised map, the direction of h before the ReLU is weighed by
    ``softplus(convolution(ReLU(h)))``.

    Attributes:
        multi_atrous: Looks at several distances, or ``None``.
        projection: 1 x 1 convolution to the output's channels, with bias.
        norm: Over batch and locations.
        score: 1 x 1 convolution to the attention, or ``None``: then every location has the weight 1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        multi_atrous: bool,
        dilations: Sequence[int],
        self_attention: bool,
        generator: torch.Generator | None = None,
    ) -> None:
        """Makes the layers.

        Args:
            inputs: Channels of the map.
            outputs: Channels of the features.
            multi_atrous: Whether there are multi-atrous convolutions.
            dilations: Dilations of those convolutions, in cells.
            self_attention: Whether features are weighed by an attention.
            generator: Draws the weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: A number of channels or a dilation is below 1.
        """
        super().__init__()
        self.multi_atrous = MultiAtrous(inputs, dilations, generator=generator) if multi_atrous else None
        self.projection = make_convolution(inputs, outputs, scheme="he", generator=generator)
        self.norm = nn.BatchNorm2d(outputs)
        self.score = (
            make_convolution(outputs, 1, scheme="he", generator=generator) if self_attention else None
        )

    def forward(
        self, maps: Float[Tensor, "batch inputs rows cols"]
    ) -> Float[Tensor, "batch outputs rows cols"]:
        """Returns the features, float32, of the length that their attention is."""
        wide = maps if self.multi_atrous is None else self.multi_atrous(maps)
        features = self.norm(self.projection(wide))
        directions = unit_channels(features)
        if self.score is None:
            return directions
        attention = nn.functional.softplus(precise(self.score(nn.functional.relu(features))))
        return attention * directions
