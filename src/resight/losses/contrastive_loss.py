"""Contrastive loss, over tuples as GeM is trained and over all pairs of a batch."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from resight.losses.pairs import (
    Normalise,
    PairLoss,
    Reduction,
    References,
    compare,
    reduce,
    root,
    squared_distances,
)
from resight.losses.tuples import check_tuples, unit_tuples
from resight.settings.bounds import NotNegative, Positive, checked

__all__ = ["Contrastive", "TupleContrastive", "contrastive", "contrastive_tuples"]


def contrastive(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    references: References | None = None,
    *,
    margin: float,
    reduction: Reduction,
) -> Float[Tensor, ""]:
    """Returns the contrastive loss over all pairs.

    Hadsell, Chopra and LeCun 2006, equation 4: a positive pair costs ``½D²``, a negative one
    ``½max(0, margin − D)²``, D the Euclidean distance. Within a batch each pair counts in both directions.

    Args:
        descriptors: Unit L2 norm.
        labels: Their labels.
        references: What to compare with instead of the batch itself.
        margin: Distance from which on a negative pair costs nothing.
        reduction: ``active``: mean over the positive pairs that cost something plus mean over the negative
            ones that do, so that the many negatives do not drown the few positives; ``mean``: over all pairs;
            ``sum``: over all pairs, as in GeM's tuples.

    Raises:
        InvalidInput: The shapes do not belong together, or there is no descriptor.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> contrastive(descriptors, labels, margin=1.5, reduction="active")
        tensor(1.0037)
    """
    pairs = compare(descriptors, labels, references)
    squares = squared_distances(pairs.queries, pairs.references)
    attraction = squares / 2
    repulsion = (margin - root(squares)).clamp(min=0).square() / 2
    if reduction == "active":
        return reduce(attraction, pairs.positives, "active") + reduce(repulsion, pairs.negatives, "active")
    terms = torch.where(pairs.positives, attraction, repulsion)
    return reduce(terms, pairs.positives | pairs.negatives, reduction)


def contrastive_tuples(
    anchors: Float[Tensor, "tuples dim"],
    positives: Float[Tensor, "tuples dim"],
    negatives: Float[Tensor, "tuples count dim"],
    *,
    margin: float,
    epsilon: float,
) -> Float[Tensor, ""]:
    """Returns the contrastive loss of tuples of an anchor, its positive and its negatives, summed.

    Radenović, Tolias and Chum 2018, with the distance of their code:
    ``D = sqrt(Σ (anchor − other + epsilon)²)``, a positive costs ``½D²``, a negative ``½max(0, margin −
    D)²``. A sum over all pairs of all tuples, no mean. The gradient of D at 0 is 0.

    Args:
        anchors: Unit L2 norm.
        positives: One for each anchor.
        negatives: As many for each anchor.
        margin: 0.7 for AlexNet, 0.75 for VGG, 0.85 for ResNet-101 in the authors' experiments.
        epsilon: Added to each difference.

    Raises:
        InvalidInput: The shapes do not belong together.

    Example:
        >>> anchor, positive, negative = torch.eye(3)
        >>> contrastive_tuples(anchor[None], positive[None], negative[None, None], margin=1.5, epsilon=0.0)
        tensor(1.0037)
    """
    tuples = check_tuples(anchors, positives, negatives)
    near = (tuples.anchors - tuples.positives + epsilon).square().sum(dim=-1)
    far = root((tuples.anchors[:, None] - tuples.negatives + epsilon).square().sum(dim=-1))
    return near.sum() / 2 + (margin - far).clamp(min=0).square().sum() / 2


@final
class Contrastive(PairLoss):
    """Contrastive loss over all pairs: `contrastive`."""

    kind: ClassVar = "contrastive"

    @checked
    def __init__(
        self, *, margin: Positive = 0.7, reduction: Reduction = "active", normalise: Normalise = True
    ) -> None:
        """Takes the settings.

        Args:
            margin: Distance from which on a negative pair costs nothing.
            reduction: Which terms are averaged, or whether they are summed.
            normalise: Make descriptors unit first, as GeM is trained (Hadsell et al. do not).

        Raises:
            InvalidInput: A setting is outside of its range.
        """
        super().__init__(normalise=normalise)
        self.margin = margin
        self.reduction: Reduction = reduction

    def formula(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None,
    ) -> Float[Tensor, ""]:
        """Returns `contrastive` of the batch."""
        return contrastive(descriptors, labels, references, margin=self.margin, reduction=self.reduction)


@final
class TupleContrastive(nn.Module):
    """Contrastive loss over tuples: `contrastive_tuples`."""

    kind: ClassVar = "tuple_contrastive"
    takes_tuples: ClassVar = True

    @checked
    def __init__(
        self, *, margin: Positive = 0.7, epsilon: NotNegative = 1e-6, normalise: bool = True
    ) -> None:
        """Takes the settings.

        Args:
            margin: Distance from which on a negative costs nothing.
            epsilon: Added to each difference of two numbers, as in the authors' code.
            normalise: Make descriptors unit first, as GeM is trained.

        Raises:
            InvalidInput: A setting is outside of its range.
        """
        super().__init__()
        self.normalise = normalise
        self.margin = margin
        self.epsilon = epsilon

    def forward(
        self,
        anchors: Float[Tensor, "tuples dim"],
        positives: Float[Tensor, "tuples dim"],
        negatives: Float[Tensor, "tuples count dim"],
    ) -> Float[Tensor, ""]:
        """Returns `contrastive_tuples` of the tuples."""
        if self.normalise:
            anchors, positives, negatives = unit_tuples(anchors, positives, negatives)
        return contrastive_tuples(anchors, positives, negatives, margin=self.margin, epsilon=self.epsilon)
