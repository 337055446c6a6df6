"""Margin loss with distance-weighted sampling of the negatives."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.losses.pairs import Normalise, PairLoss, References, compare, distances
from resight.settings.bounds import NotNegative, Number, Positive, checked

__all__ = ["MarginLoss", "distance_weighted_negatives", "log_sampling_weights", "margin_loss"]

_SMALLEST = 1e-12
"""Floor of ``1 − D²/4``, which is 0 for opposite unit vectors."""


def margin_loss(
    apart: Float[Tensor, "queries references"],
    positive_pairs: Int[Tensor, "positives 2"],
    negative_pairs: Int[Tensor, "negatives 2"],
    beta: Float[Tensor, " queries"],
    *,
    margin: float,
) -> Float[Tensor, ""]:
    """Returns the margin loss of the given pairs, averaged over those that cost something.

    Wu, Manmatha, Smola and Krähenbühl 2017, section 4.2: a positive pair costs ``max(0, D − beta + margin)``,
    a negative one ``max(0, beta − D + margin)``.

    Args:
        apart: Euclidean distances.
        positive_pairs: Rows and columns of ``apart``; a pair may come several times and then counts as often.
        negative_pairs: Likewise.
        beta: The boundary between positive and negative distances, for each query.
        margin: Half the width of the band about the boundary.

    Example:
        >>> apart, beta = torch.tensor([[0.0, 1.3, 0.9]]), torch.tensor([1.2])
        >>> margin_loss(apart, torch.tensor([[0, 1]]), torch.tensor([[0, 2]]), beta, margin=0.2)
        tensor(0.4000)
    """
    queries, references = positive_pairs.unbind(dim=1)
    attraction = (apart[queries, references] - beta[queries] + margin).clamp(min=0)
    queries, references = negative_pairs.unbind(dim=1)
    repulsion = (beta[queries] - apart[queries, references] + margin).clamp(min=0)
    active = (attraction > 0).sum() + (repulsion > 0).sum()
    return (attraction.sum() + repulsion.sum()) / active.clamp(min=1)


def log_sampling_weights(
    apart: Float[Tensor, "queries references"],
    negatives: Bool[Tensor, "queries references"],
    dim: int,
    *,
    cutoff: float,
    nonzero_loss_cutoff: float,
) -> Float[Tensor, "queries references"]:
    """Returns the logarithm, up to a constant, of how probable each reference is as a query's negative.

    Wu et al. 2017, section 4.1: inverse to the density of distances of random points on the unit sphere,
    ``q(D) ∝ D^(dim−2) (1 − D²/4)^((dim−3)/2)``. float64; minus infinity where the reference is never drawn.

    Args:
        apart: Euclidean distances of unit vectors.
        negatives: Which pairs are negative.
        dim: Of the descriptors.
        cutoff: Nearer negatives weigh as if they were this far: very near ones are often wrong labels or
            noise.
        nonzero_loss_cutoff: Negatives from here on are never drawn; at the start they cost nothing.
    """
    distance = apart.detach().double()
    clipped = distance.clamp(min=cutoff)
    flatness = (1 - clipped.square() / 4).clamp(min=_SMALLEST)
    log_weights = (2 - dim) * clipped.log() - (dim - 3) / 2 * flatness.log()
    drawable = negatives & (distance < nonzero_loss_cutoff)
    return log_weights.masked_fill(~drawable, -torch.inf)


def distance_weighted_negatives(
    log_weights: Float[Tensor, "queries references"],
    counts: Int[Tensor, " queries"],
    generator: torch.Generator,
) -> Int[Tensor, "drawn 2"]:
    """Returns pairs of a query and a negative, as many for each query as asked for, drawn with replacement.

    A query none of whose references may be drawn gets none. The weights of a query are scaled by their own
    largest, so that a query whose negatives are all far still draws among them.

    Args:
        log_weights: As `log_sampling_weights` returns them.
        counts: How many are wanted for each query.
        generator: Of the CPU: the same state draws the same on every device.
    """
    rows = (torch.isfinite(log_weights).any(dim=1) & (counts > 0)).nonzero()[:, 0]
    if len(rows) == 0:
        return torch.empty(0, 2, dtype=torch.int64, device=log_weights.device)
    wanted = counts[rows].cpu()
    weights = log_weights[rows].softmax(dim=1).cpu()
    drawn = torch.multinomial(weights, int(wanted.max()), replacement=True, generator=generator)
    kept = torch.arange(drawn.shape[1])[None, :] < wanted[:, None]
    queries = rows.cpu()[:, None].expand_as(drawn)
    return torch.stack([queries[kept], drawn[kept]], dim=1).to(log_weights.device)


@final
class MarginLoss(PairLoss):
    """Margin loss over all positive pairs, each with one negative drawn by distance: `margin_loss`.

    What is drawn depends only on the seed, on how often the module was called while training (a buffer, so
    that a resumed run draws what an uninterrupted one does) and on the batch in its order.

    Attributes:
        beta: The boundary ``(1,)``, or one for each class ``(classes,)``; a parameter where it is learned,
            else a buffer.
        draws: int64, how often negatives were drawn while training.
    """

    kind: ClassVar = "margin"
    handed_if: ClassVar = {"classes": "beta_per_class"}
    beta: Tensor
    draws: Tensor

    @checked
    def __init__(
        self,
        *,
        classes: int | None = None,
        margin: NotNegative = 0.2,
        beta: Positive = 1.2,
        beta_per_class: bool = False,
        learn_beta: bool = True,
        nu: NotNegative = 0.0,
        cutoff: Positive = 0.5,
        nonzero_loss_cutoff: Positive = 1.4,
        seed: Number = 0,
        normalise: Normalise = True,
    ) -> None:
        """Takes the settings.

        Args:
            classes: Give each of so many classes a boundary of its own; labels are then 0 to classes − 1.
            margin: α, half the width of the band about the boundary.
            beta: β, the boundary at the start.
            beta_per_class: Give each class a boundary of its own: for recipes, which know their classes. In
                Python ``classes`` alone says so.
            learn_beta: Whether the boundary is a parameter.
            nu: ν, weight of the mean boundary of the positive pairs' anchors, added to the loss (Wu et al.
                2017, section 4.2: a larger one keeps the boundary small).
            cutoff: Distance below which negatives are sampled as if they were that far.
            nonzero_loss_cutoff: Distance from which on negatives are never sampled.
            seed: Of the sampling.
            normalise: Make descriptors unit first, as in the paper, which samples by distances on the unit
                sphere.

        Raises:
            InvalidInput: A setting is outside of its range.
        """
        super().__init__(normalise=normalise)
        if (beta_per_class or classes is not None) and (classes is None or classes < 1):
            raise InvalidInput(f"a boundary for each class needs at least one class, not {classes}")
        self.margin = margin
        self.nu = nu
        self.cutoff = cutoff
        self.nonzero_loss_cutoff = nonzero_loss_cutoff
        self.seed = seed
        start = torch.full((classes or 1,), float(beta))
        if learn_beta:
            self.beta = nn.Parameter(start)
        else:
            self.register_buffer("beta", start)
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def formula(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None,
    ) -> Float[Tensor, ""]:
        """Returns `margin_loss` of all positive pairs and of one drawn negative for each.

        Raises:
            InvalidInput: The shapes do not belong together, there is no descriptor, or a label is not that of
                a class with a boundary.
        """
        pairs = compare(descriptors, labels, references)
        apart = distances(pairs.queries, pairs.references)
        beta = self._boundaries(pairs.labels).to(apart.dtype)
        log_weights = log_sampling_weights(
            apart,
            pairs.negatives,
            descriptors.shape[1],
            cutoff=self.cutoff,
            nonzero_loss_cutoff=self.nonzero_loss_cutoff,
        )
        positives = pairs.positives.nonzero()
        drawn = distance_weighted_negatives(log_weights, pairs.positives.sum(dim=1), self._generator())
        loss = margin_loss(apart, positives, drawn, beta, margin=self.margin)
        return loss + self.nu * beta[positives[:, 0]].sum() / max(1, len(positives))

    def _boundaries(self, labels: Integer[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Returns the boundary of each label's class."""
        classes = len(self.beta)
        if classes == 1:
            return self.beta.expand(len(labels))
        if int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise InvalidInput(
                f"a margin loss of {classes} classes takes labels from 0 to {classes - 1}, "
                f"got {int(labels.min())} to {int(labels.max())}"
            )
        return self.beta[labels]

    def _generator(self) -> torch.Generator:
        """Returns the generator of this call, and counts the call while training."""
        # torch's generator takes only the low 32 bits of a seed: they are mixed from both numbers first.
        mixed = np.random.SeedSequence((self.seed, int(self.draws))).generate_state(1)
        if self.training:
            self.draws += 1
        return torch.Generator().manual_seed(int(mixed[0]))
