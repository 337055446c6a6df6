"""A trunk of three convolutions set by hand: its attention follows brightness, so that tests know where."""

from __future__ import annotations

import torch
from torch import nn

from resight.models import DELGDescriber, KeypointConfig, Model
from resight.models.delg_describer import PAPER_SCALES
from resight.networks import DELG
from resight.networks.delg import DELGConfig


class BrightTrunk(nn.Module):
    """A shallow map of stride 4 whose channels weigh the pixels around a cell's centre, and a deep one."""

    trunk = "bright"
    channels = (8, 16)
    strides = (4, 8)
    maps = (-2, -1)
    deepest = -1
    output_stride = without_stride = image_size = None
    whole = False
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    channel_order = "RGB"

    def __init__(self) -> None:
        super().__init__()
        self.options = {}
        self.first = nn.Conv2d(3, 4, 5, stride=2, padding=2)
        self.second = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.third = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for layer in (self.first, self.second, self.third):
                nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
                # Symmetric, so that what a cell weighs most lies at its centre.
                layer.weight += layer.weight.flip(-1)
                layer.weight += layer.weight.flip(-2)
                layer.weight /= layer.weight.sum(dim=(1, 2, 3), keepdim=True)
                layer.bias.zero_()

    def forward(self, images):
        shallow = self.second(self.first(images))
        return shallow, self.third(shallow)


def bright_delg(**options) -> DELG:
    """Returns a network whose attention is nearly ten times the brightness around a place."""
    net = DELG(
        BrightTrunk(),
        DELGConfig(12, attention_dim=2, autoencoder=False, **options),
        generator=torch.Generator().manual_seed(2),
    )
    with torch.no_grad():
        net.attention.hidden.weight.fill_(1 / 8)
        net.attention.hidden.bias.zero_()
        net.attention.score.weight.fill_(5.0)
        net.attention.score.bias.zero_()
    return net


def bright_model(codec=None, device="cpu", subsample=False, global_scales=PAPER_SCALES, **settings) -> Model:
    describer = DELGDescriber(
        bright_delg(subsample=subsample),
        max_side=256,
        scales=global_scales,
        keypoints=KeypointConfig(**settings),
        device=device,
    )
    return Model(describer, name="bright", codec=codec)
