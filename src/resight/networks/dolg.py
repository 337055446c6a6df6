"""DOLG: local features, made orthogonal to the global one, joined with it to one descriptor.

Yang et al., "DOLG: Single-Stage Image Retrieval with Deep Orthogonal Fusion of Local and Global Features",
ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.networks.delg import check_maps
from resight.networks.fusion import Fusion, fuse
from resight.networks.global_net import (
    GlobalOutput,
    at_least_a_cell,
    join_scales,
    make_linear,
    project,
    unit,
)
from resight.networks.local_branch import LocalBranch
from resight.networks.pooling import FIXED_GEM, POOLINGS
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.strides import Stage
from resight.settings.bounds import Count, check_fields
from resight.settings.choice import Choice
from resight.settings.marks import NOT_STORED

__all__ = ["DOLG", "DOLGConfig", "FuseAt"]

FuseAt: TypeAlias = Literal["shallow", "deep", "both"]
"""Which maps local features come from."""


@dataclass(frozen=True, slots=True)
class DOLGConfig:
    """Settings of a `DOLG`.

    Attributes:
        dim: Length of a descriptor.
        without_stride: The trunk's stage that keeps its resolution: ``conv5``, ``conv4`` or ``None``.
        pooling: How the deep map becomes a vector: GeM with the fixed exponent 3 in the paper; the released
            code learns the exponent.
        global_dim: Length of the global feature and of local ones; the channels of the shallow map if
            ``None``.
        local_branch: Whether there are local features at all; without them the descriptor is a linear
            layer's of the global feature.
        multi_atrous: Whether local branches have multi-atrous convolutions: the paper has them, the released
            configuration has not.
        dilations: Dilations of those convolutions, in cells.
        self_attention: Weigh local features by an attention.
        fusion: How local features and the global one are joined.
        fuse_at: Which maps local features come from.

    Raises:
        InvalidInput: A word is unknown, or a number is below 1.
    """

    dim: Count = 512
    # A bundle says it of the trunk.
    without_stride: Annotated[Stage | None, NOT_STORED] = None
    pooling: Annotated[Choice, POOLINGS] = FIXED_GEM
    global_dim: Count | None = None
    local_branch: bool = True
    multi_atrous: bool = True
    dilations: tuple[Count, ...] = (6, 12, 18)
    self_attention: bool = True
    fusion: Fusion = "orthogonal"
    fuse_at: FuseAt = "shallow"

    def __post_init__(self) -> None:
        check_fields(self)


@final
class DOLG(nn.Module):
    """A pooled, projected deep map and the means of local branches, joined by a linear layer.

    Attributes:
        trunk: Gives the maps: the first is shallow, the last deep.
        config: The settings, ``global_dim`` a number.
        pooling: Makes the deep map a vector.
        whole: Linear layer with bias from that vector to the global feature.
        branches: A local branch for each map that is fused; none where the local branch is left out.
        head: Linear layer with bias from everything to the descriptor.
        dim: Length of a descriptor.
    """

    kind: ClassVar = "dolg"
    Config: ClassVar = DOLGConfig
    maps: ClassVar = 2

    def __init__(
        self, trunk: Backbone, config: DOLGConfig, *, generator: torch.Generator | None = None
    ) -> None:
        """Joins the parts.

        Args:
            trunk: A trunk with at least two maps; conv4 and conv5 of a ResNet in the paper.
            config: The settings.
            generator: Draws the new layers' weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: The trunk has one map, or not the stage that is to keep its resolution.
        """
        super().__init__()
        check_maps("DOLG", trunk)
        global_dim = trunk.channels[0] if config.global_dim is None else config.global_dim
        self.config = replace(
            config,
            global_dim=global_dim,
            multi_atrous=config.local_branch and config.multi_atrous,
            self_attention=config.local_branch and config.self_attention,
        )
        stage = config.without_stride
        self.trunk = trunk if stage is None else trunk.keeping_resolution(stage)
        self.pooling: nn.Module = config.pooling.make(channels=trunk.channels[-1])
        self.dim = config.dim
        self.whole = make_linear(trunk.channels[-1], global_dim, bias=True, generator=generator)
        self.branches = nn.ModuleDict(
            {
                place: LocalBranch(
                    trunk.channels[number],
                    global_dim,
                    multi_atrous=config.multi_atrous,
                    dilations=config.dilations,
                    self_attention=config.self_attention,
                    generator=generator,
                )
                for place, number in (("shallow", 0), ("deep", -1))
                if config.local_branch and config.fuse_at in (place, "both")
            }
        )
        parts = len(self.branches) + (not self.branches or config.fusion != "hadamard")
        self.head = make_linear(global_dim * parts, config.dim, bias=True, generator=generator)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> GlobalOutput:
        """Returns one descriptor an image, described at one scale."""
        maps = self.trunk(at_least_a_cell(self.trunk, images))
        whole = project(self.whole, self.pooling(maps[-1]))
        fused = [
            fuse(branch(maps[0] if place == "shallow" else maps[-1]), whole, self.config.fusion)
            for place, branch in self.branches.items()
        ]
        parts = fused if fused and self.config.fusion == "hadamard" else [whole, *fused]
        return GlobalOutput(unit(project(self.head, torch.cat(parts, dim=1))))

    def describe_at(
        self, images: Float[Tensor, "batch 3 height width"], scales: Sequence[float]
    ) -> GlobalOutput:
        """Returns one descriptor an image: the mean over several scales of the input, made unit.

        Raises:
            InvalidInput: No scale, or one that is not positive.
        """

        def described(shown: Tensor) -> Tensor:
            return self(shown).descriptor

        return GlobalOutput(join_scales(described, images, scales, power=1.0, rounded=True))
