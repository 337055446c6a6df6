"""SuperGlobal's way to describe an image with a convolutional network that was trained for GeM.

Shao, Chen, Karpur, Cui, Araujo and Cao, "Global Features are All You Need for Image Retrieval and Reranking",
ICCV 2023, section 3 (GeM+, Regional-GeM, Scale-GeM, ReLUP), as the authors' code has them. No weight is
trained anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.embedding import Embedding
from resight.networks.gem import GeMNet
from resight.networks.global_net import GlobalOutput, at_least_a_cell, project, scaled_side, unit
from resight.networks.trunks.backbone import Backbone
from resight.settings.bounds import Count, NotNegative, Positive, check_fields

__all__ = [
    "ReLUP",
    "SuperGlobalConfig",
    "check_super_global",
    "describe_super_global",
    "raise_activations_",
    "regional_gem",
]

_EPSILON = 1e-8
"""Smallest activation that GeM+ sees."""

_STAGES = ("layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True, slots=True)
class SuperGlobalConfig:
    """Settings of SuperGlobal's description; the defaults are the authors'.

    Attributes:
        gem_p: Exponent of GeM+ in the place of the network's own pooling; ``None`` keeps that.
        regional: Whether the map is averaged with its Regional-GeM.
        regional_p: Exponent of Regional-GeM.
        regional_size: Rows and columns of a region, an odd number.
        scale_max: Whether descriptors of several scales are joined by the maximum of each number (Scale-GeM
            with an infinite exponent) and not by their mean.
        relup: What the activations of a ResNet are raised to at least (ReLUP); 0 leaves ReLU.

    Raises:
        InvalidInput: A setting is outside of its range, or a region has no centre.
    """

    gem_p: Positive | None = 4.6
    regional: bool = True
    regional_p: Positive = 2.5
    regional_size: Count = 5
    scale_max: bool = True
    relup: NotNegative = 0.014

    def __post_init__(self) -> None:
        check_fields(self)
        if self.regional_size % 2 == 0:
            raise InvalidInput(f"regional_size must be an odd number, not {self.regional_size}")


@final
class ReLUP(nn.Module):
    """ReLU whose smallest value is positive: ``max(x, least)``.

    Attributes:
        least: That value.
    """

    def __init__(self, least: float) -> None:
        """Takes the least value."""
        super().__init__()
        self.least = least

    def forward(self, values: Tensor) -> Tensor:
        """Returns the larger of value and least."""
        return values.clamp(min=self.least)


def regional_gem(
    maps: Float[Tensor, "batch channels rows cols"], p: float, size: int
) -> Float[Tensor, "batch channels rows cols"]:
    """Returns the mean of each cell and GeM over the square region around it, of maps that are not negative.

    The map is mirrored at its edges. Where it has too few cells for that, its outermost are repeated: the
    authors' code refuses such maps.

    Args:
        maps: Feature maps.
        p: Exponent.
        size: Rows and columns of a region, an odd number.
    """
    x, edge = maps.float(), size // 2
    mode = "reflect" if edge < min(x.shape[2:]) else "replicate"
    padded = nn.functional.pad(x, (edge, edge, edge, edge), mode=mode)
    regional = nn.functional.avg_pool2d(padded.clamp(min=0).pow(p), size, stride=1).pow(1 / p)
    return (x + regional) / 2


def check_super_global(net: nn.Module, config: SuperGlobalConfig) -> None:
    """Returns if a network can be described so.

    Raises:
        InvalidInput: It is neither `GeMNet` nor `Embedding`, its maps have both signs, or activations shall
            be raised in what is no ResNet.
    """
    if not isinstance(net, GeMNet | Embedding) or net.trunk.signed or net.trunk.whole:
        raise _unfit()
    if config.relup and not _is_resnet(net.trunk):
        raise InvalidInput(
            f"ReLUP is defined for ResNets, and the trunk is {net.trunk.trunk}: set relup to 0 to go without"
        )


def raise_activations_(trunk: Backbone, least: float) -> None:
    """Puts `ReLUP` in the place of ReLU in a ResNet, in place, where the authors' code does.

    At the end of each block of all stages but the last, and everywhere inside of the blocks of the first.
    """
    for stage in _STAGES[:-1]:
        for block in trunk.net.get_submodule(stage).children():
            names = [name for name, _ in block.named_children() if name.startswith("act")]
            for name in names if stage == _STAGES[0] else names[-1:]:
                setattr(block, name, ReLUP(least))


def describe_super_global(
    net: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    scales: Sequence[float],
    config: SuperGlobalConfig,
) -> GlobalOutput:
    """Returns one descriptor an image, over several scales of the input; its activations are raised already.

    At each scale: map, Regional-GeM, GeM+, unit norm, the network's linear layer where it has one. The input
    is resized bilinearly, its sides rounded down. Descriptors of the scales, made unit, are joined by their
    maximum, or as they are by their mean, and made unit.

    Args:
        net: The network.
        images: The network's input.
        scales: Scales of the input; 2^-0.5, 1 and 2^0.5 in the paper.
        config: The settings.

    Raises:
        InvalidInput: The network is none that can be described so.
    """
    if not isinstance(net, GeMNet | Embedding):
        raise _unfit()
    described = torch.stack([_describe(net, shown, config) for shown in _scaled(images, scales)])
    if config.scale_max:
        return GlobalOutput(unit(nn.functional.normalize(described, dim=2).amax(dim=0)))
    return GlobalOutput(unit(described.mean(dim=0)))


def _describe(net: GeMNet | Embedding, images: Tensor, config: SuperGlobalConfig) -> Tensor:
    maps = net.trunk(at_least_a_cell(net.trunk, images))[-1].float()
    if config.regional:
        maps = regional_gem(maps, config.regional_p, config.regional_size)
    if config.gem_p is None:
        pooled: Tensor = net.pooling(maps)
    else:
        powers = maps.clamp(min=_EPSILON).pow(config.gem_p)
        pooled = powers.mean(dim=(-2, -1)).pow(1 / config.gem_p)
    layer = net.linear if isinstance(net, Embedding) else net.whitening
    return unit(pooled) if layer is None else project(layer, unit(pooled))


def _scaled(images: Tensor, scales: Sequence[float]) -> Iterator[Tensor]:
    for scale in scales:
        size = [scaled_side(side, scale, rounded=False) for side in images.shape[2:]]
        yield (
            images
            if scale == 1
            else nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
        )


def _unfit() -> InvalidInput:
    return InvalidInput(
        "SuperGlobal describes with convolutional networks of the kinds gem and embedding, whose maps are "
        "not negative: take one of those"
    )


def _is_resnet(trunk: Backbone) -> bool:
    stages = dict(trunk.net.named_children())
    blocks = [block for stage in _STAGES if stage in stages for block in stages[stage].children()]
    return all(stage in stages for stage in _STAGES) and all(hasattr(each, "act1") for each in blocks)
