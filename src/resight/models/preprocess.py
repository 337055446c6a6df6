"""Pixels of photos as the input of a network: the one place where they are normalised."""

from __future__ import annotations

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from resight.models.bundle import Preprocessing

__all__ = ["to_input"]


def to_input(
    pixels: UInt8[Tensor, "batch height width 3"], preprocessing: Preprocessing
) -> Float32[Tensor, "batch 3 height width"]:
    """Returns RGB pixels divided by 255, in the network's order of channels, less its mean, over its std.

    The pixels stay on their device; their size is not changed.
    """
    if preprocessing.channel_order == "BGR":
        pixels = pixels.flip(-1)
    values = pixels.permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(preprocessing.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=pixels.device).view(3, 1, 1)
    return (values - mean) / std
