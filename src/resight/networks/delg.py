"""DELG: a global descriptor and attended local features from one network.

Cao, Araujo and Sim, "Unifying Deep Local and Global Features for Image Search", ECCV 2020. Where the paper
and the authors' code differ, the paper is the default and the code an option.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.attention import Attention
from resight.networks.autoencoder import Autoencoder
from resight.networks.convolution import precise, unit_channels
from resight.networks.gem import Pooling, check_pooling
from resight.networks.global_net import (
    GlobalOutput,
    at_least_a_cell,
    join_scales,
    make_linear,
    project,
    unit,
)
from resight.networks.pooling import GeM
from resight.networks.trunks.backbone import Backbone

__all__ = ["DELG", "DELGOutput", "Shown", "Sum", "attention_pooling", "check_maps"]

Shown: TypeAlias = Literal["reconstruction", "input"]
"""Which map: what the autoencoder makes of the shallow map, or the shallow map itself."""

Sum: TypeAlias = Literal["sum", "mean"]
"""Whether weighted features are added up or averaged over the locations."""


@dataclass(frozen=True, slots=True)
class DELGOutput:
    """What `DELG` says of a batch of images.

    Attributes:
        descriptor: float32 ``(batch, dim)``, unit L2 norm.
        attention: float32 ``(batch, 1, rows, cols)``, not negative: how much each location matters. Its scale
            differs from one training to the next.
        local: float32 ``(batch, local dim, rows, cols)``, unit L2 norm at each location, or zero.
        logits: float32 ``(batch, classes)`` of the classifier on the attended features; ``None`` where there
            is none.
        reconstruction_error: float32 ``(batch,)``, mean squared error of the reconstructed map, over its
            channels and locations; ``None`` without an autoencoder.
    """

    descriptor: Float[Tensor, "batch dim"]
    attention: Float[Tensor, "batch 1 rows cols"]
    local: Float[Tensor, "batch local_dim rows cols"]
    logits: Float[Tensor, "batch classes"] | None
    reconstruction_error: Float[Tensor, " batch"] | None


@final
class DELG(nn.Module):
    """GeM and whitening on the deep map; attention and an autoencoder on the shallow one.

    The shallow map reaches attention and autoencoder without its gradient: the trunk learns from the
    descriptor alone. The classifier is part of a checkpoint and not of a bundle.

    Attributes:
        trunk: Where the maps come from: the first is shallow, the last deep.
        pooling: How the deep map becomes a vector.
        whitening: Linear layer with bias after it.
        autoencoder: Makes the local descriptors, or ``None``: then they are the shallow map's features.
        attention: How much each location matters.
        classifier: Linear layer with bias on the attended features, or ``None``.
        attention_input: What attention looks at.
        attention_target: Which features it weighs.
        attention_pooling: How they are joined.
        normalise_target: Whether they are made unit first.
        stop_gradient: Whether the trunk is kept from what is learned on the shallow map.
        subsample: Whether only every second row and column of the shallow map is used.
        dim: Length of a descriptor.
        local_dim: Length of a local descriptor.
        local_stride: Pixels of the image per cell of attention and local descriptors.
    """

    def __init__(
        self,
        trunk: Backbone,
        dim: int = 2048,
        *,
        local_dim: int = 128,
        attention_dim: int = 512,
        classes: int | None = None,
        pooling: Pooling | None = None,
        autoencoder: bool = True,
        attention_input: Shown = "reconstruction",
        attention_target: Shown = "reconstruction",
        attention_pooling: Sum = "sum",
        normalise_target: bool = False,
        stop_gradient: bool = True,
        subsample: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            trunk: A trunk with at least two maps; conv4 and conv5 of a ResNet in the paper.
            dim: Length of a descriptor.
            local_dim: Length of a local descriptor, where there is an autoencoder.
            attention_dim: Hidden channels of the attention module.
            classes: Number of classes of the classifier on the attended features; ``None`` for none.
            pooling: GeM with the fixed exponent 3 if ``None``.
            autoencoder: Whether local descriptors come from one. Without it attention looks at and weighs the
                shallow map itself, whatever the next two say.
            attention_input: The paper and the authors' code say ``reconstruction``.
            attention_target: The paper says ``reconstruction``, the authors' code ``input``.
            attention_pooling: The paper says ``sum``, the authors' code ``mean``.
            normalise_target: The authors' code does, the paper does not.
            stop_gradient: Keep gradients of attention and reconstruction from the trunk.
            subsample: Take every second row and column of the shallow map, as the authors' code does by
                default (it then has the deep map's stride); the paper's stride is the trunk's.
            generator: Draws the new layers' weights; torch's own one if ``None``.

        Raises:
            InvalidInput: The trunk has one map, a word is unknown, a number is below 1, or GeM's exponents do
                not fit the trunk's channels.
        """
        super().__init__()
        check_maps("DELG", trunk)
        for name, value, words in (
            ("attention_input", attention_input, get_args(Shown)),
            ("attention_target", attention_target, get_args(Shown)),
            ("attention_pooling", attention_pooling, get_args(Sum)),
        ):
            if value not in words:
                raise InvalidInput(f"{name} must be {' or '.join(words)}, not {value!r}")
        if dim < 1:
            raise InvalidInput(f"dim must be a positive number of dimensions, not {dim}")
        if classes is not None and classes < 1:
            raise InvalidInput(f"the classifier needs at least one class, not {classes}")
        shallow = trunk.channels[0]
        self.trunk = trunk
        self.pooling: Pooling = GeM(3.0, learnable=False) if pooling is None else pooling
        check_pooling(self.pooling, trunk)
        self.whitening = make_linear(trunk.channels[-1], dim, bias=True, generator=generator)
        self.autoencoder = Autoencoder(shallow, local_dim, generator=generator) if autoencoder else None
        self.attention = Attention(shallow, attention_dim, generator=generator)
        self.classifier = (
            None if classes is None else make_linear(shallow, classes, bias=True, generator=generator)
        )
        self.attention_input: Shown = attention_input if autoencoder else "input"
        self.attention_target: Shown = attention_target if autoencoder else "input"
        self.attention_pooling: Sum = attention_pooling
        self.normalise_target = normalise_target
        self.stop_gradient = stop_gradient
        self.subsample = subsample
        self.dim = dim
        self.local_dim = local_dim if autoencoder else shallow
        self.local_stride = trunk.strides[0] * (2 if subsample else 1)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> DELGOutput:
        """Returns everything the losses need, described at one scale."""
        return self._said(images, classifier=self.classifier)

    def maps_at(self, images: Float[Tensor, "batch 3 height width"]) -> DELGOutput:
        """Returns the same without logits, which nobody needs but the loss."""
        return self._said(images, classifier=None)

    def describe_at(
        self, images: Float[Tensor, "batch 3 height width"], scales: Sequence[float]
    ) -> GlobalOutput:
        """Returns one descriptor an image: the sum over several scales of the input, made unit.

        Raises:
            InvalidInput: No scale, or one that is not positive.
        """

        def described(shown: Tensor) -> Tensor:
            return self._describe(self.trunk(at_least_a_cell(self.trunk, shown))[-1])

        return GlobalOutput(join_scales(described, images, scales, power=1.0, rounded=True))

    def _describe(self, deep: Tensor) -> Tensor:
        return unit(project(self.whitening, self.pooling(deep)))

    def _said(self, images: Tensor, *, classifier: nn.Linear | None) -> DELGOutput:
        maps = self.trunk(at_least_a_cell(self.trunk, images))
        shallow = maps[0][..., ::2, ::2] if self.subsample else maps[0]
        if self.stop_gradient:
            shallow = shallow.detach()
        code = rebuilt = shallow
        error = None
        if self.autoencoder is not None:
            code, rebuilt = self.autoencoder(shallow)
            error = (precise(shallow) - precise(rebuilt)).square().mean(dim=(1, 2, 3))
        attention = self.attention(rebuilt if self.attention_input == "reconstruction" else shallow)
        logits = None
        if classifier is not None:
            target = rebuilt if self.attention_target == "reconstruction" else shallow
            attended = attention_pooling(
                target, attention, how=self.attention_pooling, normalise=self.normalise_target
            )
            logits = project(classifier, attended)
        return DELGOutput(self._describe(maps[-1]), attention, unit_channels(code), logits, error)


