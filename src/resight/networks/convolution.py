"""Convolutions of our own on top of a trunk's maps, with first weights from a generator of one's own."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput

__all__ = ["DIRECTION_FLOOR", "make_convolution", "precise", "unit_channels"]

DIRECTION_FLOOR = 1e-6
"""Norm by which a location's feature is divided at least when it is made unit."""


def make_convolution(
    inputs: int,
    outputs: int,
    *,
    scheme: Literal["glorot", "he"],
    dilation: int | None = None,
    generator: torch.Generator | None = None,
) -> nn.Conv2d:
    """Returns a convolution with bias that keeps rows and columns: 1 x 1, or 3 x 3 with ``dilation``.

    Args:
        inputs: Channels of its input.
        outputs: Channels of its output.
        scheme: ``glorot``: uniform within √(6/(fan in + fan out)) (Glorot and Bengio 2010, equation 16);
            ``he``: normal with standard deviation √(2/fan out) (He et al. 2015, equation 14). Biases are 0.
        dilation: Cells between neighbours of the 3 x 3 kernel.
        generator: Draws the weights; torch's own one if ``None``.

    Raises:
        InvalidInput: A number of channels or the dilation is below 1.
    """
    if min(inputs, outputs) < 1 or (dilation is not None and dilation < 1):
        raise InvalidInput(
            f"a convolution of {inputs} to {outputs} channels with dilation {dilation} cannot be made: all "
            "must be positive"
        )
    layer = nn.Conv2d(
        inputs,
        outputs,
        1 if dilation is None else 3,
        padding=dilation or 0,
        dilation=dilation or 1,
        device="meta",
    ).to_empty(device=torch.get_default_device())
    if scheme == "glorot":
        nn.init.xavier_uniform_(layer.weight, generator=generator)
    else:
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def precise(maps: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Returns the tensor in float32, or in float64 where it is that."""
    return maps if maps.dtype == torch.float64 else maps.float()


def unit_channels(
    maps: Float[Tensor, "batch channels rows cols"],
) -> Float[Tensor, "batch channels rows cols"]:
    """Returns the feature of each location at unit L2 norm, in float32 at least.

    Norms below `DIRECTION_FLOOR` count as that: zero stays zero, and no gradient grows past its inverse.
    """
    return nn.functional.normalize(precise(maps), dim=1, eps=DIRECTION_FLOOR)
