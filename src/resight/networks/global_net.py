"""What the networks with one descriptor an image share: their output, projections and several scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.pooling import ClassToken, TrunkAndGeM, TrunkPooling
from resight.networks.trunks.backbone import Backbone

__all__ = [
    "GlobalOutput",
    "at_least_a_cell",
    "join_scales",
    "make_linear",
    "pool",
    "pooled_channels",
    "project",
    "scaled_side",
    "unit",
]


@dataclass(frozen=True, slots=True)
class GlobalOutput:
    """What a global model says of a batch of images.

    Attributes:
        descriptor: float32 ``(batch, dim)``, unit L2 norm.
    """

    descriptor: Float[Tensor, "batch dim"]


def unit(vectors: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
    """Returns the vectors divided by their L2 norm; zero stays zero, with a finite gradient."""
    return nn.functional.normalize(vectors, dim=1)


def project(layer: nn.Linear, vectors: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
    """Returns the layer's outputs in its own precision, whatever autocast says."""
    with torch.autocast(vectors.device.type, enabled=False):
        projected: Tensor = layer(vectors.to(layer.weight.dtype))
    return projected


def make_linear(
    inputs: int, outputs: int, *, bias: bool, generator: torch.Generator | None = None
) -> nn.Linear:
    """Returns a linear layer with torch's initial values, drawn from a generator of one's own.

    He et al. 2015 in the uniform form torch gives its layers: weights and biases within 1/√inputs.
    """
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device=torch.get_default_device())
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    if bias:
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def pool(
    trunk: Backbone, pooling: nn.Module, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch channels"]:
    """Returns the deepest map of the images pooled, or what the trunk itself gives where the pooling is that.

    Raises:
        InvalidInput: The trunk has no class token, or not its own pooling.
    """
    shown = at_least_a_cell(trunk, images)
    if isinstance(pooling, ClassToken):
        return trunk.class_token(shown)
    if isinstance(pooling, TrunkPooling | TrunkAndGeM):
        whole = trunk.read_whole(shown)
        both: Tensor = pooling(whole.pooled, whole.maps)
        return both
    pooled: Tensor = pooling(trunk(shown)[-1])
    return pooled


def pooled_channels(trunk: Backbone, pooling: nn.Module) -> int:
    """Returns how many numbers `pool` gives an image."""
    return trunk.channels[-1] * (2 if isinstance(pooling, TrunkAndGeM) else 1)


def at_least_a_cell(trunk: Backbone, images: Tensor) -> Tensor:
    """Returns the images, the smaller ones padded to one cell of the trunk's deepest map.

    Trunks without padding end in an empty map on smaller ones; zero is the mean colour.
    """
    down, right = (max(0, trunk.strides[-1] - size) for size in images.shape[2:])
    return nn.functional.pad(images, (0, right, 0, down)) if down or right else images


def join_scales(
    describe: Callable[[Tensor], Tensor],
    images: Float[Tensor, "batch 3 height width"],
    scales: Sequence[float],
    *,
    power: float,
    rounded: bool = False,
) -> Float[Tensor, "batch dim"]:
    """Returns one unit descriptor an image, joined over several scales of the input.

    The input is resized bilinearly, its sides rounded down (the authors' code of GeM) or to the nearest pixel
    if ``rounded`` (those of DELG and DOLG). Descriptors v_s of S scales are joined as
    ``((1/S) Σ v_s^m)^(1/m)`` with ``power`` for m, and made unit (the authors' code of GeM).

    Raises:
        InvalidInput: No scale, or one that is not positive.
    """
    if not scales or min(scales) <= 0:
        raise InvalidInput(f"scales must be positive numbers, at least one, not {tuple(scales)}")
    total = torch.zeros((), device=images.device)
    for scale in scales:
        total = total + describe(_resized(images, scale, rounded=rounded)).float().pow(power)
    joined = (total / len(scales)).pow(1 / power)
    # Without an addend: what leaves here is compared with descriptors of norm 1 exactly.
    return nn.functional.normalize(joined, dim=1, eps=torch.finfo(torch.float32).tiny)


def scaled_side(side: int, scale: float, *, rounded: bool) -> int:
    """Returns a side in pixels at a scale, at least 1: rounded to the nearest, halves to even, or down.

    Also of a side that is not known yet, where torch exports a graph for any size.
    """
    if not isinstance(side, torch.SymInt):
        return max(1, (round if rounded else int)(side * scale))
    if not rounded:
        return torch.sym_max(1, torch.sym_int(side * scale))
    halves = scale * 2
    if halves.is_integer():
        twice = side * int(halves)
        return torch.sym_max(1, (twice + (twice // 2) % 2) // 2)
    return torch.sym_max(1, torch.sym_int(side * scale + 0.5))


def _resized(images: Tensor, scale: float, *, rounded: bool) -> Tensor:
    if scale == 1:
        return images
    if rounded or min(images.shape[2:]) * scale < 1:
        size = [scaled_side(side, scale, rounded=rounded) for side in images.shape[2:]]
        return nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    return nn.functional.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
