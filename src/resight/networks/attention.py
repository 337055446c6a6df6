"""How much each location of a map matters: two 1 x 1 convolutions and a softplus.

Noh, Araujo, Sim, Weyand and Han, "Large-Scale Image Retrieval with Attentive Deep Local Features", ICCV 2017,
section 4.2, in the form of DELG's authors' code.
"""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.networks.convolution import make_convolution, precise

__all__ = ["Attention"]


@final
class Attention(nn.Module):
    """Convolution, batch normalisation, ReLU, convolution to one channel, softplus.

    Attributes:
        hidden: 1 x 1 convolution to the hidden channels, with bias.
        norm: Over batch and locations.
        score: 1 x 1 convolution to the score, with bias.
    """

    def __init__(self, channels: int, hidden: int, *, generator: torch.Generator | None = None) -> None:
        """Takes the channels of the map and of the hidden layer.

        Raises:
            InvalidInput: One is below 1.
        """
        super().__init__()
        self.hidden = make_convolution(channels, hidden, scheme="glorot", generator=generator)
        self.norm = nn.BatchNorm2d(hidden)
        self.score = make_convolution(hidden, 1, scheme="glorot", generator=generator)

    def forward(self, maps: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Returns the scores, float32 and not negative, of no upper bound."""
        hidden = nn.functional.relu(self.norm(self.hidden(maps)))
        return nn.functional.softplus(precise(self.score(hidden)))
