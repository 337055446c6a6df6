"""ArcFace and its form with several sub-centres a class: softmax with an angular margin at the own class."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from resight.losses.associations import NearestCentre, SingleCentre
from resight.losses.chunked import own_and_other_classes
from resight.losses.inputs import check_batch, check_sizes, class_weights, directions
from resight.losses.margins import AngularMargin, MarginRule, with_margin
from resight.losses.shard import ClassShard
from resight.losses.softplus import softplus
from resight.settings.bounds import Count, Positive, checked

__all__ = ["ArcFace", "SubCentreArcFace", "arcface"]


def arcface(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    weights: Float[Tensor, "classes *centres dim"],
    *,
    scale: float | Float[Tensor, ""],
    margin: float,
    rule: MarginRule,
    shard: ClassShard | None = None,
) -> Float[Tensor, ""]:
    """Returns the mean cross-entropy of scaled cosines, the own class's with an angular margin.

    Deng et al., CVPR 2019, equation 3: the mean of ``-log(e^(s cos(θ_y + m)) / (e^(s cos(θ_y + m)) +
    Σ_(j≠y) e^(s cos θ_j)))``, θ_j the angle between a descriptor and the weights of class j, y its own class.
    With an axis of centres the cosine of a class is that of its nearest
    centre (Deng et al., ECCV 2020, sub-centre ArcFace). Descriptors and weights are made unit here.

    Args:
        descriptors: Of any length.
        labels: 0 to classes - 1.
        weights: One or several weights a class.
        scale: s of the logits, a number or a learned tensor (γ of DELG).
        margin: Radians.
        rule: What happens where angle and margin exceed π together; see `resight.losses.margins`.
        shard: Which classes the weights are of, where processes share them.

    Raises:
        InvalidInput: Shapes that do not fit, or a label outside the classes.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> weights = torch.eye(3)[:2]
        >>> arcface(descriptors, labels, weights, scale=8.0, margin=0.2, rule="delg")
        tensor(3.7883)
    """
    labels = check_batch(descriptors, labels, weights, shard)
    association = SingleCentre() if weights.ndim == 2 else NearestCentre()
    own, rest = own_and_other_classes(
        directions(descriptors, scale),
        class_weights(weights, descriptors),
        labels,
        association,
        shard=shard,
    )
    return softplus(rest - scale * with_margin(own / scale, margin, rule)).mean()


@final
class ArcFace(nn.Module):
    """`arcface` with its class weights.

    Defaults are InsightFace's; DELG's are ``scale=45.25, margin=0.1, rule="delg"``, in its paper with the
    scale learned. Weights start Glorot-uniform, as DELG's.

    Attributes:
        weights: ``(classes, dim)``, learned.
        scale: A number, or a learned scalar.
    """

    kind: ClassVar = "arcface"
    by_class: ClassVar = ("weights",)
    shard: ClassShard | None = None

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        scale: Positive = 64.0,
        margin: AngularMargin = 0.5,
        rule: MarginRule = "insightface",
        learn_scale: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first weights.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            scale: s, what cosines are multiplied by to be logits.
            margin: m, added to the angle at the own class, radians.
            rule: What happens where angle and margin exceed π together, see `resight.losses.margins`.
            learn_scale: Learn s, which then starts at ``scale``.
            generator: Draws the first weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim)
        self.scale: float | Tensor = nn.Parameter(torch.tensor(float(scale))) if learn_scale else scale
        self.margin = margin
        self.rule: MarginRule = rule
        self.weights = nn.Parameter(torch.empty(classes, dim))
        nn.init.xavier_uniform_(self.weights, generator=generator)

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return arcface(
            descriptors,
            labels,
            self.weights,
            scale=self.scale,
            margin=self.margin,
            rule=self.rule,
            shard=self.shard,
        )


@final
class SubCentreArcFace(nn.Module):
    """`arcface` with several weights a class, of which the nearest counts.

    Deng et al., ECCV 2020: sub-centres take up wrongly labelled and unusual images. Weights start
    Glorot-uniform over all centres.

    Attributes:
        weights: ``(classes, centres, dim)``, learned.
    """

    kind: ClassVar = "sub_centre_arcface"
    by_class: ClassVar = ("weights",)
    shard: ClassShard | None = None

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        centres: Count = 3,
        scale: Positive = 64.0,
        margin: AngularMargin = 0.5,
        rule: MarginRule = "insightface",
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first weights.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            centres: K, weights of a class.
            scale: s, what cosines are multiplied by to be logits.
            margin: m, added to the angle at the own class, radians.
            rule: What happens where angle and margin exceed π together, see `resight.losses.margins`.
            generator: Draws the first weights; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim, centres)
        self.scale = scale
        self.margin = margin
        self.rule: MarginRule = rule
        initial = nn.init.xavier_uniform_(torch.empty(classes * centres, dim), generator=generator)
        self.weights = nn.Parameter(initial.view(classes, centres, dim))

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return arcface(
            descriptors,
            labels,
            self.weights,
            scale=self.scale,
            margin=self.margin,
            rule=self.rule,
            shard=self.shard,
        )
