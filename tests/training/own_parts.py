"""Parts of another package, for the tests."""

import torch
from torch import nn

from resight.settings.bounds import Positive, checked


class OwnLoss(nn.Module):
    """Pulls together and pushes apart, with a margin that is learned."""

    @checked
    def __init__(self, dim: int, *, margin: Positive = 0.5, generator: torch.Generator | None = None) -> None:
        """Draws a direction of the embedding.

        Args:
            dim: Length of a descriptor.
            margin: Similarity up to which two classes cost nothing.
            generator: Draws the direction.
        """
        super().__init__()
        self.margin = nn.Parameter(torch.tensor(float(margin)))
        self.direction = nn.Parameter(torch.randn(dim, generator=generator))

    def forward(self, descriptors, labels):
        similarities, same = descriptors @ descriptors.T, labels[:, None] == labels
        pushed = (similarities - self.margin).clamp(min=0)
        loss = torch.where(same, 1 - similarities, pushed).mean()
        return loss + self.margin.square() + 0.1 * (descriptors @ self.direction).square().mean()


class OwnPooling(nn.Module):
    """The mean, times a factor for each channel."""

    def __init__(self, channels: int, factor: float = 2.0) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.full((channels,), factor))

    def forward(self, maps):
        return maps.float().mean(dim=(2, 3)) * self.factors


class OwnTrunk(nn.Module):
    """Two convolutions."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.channels, self.strides = (width, 2 * width), (4, 8)
        self.first = nn.Conv2d(3, width, 4, stride=4)
        self.second = nn.Conv2d(width, 2 * width, 2, stride=2)

    def forward(self, images):
        shallow = self.first(images).relu()
        return shallow, self.second(shallow).relu()
