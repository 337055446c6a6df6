"""The losses of a recipe: one ``kind`` each with its settings, and how they become modules.

Defaults are those of the modules in `resight.losses`, where each is explained.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import nn

from resight import losses
from resight.losses.pairs import PairLoss
from resight.training.settings import Settings

__all__ = ["LossSettings", "PairLossSettings"]

_Reduction: TypeAlias = Literal["active", "mean", "sum"]


class Contrastive(Settings):
    """`resight.losses.Contrastive`."""

    kind: Literal["contrastive"]
    margin: PositiveFloat = 0.7
    reduction: _Reduction = "active"

    def build(self, classes: int, dim: int, *, seed: int) -> PairLoss:
        """Returns the module."""
        del classes, dim, seed
        return losses.Contrastive(margin=self.margin, reduction=self.reduction)


class Triplet(Settings):
    """`resight.losses.Triplet`."""

    kind: Literal["triplet"]
    margin: NonNegativeFloat = 0.1
    distance: Literal["squared", "euclidean"] = "euclidean"
    reduction: _Reduction = "active"

    def build(self, classes: int, dim: int, *, seed: int) -> PairLoss:
        """Returns the module."""
        del classes, dim, seed
        return losses.Triplet(margin=self.margin, distance=self.distance, reduction=self.reduction)


class BatchHardTriplet(Settings):
    """`resight.losses.BatchHardTriplet`."""

    kind: Literal["batch_hard_triplet"]
    margin: NonNegativeFloat = 0.1
    soft: bool = False

    def build(self, classes: int, dim: int, *, seed: int) -> PairLoss:
        """Returns the module."""
        del classes, dim, seed
        return losses.BatchHardTriplet(margin=self.margin, soft=self.soft)


class Margin(Settings):
    """`resight.losses.MarginLoss`; ``beta_per_class`` gives each class a boundary of its own."""

    kind: Literal["margin"]
    margin: NonNegativeFloat = 0.2
    beta: PositiveFloat = 1.2
    beta_per_class: bool = False
    learn_beta: bool = True
    nu: NonNegativeFloat = 0.0
    cutoff: PositiveFloat = 0.5
    nonzero_loss_cutoff: PositiveFloat = 1.4

    def build(self, classes: int, dim: int, *, seed: int) -> PairLoss:
        """Returns the module."""
        del dim
        return losses.MarginLoss(
            margin=self.margin,
            beta=self.beta,
            classes=classes if self.beta_per_class else None,
            learn_beta=self.learn_beta,
            nu=self.nu,
            cutoff=self.cutoff,
            nonzero_loss_cutoff=self.nonzero_loss_cutoff,
            seed=seed,
        )


class MultiSimilarity(Settings):
    """`resight.losses.MultiSimilarity`."""

    kind: Literal["multi_similarity"]
    alpha: PositiveFloat = 2.0
    beta: PositiveFloat = 50.0
    base: float = 0.5
    epsilon: NonNegativeFloat | None = 0.1

    def build(self, classes: int, dim: int, *, seed: int) -> PairLoss:
        """Returns the module."""
        del classes, dim, seed
        return losses.MultiSimilarity(alpha=self.alpha, beta=self.beta, base=self.base, epsilon=self.epsilon)


class SmoothAP(Settings):
    """`resight.losses.SmoothAP`."""

    kind: Literal["smooth_ap"]
    temperature: PositiveFloat = 0.01

    def build(self, classes: int, dim: int, *, seed: int) -> PairLoss:
        """Returns the module."""
        del classes, dim, seed
        return losses.SmoothAP(temperature=self.temperature)


PairLossSettings: TypeAlias = Annotated[
    Contrastive | Triplet | BatchHardTriplet | Margin | MultiSimilarity | SmoothAP,
    Field(discriminator="kind"),
]
"""Losses of pairs within a batch, which a memory can extend."""


class CrossBatchMemory(Settings):
    """`resight.losses.CrossBatchMemory` over a pair loss."""

    kind: Literal["cross_batch_memory"]
    loss: PairLossSettings
    size: PositiveInt
    warm_up: NonNegativeInt = 0
    batch_weight: NonNegativeFloat = 0.0

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.CrossBatchMemory(
            self.loss.build(classes, dim, seed=seed),
            self.size,
            dim,
            warm_up=self.warm_up,
            batch_weight=self.batch_weight,
        )


class NormalisedSoftmax(Settings):
    """`resight.losses.NormalisedSoftmax`."""

    kind: Literal["normalised_softmax"]
    temperature: PositiveFloat = 0.05

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.NormalisedSoftmax(
            classes, dim, temperature=self.temperature, generator=_generator(seed)
        )


class ProxyNCA(Settings):
    """`resight.losses.ProxyNCA`."""

    kind: Literal["proxy_nca"]
    scale: PositiveFloat = 9.0
    positive_in_denominator: bool = False

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.ProxyNCA(
            classes,
            dim,
            scale=self.scale,
            positive_in_denominator=self.positive_in_denominator,
            generator=_generator(seed),
        )


class ProxyAnchor(Settings):
    """`resight.losses.ProxyAnchor`."""

    kind: Literal["proxy_anchor"]
    scale: PositiveFloat = 32.0
    margin: NonNegativeFloat = 0.1

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.ProxyAnchor(
            classes, dim, scale=self.scale, margin=self.margin, generator=_generator(seed)
        )


class SoftTriple(Settings):
    """`resight.losses.SoftTriple`."""

    kind: Literal["soft_triple"]
    centres: PositiveInt = 10
    scale: PositiveFloat = 20.0
    gamma: PositiveFloat = 0.1
    margin: NonNegativeFloat = 0.01
    tau: NonNegativeFloat = 0.2

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.SoftTriple(
            classes,
            dim,
            centres=self.centres,
            scale=self.scale,
            gamma=self.gamma,
            margin=self.margin,
            tau=self.tau,
            generator=_generator(seed),
        )


class HardTriple(Settings):
    """`resight.losses.HardTriple`."""

    kind: Literal["hard_triple"]
    centres: PositiveInt = 10
    scale: PositiveFloat = 20.0
    margin: NonNegativeFloat = 0.01
    tau: NonNegativeFloat = 0.2

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.HardTriple(
            classes,
            dim,
            centres=self.centres,
            scale=self.scale,
            margin=self.margin,
            tau=self.tau,
            generator=_generator(seed),
        )


class ArcFace(Settings):
    """`resight.losses.ArcFace`."""

    kind: Literal["arcface"]
    scale: PositiveFloat = 64.0
    margin: NonNegativeFloat = 0.5
    rule: Literal["delg", "insightface"] = "insightface"
    learn_scale: bool = False

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.ArcFace(
            classes,
            dim,
            scale=self.scale,
            margin=self.margin,
            rule=self.rule,
            learn_scale=self.learn_scale,
            generator=_generator(seed),
        )


class SubCentreArcFace(Settings):
    """`resight.losses.SubCentreArcFace`."""

    kind: Literal["sub_centre_arcface"]
    centres: PositiveInt = 3
    scale: PositiveFloat = 64.0
    margin: NonNegativeFloat = 0.5
    rule: Literal["delg", "insightface"] = "insightface"

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.SubCentreArcFace(
            classes,
            dim,
            centres=self.centres,
            scale=self.scale,
            margin=self.margin,
            rule=self.rule,
            generator=_generator(seed),
        )


class CurricularFace(Settings):
    """`resight.losses.CurricularFace`."""

    kind: Literal["curricular_face"]
    scale: PositiveFloat = 64.0
    margin: NonNegativeFloat = 0.5

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        return losses.CurricularFace(
            classes, dim, scale=self.scale, margin=self.margin, generator=_generator(seed)
        )


class Classification(Settings):
    """`resight.losses.Classification`, on logits."""

    kind: Literal["classification"]
    temperature: PositiveFloat = 0.5
    smoothing: NonNegativeFloat = 0.1

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        del classes, dim, seed
        return losses.Classification(temperature=self.temperature, smoothing=self.smoothing)


class Mean(Settings):
    """`resight.losses.Mean`, on errors."""

    kind: Literal["mean"]

    def build(self, classes: int, dim: int, *, seed: int) -> nn.Module:
        """Returns the module."""
        del classes, dim, seed
        return losses.Mean()


LossSettings: TypeAlias = Annotated[
    Contrastive
    | Triplet
    | BatchHardTriplet
    | Margin
    | MultiSimilarity
    | SmoothAP
    | CrossBatchMemory
    | NormalisedSoftmax
    | ProxyNCA
    | ProxyAnchor
    | SoftTriple
    | HardTriple
    | ArcFace
    | SubCentreArcFace
    | CurricularFace
    | Classification
    | Mean,
    Field(discriminator="kind"),
]
"""Any loss, by its ``kind``."""


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
