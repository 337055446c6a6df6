"""Smooth-AP: average precision with the step functions of the ranks smoothed."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from resight.losses.pairs import Normalise, PairLoss, References, compare, inner_products
from resight.settings.bounds import Positive, checked

__all__ = ["SmoothAP", "smooth_ap"]


def smooth_ap(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    references: References | None = None,
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """Returns one minus the smoothed average precision, averaged over the queries that have a positive.

    Brown, Xie, Kalogeiton and Zisserman 2020. For a query with positives P and negatives N, S the
    inner products and ``G(x) = 1/(1 + exp(−x/temperature))``::

        AP = 1/|P| Σ_{i in P} (1 + Σ_{j in P, j≠i} G(S_j − S_i)) / (1 + Σ_{j in P or N, j≠i} G(S_j − S_i))

    The query itself is not among its positives; the authors' code counts it (pass the descriptors as
    references without ``own`` for that). Classes may be of different sizes. Memory grows with the number of
    positive pairs times the number of references.

    Args:
        descriptors: Unit L2 norm.
        labels: Their labels.
        references: What is ranked instead of the batch itself.
        temperature: Width of the smoothed step.

    Raises:
        InvalidInput: The shapes do not belong together, or there is no descriptor.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> smooth_ap(descriptors, labels, temperature=0.1)
        tensor(0.3333)
    """
    pairs = compare(descriptors, labels, references)
    similarities = inner_products(pairs.queries, pairs.references)
    queries, answers = pairs.positives.nonzero(as_tuple=True)
    ahead = torch.sigmoid((similarities[queries] - similarities[queries, answers, None]) / temperature)
    itself = torch.arange(similarities.shape[1], device=answers.device) == answers[:, None]
    better_positives = ahead.masked_fill(itself | ~pairs.positives[queries], 0).sum(dim=1)
    better_negatives = ahead.masked_fill(~pairs.negatives[queries], 0).sum(dim=1)
    missed = better_negatives / (1 + better_positives + better_negatives)
    counts = pairs.positives.sum(dim=1)
    return (missed / counts[queries]).sum() / (counts > 0).sum().clamp(min=1)


@final
class SmoothAP(PairLoss):
    """Smoothed average precision as a loss: `smooth_ap`."""

    kind: ClassVar = "smooth_ap"

    @checked
    def __init__(self, *, temperature: Positive = 0.01, normalise: Normalise = True) -> None:
        """Takes the settings.

        Args:
            temperature: Width of the smoothed step, in similarity.
            normalise: Make descriptors unit first, as in the paper, whose similarity is the cosine.

        Raises:
            InvalidInput: The temperature is not positive.
        """
        super().__init__(normalise=normalise)
        self.temperature = temperature

    def formula(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None,
    ) -> Float[Tensor, ""]:
        """Returns `smooth_ap` of the batch."""
        return smooth_ap(descriptors, labels, references, temperature=self.temperature)
