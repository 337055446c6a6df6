"""Multi-similarity loss with its pair mining."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from resight.losses.pairs import Comparison, Normalise, PairLoss, References, compare, inner_products
from resight.settings.bounds import NotNegative, Positive, checked

__all__ = ["MultiSimilarity", "multi_similarity"]


def multi_similarity(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    references: References | None = None,
    *,
    alpha: float,
    beta: float,
    base: float,
    epsilon: float | None,
) -> Float[Tensor, ""]:
    """Returns the mean over all anchors of the multi-similarity loss.

    Wang, Han, Huang, Dong and Scott 2019, S the inner product::

        1/alpha log(1 + Σ_positives exp(−alpha (S − base))) + 1/beta log(1 + Σ_negatives exp(beta (S − base)))

    over the pairs their mining keeps: a negative closer than the anchor's farthest positive plus epsilon
    (``S > min_p S − epsilon``) and a positive farther than its closest negative plus epsilon
    (``S < max_n S + epsilon``). An anchor without a positive or without a negative keeps none and costs
    nothing.

    Args:
        descriptors: Unit L2 norm.
        labels: Their labels.
        references: What to take positives and negatives from instead of the batch itself.
        alpha: Sharpness over the positives.
        beta: Sharpness over the negatives.
        base: Similarity at which a pair weighs one half of what it can.
        epsilon: Slack of the mining; None keeps all pairs.

    Raises:
        InvalidInput: The shapes do not belong together, or there is no descriptor.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> multi_similarity(descriptors, labels, alpha=2.0, beta=50.0, base=0.5, epsilon=0.1)
        tensor(0.4378)
    """
    pairs = compare(descriptors, labels, references)
    similarities = inner_products(pairs.queries, pairs.references)
    positives, negatives = pairs.positives, pairs.negatives
    if epsilon is not None:
        positives, negatives = _mined(similarities.detach(), pairs, epsilon)
    attraction = _log_one_plus_sum(-alpha * (similarities - base), positives) / alpha
    repulsion = _log_one_plus_sum(beta * (similarities - base), negatives) / beta
    return (attraction + repulsion).mean()


@final
class MultiSimilarity(PairLoss):
    """Multi-similarity loss: `multi_similarity`."""

    kind: ClassVar = "multi_similarity"

    @checked
    def __init__(
        self,
        *,
        alpha: Positive = 2.0,
        beta: Positive = 50.0,
        base: float = 0.5,
        epsilon: NotNegative | None = 0.1,
        normalise: Normalise = True,
    ) -> None:
        """Takes the settings.

        Args:
            alpha: α, sharpness over the positives.
            beta: β, sharpness over the negatives.
            base: Similarity at which a pair weighs one half of what it can.
            epsilon: ε, slack of the mining in similarity; ``None`` keeps all pairs.
            normalise: Make descriptors unit first, as in the paper.

        Raises:
            InvalidInput: A setting is outside of its range.
        """
        super().__init__(normalise=normalise)
        self.alpha = alpha
        self.beta = beta
        self.base = base
        self.epsilon = epsilon

    def formula(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None,
    ) -> Float[Tensor, ""]:
        """Returns `multi_similarity` of the batch."""
        return multi_similarity(
            descriptors,
            labels,
            references,
            alpha=self.alpha,
            beta=self.beta,
            base=self.base,
            epsilon=self.epsilon,
        )


def _mined(
    similarities: Float[Tensor, "queries references"], pairs: Comparison, epsilon: float
) -> tuple[Bool[Tensor, "queries references"], Bool[Tensor, "queries references"]]:
    """Returns which positives and which negatives are kept."""
    farthest = similarities.masked_fill(~pairs.positives, torch.inf).amin(dim=1, keepdim=True)
    closest = similarities.masked_fill(~pairs.negatives, -torch.inf).amax(dim=1, keepdim=True)
    # Said by what is dropped: a NaN compares false, is kept, and shows in the loss instead of vanishing.
    easy_positives = similarities >= closest + epsilon
    easy_negatives = similarities <= farthest - epsilon
    return pairs.positives & ~easy_positives, pairs.negatives & ~easy_negatives


def _log_one_plus_sum(
    exponents: Float[Tensor, "queries references"], kept: Bool[Tensor, "queries references"]
) -> Float[Tensor, " queries"]:
    """Returns ``log(1 + Σ exp)`` over what is kept of each row, without overflow."""
    one = exponents.new_zeros(len(exponents), 1)
    return torch.cat([one, exponents.masked_fill(~kept, -torch.inf)], dim=1).logsumexp(dim=1)
