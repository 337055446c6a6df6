"""ProxyNCA: neighbourhood components analysis against one proxy a class."""

from __future__ import annotations

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

__all__ = ["ProxyNCA", "proxy_nca"]


def proxy_nca(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    proxies: Float[Tensor, "classes dim"],
    *,
    scale: float,
    positive_in_denominator: bool,
    shard: ClassShard | None = None,
) -> Float[Tensor, ""]:
    """Returns the mean of ``-log(exp(-scale·d²(x, p_y)) / Σ_j exp(-scale·d²(x, p_j)))``.

    Movshovitz-Attias et al., ICCV 2017: d is the Euclidean distance of unit vectors, and the sum goes over
    the proxies of the other classes, so that the loss can be negative. With the positive in the denominator
    as well it is a softmax, as in Teh, DeVries and Taylor, ECCV 2020 (ProxyNCA++). Descriptors multiplied by
    a and proxies by b, as in public code, are the scale ``a·b``.

    As d² = 2 - 2·cos, the distances enter as cosines times ``2·scale``; the constant cancels.

    Raises:
        InvalidInput: Shapes that do not fit, or a label outside the classes.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> proxies = torch.eye(3)[[0, 2]]
        >>> proxy_nca(descriptors, labels, proxies, scale=1.0, positive_in_denominator=False)
        tensor(-1.3333)
    """
    labels = check_batch(descriptors, labels, proxies, shard)
    own, rest = own_and_other_classes(
        directions(descriptors, 2 * scale),
        class_weights(proxies, descriptors),
        labels,
        SingleCentre(),
        shard=shard,
    )
    excess = rest - own
    return (softplus(excess) if positive_in_denominator else excess).mean()


@final
class ProxyNCA(nn.Module):
    """`proxy_nca` with its proxies.

    The scale of 9 is that of a public reimplementation on CUB and Cars, which multiplies unit descriptors and
    proxies by 3 each; the paper has 1. Proxies start normal: only their directions count.

    Attributes:
        proxies: ``(classes, dim)``, learned.
    """

    kind: ClassVar = "proxy_nca"
    by_class: ClassVar = ("proxies",)
    shard: ClassShard | None = None

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        scale: Positive = 9.0,
        positive_in_denominator: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first proxies.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            scale: What squared distances are multiplied by.
            positive_in_denominator: Count the own proxy in the sum as well, which makes it a softmax.
            generator: Draws the first proxies; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim)
        self.scale = scale
        self.positive_in_denominator = positive_in_denominator
        self.proxies = nn.Parameter(torch.empty(classes, dim))
        nn.init.normal_(self.proxies, std=1 / 8, generator=generator)

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return proxy_nca(
            descriptors,
            labels,
            self.proxies,
            scale=self.scale,
            positive_in_denominator=self.positive_in_denominator,
            shard=self.shard,
        )
