"""SoftTriple: softmax over classes of several centres, softly assigned, that a regulariser merges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from resight.losses.associations import Association, SoftCentres
from resight.losses.centre_spread import centre_spread, distinct_centres
from resight.losses.chunked import own_and_other_classes
from resight.losses.inputs import check_batch, check_sizes, class_weights, directions
from resight.losses.shard import ClassShard
from resight.losses.softplus import softplus
from resight.settings.bounds import Count, NotNegative, Positive, checked

__all__ = ["SoftTriple", "TripleLoss", "initial_centres", "soft_triple", "triple_loss"]


def soft_triple(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    centres: Float[Tensor, "classes centres dim"],
    *,
    scale: float,
    gamma: float,
    margin: float,
    tau: float,
    shard: ClassShard | None = None,
) -> Float[Tensor, ""]:
    """Returns the cross-entropy of relaxed similarities plus τ times the spread of the centres.

    Qian et al., ICCV 2019: an image's similarity to class c is ``S_c = Σ_k q_k x·w_ck`` with
    ``q = softmax_k(x·w_ck / γ)``; the loss is the cross-entropy of ``λ (S_c - δ [c = y])``. Descriptors and
    centres are made unit here. With one centre and τ = 0 it is normalised softmax at temperature 1/λ.

    Args:
        descriptors: Of any length.
        labels: 0 to classes - 1.
        centres: Of any length.
        scale: λ.
        gamma: γ, temperature of the assignment to centres.
        margin: δ, on the own class's similarity.
        tau: τ, weight of `centre_spread`; not computed where it is 0 or there is one centre a class.
        shard: Which classes the centres are of, where processes share them.

    Raises:
        InvalidInput: Shapes that do not fit, or a label outside the classes.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> centres = torch.eye(3)[torch.tensor([[0, 1], [2, 1]])]
        >>> soft_triple(descriptors, labels, centres, scale=20.0, gamma=0.1, margin=0.01, tau=0.2)
        tensor(0.4075)
    """
    association = SoftCentres(scale * gamma)
    return triple_loss(
        descriptors, labels, centres, association, scale=scale, margin=margin, tau=tau, shard=shard
    )


def triple_loss(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    centres: Float[Tensor, "classes centres dim"],
    association: Association,
    *,
    scale: float,
    margin: float,
    tau: float,
    shard: ClassShard | None = None,
) -> Float[Tensor, ""]:
    """Returns the loss that SoftTriple and HardTriple share, for any association with a class's centres."""
    labels = check_batch(descriptors, labels, centres, shard)
    own, rest = own_and_other_classes(
        directions(descriptors, scale),
        class_weights(centres, descriptors),
        labels,
        association,
        shard=shard,
    )
    loss = softplus(rest - own + scale * margin).mean()
    if tau == 0 or centres.shape[1] == 1:
        return loss
    spread = centre_spread(centres)
    if shard is not None:
        spread = shard.total(spread * (len(centres) / shard.classes))
    return loss + tau * spread


def initial_centres(
    classes: int, centres: int, dim: int, generator: torch.Generator | None
) -> Float[Tensor, "classes centres dim"]:
    """Returns centres uniform in ``±1/√(classes·centres)``.

    What ``kaiming_uniform_(a=√5)`` makes of the authors' ``(dim, classes·centres)`` matrix. Lengths do not
    enter the loss, but they set how far a step of the optimiser turns a centre.
    """
    bound = (classes * centres) ** -0.5
    return torch.empty(classes, centres, dim).uniform_(-bound, bound, generator=generator)


class TripleLoss(nn.Module, ABC):
    """`triple_loss` with its centres: what SoftTriple and HardTriple share.

    Attributes:
        centres: ``(classes, centres, dim)``, learned.
    """

    by_class: ClassVar = ("centres",)
    shard: ClassShard | None = None

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        centres: Count = 10,
        scale: Positive = 20.0,
        margin: NotNegative = 0.01,
        tau: NotNegative = 0.2,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first centres.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            centres: K, centres of a class.
            scale: λ, what similarities are multiplied by to be logits.
            margin: δ, taken from the own class's similarity.
            tau: τ, weight of the spread of a class's centres, which merges them; 0 leaves it out.
            generator: Draws the first centres; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim, centres)
        self.scale = scale
        self.margin = margin
        self.tau = tau
        self.centres = nn.Parameter(initial_centres(classes, centres, dim, generator))

    @abstractmethod
    def association(self) -> Association:
        """Returns how an image is associated with the centres of a class."""

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return triple_loss(
            descriptors,
            labels,
            self.centres,
            self.association(),
            scale=self.scale,
            margin=self.margin,
            tau=self.tau,
            shard=self.shard,
        )

    def distinct_centres(self, *, distance: float = 0.1) -> Int[Tensor, " classes"]:
        """Returns how many centres of each class are left, those closer than the distance counted as one."""
        return distinct_centres(self.centres, distance=distance)


@final
class SoftTriple(TripleLoss):
    """`soft_triple` with its centres.

    Defaults are the authors'; for Stanford Online Products they use 2 centres. More centres than images a
    class are of no use.
    """

    kind: ClassVar = "soft_triple"

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        centres: Count = 10,
        scale: Positive = 20.0,
        gamma: Positive = 0.1,
        margin: NotNegative = 0.01,
        tau: NotNegative = 0.2,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first centres.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            centres: K, centres of a class.
            scale: λ, what similarities are multiplied by to be logits.
            gamma: γ, temperature of the soft assignment to a class's centres.
            margin: δ, taken from the own class's similarity.
            tau: τ, weight of the spread of a class's centres, which merges them; 0 leaves it out.
            generator: Draws the first centres; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__(
            classes, dim, centres=centres, scale=scale, margin=margin, tau=tau, generator=generator
        )
        self.gamma = gamma

    def association(self) -> SoftCentres:
        """Returns the soft assignment, its temperature on the scale of the logits."""
        return SoftCentres(self.scale * self.gamma)