def attention_pooling(
    features: Float[Tensor, "batch channels rows cols"],
    attention: Float[Tensor, "batch 1 rows cols"],
    *,
    how: Sum,
    normalise: bool,
) -> Float[Tensor, "batch channels"]:
    """Returns the features of all locations, each times its attention, added up or averaged.

    Cao, Araujo and Sim 2020: ``a' = Σ a_hw s'_hw`` over rows h and columns w. In float32 at least.

    Args:
        features: One a location.
        attention: One weight a location.
        how: The sum, as the equation, or the mean over the locations.
        normalise: Make the features unit first.
    """
    shown = unit_channels(features) if normalise else precise(features)
    # Not a matrix product, which autocast would compute in half precision.
    weighted = shown * precise(attention)
    return weighted.sum(dim=(2, 3)) if how == "sum" else weighted.mean(dim=(2, 3))


def check_maps(what: str, trunk: Backbone) -> None:
    """Returns if the trunk gives a shallow and a deep map.

    Raises:
        InvalidInput: It gives one map alone.
    """
    if len(trunk.channels) < 2:
        raise InvalidInput(
            f"{what} needs a shallow and a deep map, and the trunk {trunk.trunk} gives "
            f"{len(trunk.channels)}: build it with out_indices=(-2, -1)"
        )
