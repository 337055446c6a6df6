"""Triplet loss with Euclidean or squared distances, over tuples and over all triplets of a batch."""

from __future__ import annotations

from typing import ClassVar, Literal, final

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
from resight.settings.bounds import NotNegative, checked

__all__ = ["Distance", "Triplet", "TupleTriplet", "triplet", "triplet_tuples"]

Distance = Literal["euclidean", "squared"]
"""Which distance the hinge compares: Euclidean, or its square."""


def triplet(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    references: References | None = None,
    *,
    margin: float,
    distance: Distance,
    reduction: Reduction,
) -> Float[Tensor, ""]:
    """Returns the triplet loss over all triplets: ``max(0, D(a, p) − D(a, n) + margin)``.

    Schroff, Kalenichenko and Philbin 2015 (FaceNet), over every anchor a, positive p and negative n;
    ``active`` as in Hermans, Beyer and Leibe 2017, section 2 (batch all, mean of the non-zero terms). Memory
    grows with the number of positive pairs times the number of references.

    Args:
        descriptors: Unit L2 norm.
        labels: Their labels.
        references: What to take positives and negatives from instead of the batch itself.
        margin: By how much a negative must be farther than a positive.
        distance: Euclidean, or its square as FaceNet and GeM have it.
        reduction: Over all triplets.

    Raises:
        InvalidInput: The shapes do not belong together, or there is no descriptor.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> triplet(descriptors, labels, margin=0.1, distance="euclidean", reduction="active")
        tensor(0.1000)
    """
    pairs = compare(descriptors, labels, references)
    distances = squared_distances(pairs.queries, pairs.references)
    if distance == "euclidean":
        distances = root(distances)
    anchors, positives = pairs.positives.nonzero(as_tuple=True)
    hinges = (distances[anchors, positives, None] - distances[anchors] + margin).clamp(min=0)
    return reduce(hinges, pairs.negatives[anchors], reduction)


def triplet_tuples(
    anchors: Float[Tensor, "tuples dim"],
    positives: Float[Tensor, "tuples dim"],
    negatives: Float[Tensor, "tuples count dim"],
    *,
    margin: float,
    distance: Distance,
) -> Float[Tensor, ""]:
    """Returns the triplet loss of tuples of an anchor, its positive and its negatives, summed.

    ``Σ max(0, ‖a − p‖² − ‖a − n‖² + margin)`` over all negatives of all tuples, no mean, as GeM is trained
    end to end (the code of Radenović, Tolias and Chum 2018, with margin 0.5); Euclidean distances as an
    option.

    Args:
        anchors: Unit L2 norm.
        positives: One for each anchor.
        negatives: As many for each anchor.
        margin: By how much a negative must be farther than the positive.
        distance: Squared as theirs, or Euclidean, with gradient 0 at distance 0.

    Raises:
        InvalidInput: The shapes do not belong together.

    Example:
        >>> anchor, positive, negative = torch.eye(3)
        >>> triplet_tuples(anchor[None], positive[None], negative[None, None], margin=0.1, distance="squared")
        tensor(0.1000)
    """
    tuples = check_tuples(anchors, positives, negatives)
    near = (tuples.anchors - tuples.positives).square().sum(dim=-1)
    far = (tuples.anchors[:, None] - tuples.negatives).square().sum(dim=-1)
    if distance == "euclidean":
        near, far = root(near), root(far)
    return (near[:, None] - far + margin).clamp(min=0).sum()


@final
class Triplet(PairLoss):
    """Triplet loss over all triplets: `triplet`."""

    kind: ClassVar = "triplet"

    @checked
    def __init__(
        self,
        *,
        margin: NotNegative = 0.1,
        distance: Distance = "euclidean",
        reduction: Reduction = "active",
        normalise: Normalise = True,
    ) -> None:
        """Takes the settings.

        Args:
            margin: By how much a negative must be farther than a positive.
            distance: Euclidean, or its square.
            reduction: Which terms are averaged, or whether they are summed.
            normalise: Make descriptors unit first, as FaceNet and GeM do.

        Raises:
            InvalidInput: A setting is outside of its range.
        """
        super().__init__(normalise=normalise)
        self.margin = margin
        self.distance: Distance = distance
        self.reduction: Reduction = reduction

    def formula(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None,
    ) -> Float[Tensor, ""]:
        """Returns `triplet` of the batch."""
        return triplet(
            descriptors,
            labels,
            references,
            margin=self.margin,
            distance=self.distance,
            reduction=self.reduction,
        )


@final
class TupleTriplet(nn.Module):
    """Triplet loss over tuples: `triplet_tuples`."""

    kind: ClassVar = "tuple_triplet"
    takes_tuples: ClassVar = True

    @checked
    def __init__(
        self, *, margin: NotNegative = 0.1, distance: Distance = "squared", normalise: bool = True
    ) -> None:
        """Takes the settings.

        Args:
            margin: By how much a negative must be farther than the positive.
            distance: Squared, or Euclidean.
            normalise: Make descriptors unit first, as GeM is trained.

        Raises:
            InvalidInput: A setting is outside of its range.
        """
        super().__init__()
        self.normalise = normalise
        self.margin = margin
        self.distance: Distance = distance

    def forward(
        self,
        anchors: Float[Tensor, "tuples dim"],
        positives: Float[Tensor, "tuples dim"],
        negatives: Float[Tensor, "tuples count dim"],
    ) -> Float[Tensor, ""]:
        """Returns `triplet_tuples` of the tuples."""
        if self.normalise:
            anchors, positives, negatives = unit_tuples(anchors, positives, negatives)
        return triplet_tuples(anchors, positives, negatives, margin=self.margin, distance=self.distance)
