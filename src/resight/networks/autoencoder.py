"""DELG's autoencoder: local features of few dimensions, learned with the rest instead of a PCA afterwards."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.networks.convolution import make_convolution

__all__ = ["Autoencoder"]


@final
class Autoencoder(nn.Module):
    """A 1 x 1 convolution down and one back up, with a ReLU after the second alone.

    Cao, Araujo and Sim 2020: the bottleneck is signed, because descriptors without negative
    numbers fill a small part of the sphere; the reconstruction is not, as the trunk's map is not.

    Attributes:
        encoder: To the bottleneck, with bias.
        decoder: Back to the map's channels, with bias.
    """

    def __init__(self, channels: int, dim: int, *, generator: torch.Generator | None = None) -> None:
        """Takes the channels of the map and the dimensions of the bottleneck.

        Raises:
            InvalidInput: One is below 1.
        """
        super().__init__()
        self.encoder = make_convolution(channels, dim, scheme="glorot", generator=generator)
        self.decoder = make_convolution(dim, channels, scheme="glorot", generator=generator)

    def forward(
        self, maps: Float[Tensor, "batch channels rows cols"]
    ) -> tuple[Float[Tensor, "batch dim rows cols"], Float[Tensor, "batch channels rows cols"]]:
        """Returns the bottleneck and the reconstruction."""
        code = self.encoder(maps)
        return code, nn.functional.relu(self.decoder(code))
