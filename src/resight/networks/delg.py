"""DELG: a global descriptor and attended local features from one network.

Cao, Araujo and Sim, "Unifying Deep Local and Global Features for Image Search", ECCV 2020. Where the paper
and the authors' code differ, the paper is the default and the code an option.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.attention import Attention
from resight.networks.autoencoder import Autoencoder
from resight.networks.convolution import precise, unit_channels
from resight.networks.global_net import (
    GlobalOutput,
    at_least_a_cell,
    join_scales,
    make_linear,
    project,
    unit,
)
from resight.networks.pooling import FIXED_GEM, POOLINGS
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.strides import Stage
from resight.settings.bounds import Count, check_fields
from resight.settings.choice import Choice
from resight.settings.marks import NOT_STORED

__all__ = ["DELG", "DELGConfig", "DELGOutput", "Shown", "Sum", "attention_pooling", "check_maps"]

Shown: TypeAlias = Literal["reconstruction", "input"]
"""Which map: what the autoencoder makes of the shallow map, or the shallow map itself."""

Sum: TypeAlias = Literal["sum", "mean"]
"""Whether weighted features are added up or averaged over the locations."""


@dataclass(frozen=True, slots=True)
class DELGConfig:
    """Settings of a `DELG`.

    Attributes:
        dim: Length of a descriptor.
        without_stride: The trunk's stage that keeps its resolution: ``conv5``, ``conv4`` or ``None``.
        pooling: How the deep map becomes a vector.
        local_dim: Length of a local descriptor, where there is an autoencoder.
        attention_dim: Hidden channels of the attention module.
        autoencoder: Whether local descriptors come from an autoencoder. Without one, attention looks at and
            weighs the shallow map itself, whatever the next two settings say.
        attention_input: The map that attention looks at; the paper and the authors' code say
            ``reconstruction``.
        attention_target: The features that attention weighs; the paper says ``reconstruction``, the authors'
            code ``input``.
        attention_pooling: How weighted features are joined; the paper says ``sum``, the authors' code
            ``mean``.
        normalise_target: Make the weighed features unit first, as the authors' code does and the paper does
            not.
        stop_gradient: Keep gradients of attention and reconstruction from the trunk.
        subsample: Take every second row and column of the shallow map, as the authors' code does by default
            (it then has the deep map's stride); the paper's stride is the trunk's.

    Raises:
        InvalidInput: A word is unknown, or a number is below 1.
    """

    dim: Count = 2048
    # A bundle says it of the trunk.
    without_stride: Annotated[Stage | None, NOT_STORED] = None
    pooling: Annotated[Choice, POOLINGS] = FIXED_GEM
    local_dim: Count = 128
    attention_dim: Count = 512
    autoencoder: bool = True
    attention_input: Shown = "reconstruction"
    attention_target: Shown = "reconstruction"
    attention_pooling: Sum = "sum"
    normalise_target: bool = False
    stop_gradient: bool = True
    subsample: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class DELGOutput:
    """What `DELG` gives for a batch of images.

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
        dim: Length of a descriptor.
        local_dim: Length of a local descriptor.
        local_stride: Pixels of the image per cell of attention and local descriptors.
    """

    kind: ClassVar = "delg"
    Config: ClassVar = DELGConfig
    maps: ClassVar = 2
    outputs: ClassVar = ("descriptor", "logits", "reconstruction")

    def __init__(
        self,
        trunk: Backbone,
        config: DELGConfig,
        *,
        classes: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            trunk: A trunk with at least two maps; conv4 and conv5 of a ResNet in the paper.
            config: The settings.
            classes: Number of classes of the classifier on the attended features; ``None`` for no classifier.
            generator: Draws the new layers' weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: The trunk has one map, or not the stage that is to keep its resolution, or there is
                no class.
        """
        super().__init__()
        check_maps("DELG", trunk)
        if classes is not None and classes < 1:
            raise InvalidInput(f"the classifier needs at least one class, not {classes}")
        shallow = trunk.channels[0]
        if not config.autoencoder:
            config = replace(config, local_dim=shallow, attention_input="input", attention_target="input")
        stage = config.without_stride
        self.trunk = trunk if stage is None else trunk.keeping_resolution(stage)
        self.config = config
        self.pooling: nn.Module = config.pooling.make(channels=trunk.channels[-1])
        self.whitening = make_linear(trunk.channels[-1], config.dim, bias=True, generator=generator)
        self.autoencoder = (
            Autoencoder(shallow, config.local_dim, generator=generator) if config.autoencoder else None
        )
        self.attention = Attention(shallow, config.attention_dim, generator=generator)
        self.classifier = (
            None if classes is None else make_linear(shallow, classes, bias=True, generator=generator)
        )
        self.dim = config.dim
        self.local_dim = config.local_dim
        self.local_stride = self.trunk.strides[0] * (2 if config.subsample else 1)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> DELGOutput:
        """Returns everything the losses need, described at one scale."""
        return self._describe_all(images, classifier=self.classifier)

    def maps_at(self, images: Float[Tensor, "batch 3 height width"]) -> DELGOutput:
        """Returns the same without logits, which the loss alone needs."""
        return self._describe_all(images, classifier=None)

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

    def _describe_all(self, images: Tensor, *, classifier: nn.Linear | None) -> DELGOutput:
        config = self.config
        maps = self.trunk(at_least_a_cell(self.trunk, images))
        shallow = maps[0][..., ::2, ::2] if config.subsample else maps[0]
        if config.stop_gradient:
            shallow = shallow.detach()
        code = rebuilt = shallow
        error = None
        if self.autoencoder is not None:
            code, rebuilt = self.autoencoder(shallow)
            error = (precise(shallow) - precise(rebuilt)).square().mean(dim=(1, 2, 3))
        attention = self.attention(rebuilt if config.attention_input == "reconstruction" else shallow)
        logits = None
        if classifier is not None:
            target = rebuilt if config.attention_target == "reconstruction" else shallow
            attended = attention_pooling(
                target, attention, how=config.attention_pooling, normalise=config.normalise_target
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
