"""Normalised softmax: cross-entropy of temperature-scaled cosines between descriptors and class weights."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from resight.losses.associations import SingleCentre
from resight.losses.chunked import own_and_other_classes
from resight.losses.inputs import check_batch, check_sizes, class_weights, directions
from resight.losses.shard import ClassShard
from resight.losses.softplus import softplus
from resight.settings.bounds import Positive, checked

__all__ = ["NormalisedSoftmax", "normalised_softmax"]


def normalised_softmax(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    weights: Float[Tensor, "classes dim"],
    *,
    temperature: float,
    shard: ClassShard | None = None,
) -> Float[Tensor, ""]:
    """Returns the mean of ``-log softmax(cos / temperature)`` at each image's own class.

    Zhai and Wu, BMVC 2019; Qian et al., ICCV 2019, proposition 1, with λ = 1 / temperature. Descriptors and
    weights are made unit here.

    Raises:
        InvalidInput: Shapes that do not fit, or a label outside the classes.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> weights = torch.eye(3)[:2]
        >>> normalised_softmax(descriptors, labels, weights, temperature=1.0)
        tensor(0.7732)
    """
    labels = check_batch(descriptors, labels, weights, shard)
    own, rest = own_and_other_classes(
        directions(descriptors, 1 / temperature),
        class_weights(weights, descriptors),
        labels,
        SingleCentre(),
        shard=shard,
    )
    return softplus(rest - own).mean()


@final
class NormalisedSoftmax(nn.Module):
    """`normalised_softmax` with its class weights.

    Weights start uniform in ±1/√dim, as in Zhai and Wu's code.

    Attributes:
        weights: ``(classes, dim)``, learned.
    """

    kind: ClassVar = "normalised_softmax"
    by_class: ClassVar = ("weights",)
    shard: ClassShard | None = None

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        temperature: Positive = 0.05,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first weights.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            temperature: What cosines are divided by to be logits.
            generator: Draws the first weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim)
        self.temperature = temperature
        self.weights = nn.Parameter(torch.empty(classes, dim))
        bound = 1 / math.sqrt(dim)
        nn.init.uniform_(self.weights, -bound, bound, generator=generator)

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return normalised_softmax(
            descriptors, labels, self.weights, temperature=self.temperature, shard=self.shard
        )
