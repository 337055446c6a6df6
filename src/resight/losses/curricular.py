"""CurricularFace: an angular margin, and other classes that weigh more the harder and the later they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn
from torch.nn import functional

from resight.losses.associations import SingleCentre
from resight.losses.chunked import own_and_other_classes
from resight.losses.inputs import check_batch, check_sizes, class_weights, directions
from resight.losses.margins import AngularMargin, cosine_of_sum, with_margin
from resight.losses.shard import ClassShard, own_rows
from resight.losses.softplus import softplus
from resight.settings.bounds import Positive, checked

__all__ = ["CurricularFace", "curricular_face", "next_t"]

_MOMENTUM = 0.01


@final
@dataclass(frozen=True, slots=True)
class HardClasses:
    """Multiplies the scores of hard classes by ``t + cosine``.

    A class is hard for an image when its cosine exceeds that of the own class with the margin. No gradient
    goes through that comparison.

    Attributes:
        thresholds: Cosine of the own class's angle plus margin, one an image.
        t: The curriculum, 0 at first.
        scale: Of the scores.
    """

    thresholds: Float[Tensor, " batch"]
    t: Float[Tensor, ""]
    scale: float

    def logits(self, scores: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Returns ``s·z·(t + z)`` for hard classes of cosine z, ``s·z`` for the rest."""
        return torch.where(self._hard(scores), scores * (self.t + scores / self.scale), scores)

    def slopes(self, scores: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Returns ``t + 2z`` for hard classes, 1 for the rest."""
        return torch.where(self._hard(scores), self.t + 2 * scores / self.scale, 1.0)

    def _hard(self, scores: Float[Tensor, "batch classes"]) -> Bool[Tensor, "batch classes"]:
        return scores / self.scale > self.thresholds[:, None]


def curricular_face(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    weights: Float[Tensor, "classes dim"],
    t: Float[Tensor, ""],
    *,
    scale: float,
    margin: float,
    update: bool,
    shard: ClassShard | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Returns the loss of a batch and the curriculum's t that it was computed with.

    Huang et al., CVPR 2020, as used with DOLG: the own class's cosine gets the margin by the rule
    ``insightface``; a class j with ``cos θ_j > cos(θ_y + m)`` gets ``cos θ_j·(t + cos θ_j)``.

    Args:
        descriptors: Of any length.
        labels: 0 to classes - 1.
        weights: Of any length.
        t: The curriculum so far; 0 at first.
        scale: s of the logits.
        margin: Radians.
        update: Move t on first, by `next_t`, as in training.
        shard: Which classes the weights are of, where processes share them.

    Raises:
        InvalidInput: Shapes that do not fit, or a label outside the classes.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> weights, t = torch.eye(3)[:2], torch.zeros(())
        >>> curricular_face(descriptors, labels, weights, t, scale=8.0, margin=0.2, update=True)
        (tensor(3.7972), tensor(0.0033))
    """
    labels = check_batch(descriptors, labels, weights, shard)
    with torch.no_grad():
        images = directions(descriptors, 1.0)
        own_weights = functional.normalize(own_rows(weights, labels, shard).to(images.dtype), dim=1)
        cosines = (images * own_weights).sum(dim=1)
        # A copy: the module moves its own t on before the gradient is asked for.
        t = t.to(images.dtype, copy=True)
        if update:
            t = next_t(t, cosines)
    emphasis = HardClasses(cosine_of_sum(cosines, margin), t, scale)
    own, rest = own_and_other_classes(
        directions(descriptors, scale),
        class_weights(weights, descriptors),
        labels,
        SingleCentre(),
        emphasis=emphasis,
        shard=shard,
    )
    loss = softplus(rest - scale * with_margin(own / scale, margin, "insightface")).mean()
    return loss, t


def next_t(t: Float[Tensor, ""], own_cosines: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Returns ``0.01·mean(cos θ_y) + 0.99·t`` (Huang et al. 2020)."""
    return _MOMENTUM * own_cosines.mean() + (1 - _MOMENTUM) * t


@final
class CurricularFace(nn.Module):
    """`curricular_face` with its class weights and its curriculum.

    t is a buffer: it travels in the state, and a resumed run goes on where the other ended. It moves in
    training mode only. Weights start normal with standard deviation 0.01, as in the authors' code.

    Attributes:
        weights: ``(classes, dim)``, learned.
        t: Scalar, 0 at first.
    """

    kind: ClassVar = "curricular_face"
    by_class: ClassVar = ("weights",)
    shard: ClassShard | None = None
    t: Tensor

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        scale: Positive = 64.0,
        margin: AngularMargin = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first weights.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            scale: s, what cosines are multiplied by to be logits.
            margin: m, added to the angle at the own class, radians.
            generator: Draws the first weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim)
        self.scale = scale
        self.margin = margin
        self.register_buffer("t", torch.zeros(()))
        self.weights = nn.Parameter(torch.empty(classes, dim))
        nn.init.normal_(self.weights, std=0.01, generator=generator)

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar; moves t on in training mode."""
        loss, t = curricular_face(
            descriptors,
            labels,
            self.weights,
            self.t,
            scale=self.scale,
            margin=self.margin,
            update=self.training,
            shard=self.shard,
        )
        self.t.copy_(t)
        return loss
