"""Batch-hard triplet loss: of each anchor only its farthest positive and its nearest negative."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional

from resight.losses.pairs import Normalise, PairLoss, References, compare, distances
from resight.settings.bounds import NotNegative, checked

__all__ = ["BatchHardTriplet", "batch_hard_triplet"]


def batch_hard_triplet(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    references: References | None = None,
    *,
    margin: float,
    soft: bool,
) -> Float[Tensor, ""]:
    """Returns the mean over all anchors of ``max(0, max_p D(a, p) − min_n D(a, n) + margin)``.

    Hermans, Beyer and Leibe 2017, equation 5, with the Euclidean distance, as CGD is trained (Jun et al.
    2019). The mean is over all anchors, those that cost nothing included; an anchor without a positive or
    without a negative costs nothing. Where several are equally hard the gradient is shared among them.

    Args:
        descriptors: Unit L2 norm.
        labels: Their labels.
        references: What to take positives and negatives from instead of the batch itself.
        margin: By how much the nearest negative must be farther than the farthest positive.
        soft: ``log(1 + exp(·))`` of the difference instead of the hinge, without a margin (same paper,
            section 2).

    Raises:
        InvalidInput: The shapes do not belong together, or there is no descriptor.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> batch_hard_triplet(descriptors, labels, margin=0.3, soft=False)
        tensor(0.2000)
    """
    pairs = compare(descriptors, labels, references)
    apart = distances(pairs.queries, pairs.references)
    farthest = apart.masked_fill(~pairs.positives, -torch.inf).amax(dim=1)
    nearest = apart.masked_fill(~pairs.negatives, torch.inf).amin(dim=1)
    complete = pairs.positives.any(dim=1) & pairs.negatives.any(dim=1)
    differences = torch.where(complete, farthest - nearest, 0)
    terms = functional.softplus(differences) if soft else (differences + margin).clamp(min=0)
    return torch.where(complete, terms, 0).mean()


@final
class BatchHardTriplet(PairLoss):
    """Batch-hard triplet loss: `batch_hard_triplet`."""

    kind: ClassVar = "batch_hard_triplet"

    @checked
    def __init__(self, *, margin: NotNegative = 0.1, soft: bool = False, normalise: Normalise = True) -> None:
        """Takes the settings.

        Args:
            margin: By how much the nearest negative must be farther than the farthest positive.
            soft: Take the softplus of the difference, without a margin, instead of the hinge.
            normalise: Make descriptors unit first, as CGD does (Hermans et al. do not).

        Raises:
            InvalidInput: The margin is negative.
        """
        super().__init__(normalise=normalise)
        self.margin = margin
        self.soft = soft

    def formula(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None,
    ) -> Float[Tensor, ""]:
        """Returns `batch_hard_triplet` of the batch."""
        return batch_hard_triplet(descriptors, labels, references, margin=self.margin, soft=self.soft)
