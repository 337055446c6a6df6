"""CGD: several poolings of one map side by side, and a classifier on the first that helps in training.

Jun, Ko, Kim, Kim and Kim, "Combination of Multiple Global Descriptors for Image Retrieval", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, final

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

__all__ = ["CGD", "CONFIGURATIONS", "CGDOutput"]

CONFIGURATIONS = ("S", "M", "G", "SM", "MS", "SG", "GS", "MG", "GM", "SMG", "MSG", "GSM")
"""The configurations the paper compares; `CGD` takes any other order as well."""

_EXPONENT = 3.0


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
        trunk: Where the map comes from.
        configuration: Letters of the branches, the first one feeding the classifier.
        combine: How the branches become one descriptor.
        poolings: One a branch.
        projections: One a branch, linear without bias.
        classifier_norm: Batch normalisation before the classifier, or ``None``.
        classifier: The auxiliary classifier, linear with bias, or ``None``.
        dim: Length of a descriptor.
    """

    def __init__(
        self,
        trunk: Backbone,
        configuration: str = "SG",
        dim: int = 1536,
        *,
        classes: int | None = None,
        combine: Literal["concatenate", "sum"] = "concatenate",
        without_stride: Stage | None = "conv5",
        learn_exponent: bool = False,
        classifier_batch_norm: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            trunk: Any trunk; where a stage is to lose its down-sampling, a changed copy of it is used.
            configuration: Letters of S, M and G, each at most once, in any order.
            dim: Length of a descriptor. Branches to concatenate share it evenly, branches to sum have each
                all of it.
            classes: Number of classes of the auxiliary classifier; ``None`` for none.
            combine: Concatenation or sum of the branches.
            without_stride: The stage that does not reduce the map: ``conv5`` as the paper says, ``conv4`` as
                one public implementation has it (both give 14 x 14 cells at 224 pixels; with ``conv4`` more
                of the trunk works at the higher resolution, for 1.7 times the operations), or ``None``.
            learn_exponent: Learn GeM's exponent, which the paper fixes at 3.
            classifier_batch_norm: Normalise over the batch before the classifier, as one public
                implementation does; it needs two images a batch in training.
            generator: Draws the linear layers' weights; torch's own one if ``None``.

        Raises:
            InvalidInput: The configuration or the combination is unknown, the dimension does not divide, or
                the trunk has no such stage.
        """
        super().__init__()
        letters = set(configuration)
        if not letters or letters - set("SMG") or len(letters) < len(configuration):
            raise InvalidInput(
                "the configuration of CGD must be letters of S, M and G, each at most once, SG for example, "
                f"not {configuration!r}"
            )
        if combine not in ("concatenate", "sum"):
            raise InvalidInput(f"combine must be concatenate or sum, not {combine!r}")
        shares = len(configuration) if combine == "concatenate" else 1
        if dim < 1 or dim % shares:
            raise InvalidInput(
                f"dim must be a positive multiple of {shares} to be shared by the branches {configuration}, "
                f"not {dim}"
            )
        if classes is not None and classes < 1:
            raise InvalidInput(f"the classifier needs at least one class, not {classes}")
        self.trunk = trunk if without_stride is None else trunk.keeping_resolution(without_stride)
        self.configuration = configuration
        self.combine: Literal["concatenate", "sum"] = combine
        self.dim = dim
        channels = trunk.channels[-1]
        self.poolings = nn.ModuleList(
            _pooling(letter, learn_exponent=learn_exponent) for letter in configuration
        )
        self.projections = nn.ModuleList(
            make_linear(channels, dim // shares, bias=False, generator=generator) for _ in configuration
        )
        self.classifier: nn.Linear | None = None
        self.classifier_norm: nn.BatchNorm1d | None = None
        if classes is not None:
            self.classifier = make_linear(channels, classes, bias=True, generator=generator)
            self.classifier_norm = nn.BatchNorm1d(channels) if classifier_batch_norm else None

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
        if self.combine == "sum":
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
