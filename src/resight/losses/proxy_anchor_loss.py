"""Proxy-Anchor: every proxy is an anchor that the batch's images are pulled to or pushed from."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from resight.losses.associations import SingleCentre
from resight.losses.chunked import own_and_other_images
from resight.losses.inputs import check_batch, check_sizes, class_weights, directions
from resight.losses.shard import ClassShard
from resight.losses.softplus import softplus
from resight.settings.bounds import NotNegative, Positive, checked

__all__ = ["ProxyAnchor", "proxy_anchor"]


def proxy_anchor(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    proxies: Float[Tensor, "classes dim"],
    *,
    scale: float,
    margin: float,
    shard: ClassShard | None = None,
) -> Float[Tensor, ""]:
    """Returns the mean pull of the batch's proxies plus the mean push of all proxies.

    Kim et al., CVPR 2020, equation 4: with s the cosine, α the scale and δ the margin,
    ``mean over proxies p with positives of log(1 + Σ_(x positive) exp(-α (s(x, p) - δ)))
    + mean over all p of log(1 + Σ_(x negative) exp(α (s(x, p) + δ)))``.

    Raises:
        InvalidInput: Shapes that do not fit, or a label outside the classes.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> proxies = torch.eye(3)[[0, 2]]
        >>> proxy_anchor(descriptors, labels, proxies, scale=8.0, margin=0.1)
        tensor(2.0195)
    """
    labels = check_batch(descriptors, labels, proxies, shard)
    own, others = own_and_other_images(
        directions(descriptors, scale),
        class_weights(proxies, descriptors),
        labels,
        SingleCentre(),
        shard=shard,
    )
    present = torch.unique(labels)
    members = present[:, None] == labels
    pulls = torch.where(members, scale * margin - own, -torch.inf).logsumexp(dim=1)
    pushes = softplus(others + scale * margin)
    return softplus(pulls).mean() + (pushes.mean() if shard is None else shard.mean(pushes))


@final
class ProxyAnchor(nn.Module):
    """`proxy_anchor` with its proxies.

    Proxies start normal with standard deviation √(2 / classes), as in the authors' code.

    Attributes:
        proxies: ``(classes, dim)``, learned.
    """

    kind: ClassVar = "proxy_anchor"
    by_class: ClassVar = ("proxies",)
    shard: ClassShard | None = None

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        scale: Positive = 32.0,
        margin: NotNegative = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first proxies.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            scale: α, what cosines are multiplied by.
            margin: δ, cosine by which positives shall lie above 0 and negatives below.
            generator: Draws the first proxies; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim)
        self.scale = scale
        self.margin = margin
        self.proxies = nn.Parameter(torch.empty(classes, dim))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out", generator=generator)

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return proxy_anchor(
            descriptors, labels, self.proxies, scale=self.scale, margin=self.margin, shard=self.shard
        )
