"""XFeat: one small network for keypoints, how reliable they are, and their descriptors.

G. Potje, F. Cadar, A. Araujo, R. Martins and E. R. Nascimento, "XFeat: Accelerated Features for Lightweight
Image Matching", CVPR 2024, section 3. The refinement of matches (their 3.3) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["CELL", "DIM", "XFeat", "XFeatMaps"]

DIM = 64
"""Length of a descriptor."""

CELL = 8
"""Pixels between neighbouring cells of the maps of descriptors and reliability."""

_NO_KEYPOINT = 64
"""Number of the logit that says that a cell has no keypoint."""


@dataclass(frozen=True, slots=True)
class XFeatMaps:
    """What the network says of a batch of images.

    Attributes:
        descriptors: float32 ``(batch, 64, height / 8, width / 8)``, unit L2 norm over the channels.
        keypoints: float32 ``(batch, 1, height, width)``, the probability that a pixel is the keypoint of its
            cell of 8 x 8.
        reliability: float32 ``(batch, 1, height / 8, width / 8)``, how likely a match is right.
    """

    descriptors: Float[Tensor, "batch 64 rows columns"]
    keypoints: Float[Tensor, "batch 1 height width"]
    reliability: Float[Tensor, "batch 1 rows columns"]


@final
class XFeat(nn.Module):
    """Grey images to maps of keypoints and descriptors; random weights until `load_published`."""

    def __init__(self) -> None:
        """Builds it with random weights (torch's own generator)."""
        super().__init__()
        # In the order of the published tensors.
        self.skip = nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 24, 1))
        self.block1 = nn.Sequential(
            _layer(1, 4), _layer(4, 8, stride=2), _layer(8, 8), _layer(8, 24, stride=2)
        )
        self.block2 = nn.Sequential(_layer(24, 24), _layer(24, 24))
        self.block3 = nn.Sequential(_layer(24, 64, stride=2), _layer(64, 64), _layer(64, 64, kernel=1))
        self.block4 = nn.Sequential(_layer(64, 64, stride=2), _layer(64, 64), _layer(64, 64))
        self.block5 = nn.Sequential(
            _layer(64, 128, stride=2), _layer(128, 128), _layer(128, 128), _layer(128, 64, kernel=1)
        )
        self.fusion = nn.Sequential(_layer(64, 64), _layer(64, 64), nn.Conv2d(64, DIM, 1))
        self.reliability = nn.Sequential(
            _layer(64, 64, kernel=1), _layer(64, 64, kernel=1), nn.Conv2d(64, 1, 1), nn.Sigmoid()
        )
        self.keypoints = nn.Sequential(
            *(_layer(64, 64, kernel=1) for _ in range(3)), nn.Conv2d(64, _NO_KEYPOINT + 1, 1)
        )

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> XFeatMaps:
        """Returns the maps of RGB images whose sides are multiples of 32; their range does not matter."""
        grey = nn.functional.instance_norm(images.mean(dim=1, keepdim=True))
        shallow = self.block2(self.block1(grey) + self.skip(grey))
        third = self.block3(shallow)
        fourth = self.block4(third)
        fifth = self.block5(fourth)
        fused = third + sum(
            nn.functional.interpolate(each, third.shape[2:], mode="bilinear", align_corners=False)
            for each in (fourth, fifth)
        )
        fused = self.fusion(fused)
        # Each cell's 64 pixels become channels, row by row.
        logits = self.keypoints(nn.functional.pixel_unshuffle(grey, CELL))
        chances = torch.softmax(logits, dim=1)[:, :_NO_KEYPOINT]
        return XFeatMaps(
            nn.functional.normalize(fused, dim=1),
            nn.functional.pixel_shuffle(chances, CELL),
            self.reliability(fused),
        )

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Fills the network with the authors' tensors, which have the same order under other names.

        Raises:
            RuntimeError: A tensor has another shape.
            ValueError: There are more or fewer tensors.
        """
        own = self.state_dict()
        tensors = [tensor for name, tensor in state.items() if not name.startswith("fine_matcher.")]
        self.load_state_dict(dict(zip(own, tensors, strict=True)))


def _layer(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, affine=False),
        nn.ReLU(inplace=True),
    )
