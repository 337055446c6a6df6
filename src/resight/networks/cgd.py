"""CGD: several poolings of one map side by side, and a classifier on the first that helps in training.

Jun, Ko, Kim, Kim and Kim, "Combination of Multiple Global Descriptors for Image Retrieval", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.networks.global_net import (
    GlobalOutput,
    at_least_a_cell,
    join_scales,
    make_linear,
    project,
    unit,
)
from resight.networks.pooling import MAC, GeM, SPoC
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.strides import Stage
from resight.settings.bounds import Count, check_fields
from resight.settings.marks import NOT_STORED

__all__ = ["CGD", "CONFIGURATIONS", "CGDConfig", "CGDOutput"]

CONFIGURATIONS = ("S", "M", "G", "SM", "MS", "SG", "GS", "MG", "GM", "SMG", "MSG", "GSM")
"""The configurations the paper compares; `CGD` takes any other order as well."""

_EXPONENT = 3.0


@dataclass(frozen=True, slots=True)
class CGDConfig:
    """Settings of a `CGD`.

    Attributes:
        configuration: Letters of S, M and G, each at most once, in any order; the first one's branch feeds
            the classifier.
        dim: Length of a descriptor. Branches to concatenate share it evenly, branches to sum have each all of
            it.
        combine: How the branches become one descriptor.
        without_stride: The stage that does not reduce the map: ``conv5`` as the paper says, ``conv4`` as one
            public implementation has it (both give 14 x 14 cells at 224 pixels; with ``conv4`` more of the
            trunk works at the higher resolution, for 1.7 times the operations), or ``None``.
        learn_exponent: Learn GeM's exponent, which the paper fixes at 3.
        classifier_batch_norm: Normalise over the batch before the classifier, as one public implementation
            does; it needs two images a batch in training.

    Raises:
        InvalidInput: The configuration or a word is unknown, or the dimension does not divide.
    """

    configuration: str = "SG"
    dim: Count = 1536
    combine: Literal["concatenate", "sum"] = "concatenate"
    # A bundle says it of the trunk.
    without_stride: Annotated[Stage | None, NOT_STORED] = "conv5"
    learn_exponent: bool = False
    classifier_batch_norm: Annotated[bool, NOT_STORED] = False

    def __post_init__(self) -> None:
        check_fields(self)
        letters = set(self.configuration)
        if not letters or letters - set("SMG") or len(letters) < len(self.configuration):
            raise InvalidInput(
                "the configuration of CGD must be letters of S, M and G, each at most once, SG for example, "
                f"not {self.configuration!r}"
            )
        if self.dim % self.shares:
            raise InvalidInput(
                f"dim must be a positive multiple of {self.shares} to be shared by the branches "
                f"{self.configuration}, not {self.dim}"
            )

    @property
    def shares(self) -> int:
        """Number of branches that share the descriptor's numbers."""
        return len(self.configuration) if self.combine == "concatenate" else 1


@dataclass(frozen=True, slots=True)
class CGDOutput:
    """What `CGD` says of a batch of images.

    Attributes:
        descriptor: float32 ``(batch, dim)``, unit L2 norm.
        branches: The descriptor of each branch in the order of the configuration, float32 ``(batch, branch
            dim)``, unit L2 norm.
        logits: float32 ``(batch, classes)`` of the auxiliary classifier, without temperature; ``None`` where
            there is none.
    """

    descriptor: Float[Tensor, "batch dim"]
    branches: tuple[Float[Tensor, "batch branch_dim"], ...]
    logits: Float[Tensor, "batch classes"] | None


@final
class CGD(nn.Module):
    """Branches of SPoC (S), MAC (M) and GeM (G) over one map, each projected and made unit, then combined.

    Section 3 of the paper. The classifier reads the first branch's pooled vector, before its projection; it
    is part of a checkpoint and not of a bundle.

    Attributes:
        trunk: Gives the map.
        config: The settings.
        poolings: One a branch.
        projections: One a branch, linear without bias.
        classifier_norm: Batch normalisation before the classifier, or ``None``.
        classifier: The auxiliary classifier, linear with bias, or ``None``.
        dim: Length of a descriptor.
    """

    kind: ClassVar = "cgd"
    Config: ClassVar = CGDConfig
    maps: ClassVar = 1
    outputs: ClassVar = ("descriptor", "branches", "logits")

    def __init__(
        self,
        trunk: Backbone,
        config: CGDConfig,
        *,
        classes: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            trunk: Its deepest map is pooled; where a stage is to keep its resolution, a changed copy is used.
            config: The settings.
            classes: Number of classes of the auxiliary classifier; ``None`` for no classifier.
            generator: Draws the linear layers' weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: The trunk has no such stage, or there is no class.
        """
        super().__init__()
        if classes is not None and classes < 1:
            raise InvalidInput(f"the classifier needs at least one class, not {classes}")
        stage = config.without_stride
        self.trunk = trunk if stage is None else trunk.keeping_resolution(stage)
        self.config = replace(config, learn_exponent=config.learn_exponent and "G" in config.configuration)
        self.dim = config.dim
        channels = trunk.channels[-1]
        self.poolings = nn.ModuleList(
            _pooling(letter, learn_exponent=config.learn_exponent) for letter in config.configuration
        )
        self.projections = nn.ModuleList(
            make_linear(channels, config.dim // config.shares, bias=False, generator=generator)
            for _ in config.configuration
        )
        self.classifier: nn.Linear | None = None
        self.classifier_norm: nn.BatchNorm1d | None = None
        if classes is not None:
            self.classifier = make_linear(channels, classes, bias=True, generator=generator)
            self.classifier_norm = nn.BatchNorm1d(channels) if config.classifier_batch_norm else None

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> CGDOutput:
        """Returns descriptor, branches and logits.

        Raises:
            InvalidInput: One image in training, with batch normalisation before the classifier.
        """
        deepest = self.trunk(at_least_a_cell(self.trunk, images))[-1]
        pooled = [pooling(deepest) for pooling in self.poolings]
        branches = self._branches(pooled)
        return CGDOutput(self._combine(branches), branches, self._logits(pooled[0]))

    def describe_at(
        self, images: Float[Tensor, "batch 3 height width"], scales: Sequence[float]
    ) -> GlobalOutput:
        """Returns one descriptor an image: the mean over several scales of the input, made unit.

        Raises:
            InvalidInput: No scale, or one that is not positive.
        """
        return GlobalOutput(join_scales(lambda shown: self(shown).descriptor, images, scales, power=1.0))

    def _branches(self, pooled: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(
            unit(project(cast("nn.Linear", projection), vectors))
            for projection, vectors in zip(self.projections, pooled, strict=True)
        )

    def _combine(self, branches: Sequence[Tensor]) -> Tensor:
        if self.config.combine == "sum":
            return unit(torch.stack(list(branches)).sum(dim=0))
        return unit(torch.cat(list(branches), dim=1))

    def _logits(self, pooled: Tensor) -> Tensor | None:
        if self.classifier is None:
            return None
        norm = self.classifier_norm
        if norm is not None:
            if norm.training and len(pooled) == 1:
                raise InvalidInput(
                    "batch normalisation before CGD's classifier needs at least two images a batch in "
                    "training, got 1: choose a larger batch or classifier_batch_norm=False"
                )
            pooled = norm(pooled)
        return project(self.classifier, pooled)


def _pooling(letter: str, *, learn_exponent: bool) -> nn.Module:
    match letter:
        case "S":
            return SPoC()
        case "M":
            return MAC()
        case _:
            return GeM(_EXPONENT, learnable=learn_exponent)
