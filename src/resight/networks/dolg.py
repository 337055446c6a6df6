"""DOLG: local features, made orthogonal to the global one, joined with it to one descriptor.

Yang et al., "DOLG: Single-Stage Image Retrieval with Deep Orthogonal Fusion of Local and Global Features",
ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, cast, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.delg import check_maps
from resight.networks.fusion import Fusion, fuse
from resight.networks.gem import Pooling, check_pooling
from resight.networks.global_net import (
    GlobalOutput,
    at_least_a_cell,
    join_scales,
    make_linear,
    project,
    unit,
)
from resight.networks.local_branch import LocalBranch
from resight.networks.pooling import GeM
from resight.networks.trunks.backbone import Backbone

__all__ = ["DOLG", "FuseAt"]

FuseAt: TypeAlias = Literal["shallow", "deep", "both"]
"""Which maps local features come from."""


@final
class DOLG(nn.Module):
    """A pooled, projected deep map and the means of local branches, joined by a linear layer.

    Attributes:
        trunk: Where the maps come from: the first is shallow, the last deep.
        pooling: How the deep map becomes a vector.
        whole: Linear layer with bias from it to the global feature.
        branches: A local branch for each map that is fused; none where the local branch is left out.
        head: Linear layer with bias from everything to the descriptor.
        fusion: How local features and the global one are joined.
        fuse_at: Which maps local features come from.
        dilations: Of the multi-atrous convolutions, in cells.
        global_dim: Length of the global feature and of local ones.
        dim: Length of a descriptor.
    """

    def __init__(
        self,
        trunk: Backbone,
        dim: int = 512,
        *,
        global_dim: int | None = None,
        pooling: Pooling | None = None,
        local_branch: bool = True,
        multi_atrous: bool = True,
        dilations: Sequence[int] = (6, 12, 18),
        self_attention: bool = True,
        fusion: Fusion = "orthogonal",
        fuse_at: FuseAt = "shallow",
        generator: torch.Generator | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            trunk: A trunk with at least two maps; conv4 and conv5 of a ResNet in the paper.
            dim: Length of a descriptor.
            global_dim: Length of the global feature; the channels of the shallow map if ``None``.
            pooling: GeM with the fixed exponent 3, as in the paper, if ``None``; the released code learns it.
            local_branch: Whether there are local features at all; without them the descriptor is a linear
                layer's of the global feature.
            multi_atrous: The paper has these convolutions, the released configuration has not.
            dilations: Of them, in cells.
            self_attention: Weigh local features by an attention.
            fusion: How local features and the global one are joined.
            fuse_at: Which maps local features come from.
            generator: Draws the new layers' weights; torch's own one if ``None``.

        Raises:
            InvalidInput: The trunk has one map, a word is unknown, a number is below 1, or GeM's exponents do
                not fit the trunk's channels.
        """
        super().__init__()
        check_maps("DOLG", trunk)
        for name, value, words in (
            ("fusion", fusion, get_args(Fusion)),
            ("fuse_at", fuse_at, get_args(FuseAt)),
        ):
            if value not in words:
                raise InvalidInput(f"{name} must be one of {', '.join(words)}, not {value!r}")
        self.global_dim = trunk.channels[0] if global_dim is None else global_dim
        if min(dim, self.global_dim) < 1:
            raise InvalidInput(f"dim and global_dim must be positive, not {dim} and {self.global_dim}")
        self.trunk = trunk
        self.pooling: Pooling = GeM(3.0, learnable=False) if pooling is None else pooling
        check_pooling(self.pooling, trunk)
        self.fusion: Fusion = fusion
        self.fuse_at: FuseAt = fuse_at
        self.dilations = tuple(dilations)
        self.dim = dim
        self.whole = make_linear(trunk.channels[-1], self.global_dim, bias=True, generator=generator)
        self.branches = nn.ModuleDict(
            {
                place: LocalBranch(
                    trunk.channels[number],
                    self.global_dim,
                    multi_atrous=multi_atrous,
                    dilations=self.dilations,
                    self_attention=self_attention,
                    generator=generator,
                )
                for place, number in (("shallow", 0), ("deep", -1))
                if local_branch and fuse_at in (place, "both")
            }
        )
        parts = len(self.branches) + (not self.branches or fusion != "hadamard")
        self.head = make_linear(self.global_dim * parts, dim, bias=True, generator=generator)

    @property
    def multi_atrous(self) -> bool:
        """Whether local branches have multi-atrous convolutions."""
        return any(cast("LocalBranch", each).multi_atrous is not None for each in self.branches.values())

    @property
    def self_attention(self) -> bool:
        """Whether local features are weighed."""
        return any(cast("LocalBranch", each).score is not None for each in self.branches.values())

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> GlobalOutput:
        """Returns one descriptor an image, described at one scale."""
        maps = self.trunk(at_least_a_cell(self.trunk, images))
        whole = project(self.whole, self.pooling(maps[-1]))
        fused = [
            fuse(branch(maps[0] if place == "shallow" else maps[-1]), whole, self.fusion)
            for place, branch in self.branches.items()
        ]
        parts = fused if fused and self.fusion == "hadamard" else [whole, *fused]
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
