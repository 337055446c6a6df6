"""Pixels of photos as the input of a network: the one place where they are normalised."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from resight.models.bundle import Preprocessing

__all__ = ["normalised", "to_input"]


def to_input(
    pixels: UInt8[Tensor, "batch height width 3"], preprocessing: Preprocessing
) -> Float32[Tensor, "batch 3 height width"]:
    """Returns RGB pixels divided by 255, in the network's order of channels, less its mean, over its std.

    The pixels stay on their device; their size is not changed.
    """
    mean = torch.tensor(preprocessing.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=pixels.device).view(3, 1, 1)
    return normalised(pixels, mean, std, channel_order=preprocessing.channel_order)


def normalised(
    pixels: UInt8[Tensor, "batch height width 3"],
    mean: Float[Tensor, "3 1 1"],
    std: Float[Tensor, "3 1 1"],
    *,
    channel_order: Literal["RGB", "BGR"],
) -> Float[Tensor, "batch 3 height width"]:
    """Returns the same for a mean and a std that are on the device already, in their type."""
    ordered = pixels.flip(-1) if channel_order == "BGR" else pixels
    return (ordered.permute(0, 3, 1, 2).to(mean.dtype) / 255 - mean) / std
