"""HardTriple: SoftTriple with the nearest centre alone in place of the soft assignment."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from resight.losses.associations import NearestCentre
from resight.losses.inputs import check_sizes
from resight.losses.soft_triple_loss import initial_centres, triple_loss
from resight.settings.bounds import Count, NotNegative, Positive, checked

__all__ = ["HardTriple", "hard_triple"]


def hard_triple(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    centres: Float[Tensor, "classes centres dim"],
    *,
    scale: float,
    margin: float,
    tau: float,
) -> Float[Tensor, ""]:
    """Returns the cross-entropy of similarities to nearest centres plus τ times the spread of the centres.

    Qian et al., ICCV 2019, equation 6: as `resight.losses.soft_triple`, with ``S_c = max_k x·w_ck``.

    Raises:
        InvalidInput: Shapes that do not fit, or a label outside the classes.

    Example:
        >>> descriptors, labels = torch.eye(3), torch.tensor([0, 0, 1])
        >>> centres = torch.eye(3)[torch.tensor([[0, 1], [2, 1]])]
        >>> hard_triple(descriptors, labels, centres, scale=20.0, margin=0.01, tau=0.2)
        tensor(0.4075)
    """
    return triple_loss(descriptors, labels, centres, NearestCentre(), scale=scale, margin=margin, tau=tau)


@final
class HardTriple(nn.Module):
    """`hard_triple` with its centres.

    Attributes:
        centres: ``(classes, centres, dim)``, learned.
    """

    kind: ClassVar = "hard_triple"

    @checked
    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        centres: Count = 10,
        scale: Positive = 20.0,
        margin: NotNegative = 0.01,
        tau: NotNegative = 0.2,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draws the first centres.

        Args:
            classes: Number of classes, at least 2.
            dim: Length of a descriptor.
            centres: K, centres of a class.
            scale: λ, what similarities are multiplied by to be logits.
            margin: δ, taken from the own class's similarity.
            tau: τ, weight of the spread of a class's centres, which merges them; 0 leaves it out.
            generator: Draws the first centres; torch's own generator if ``None``.

        Raises:
            InvalidInput: A setting is outside of its range, or there are fewer than 2 classes.
        """
        super().__init__()
        check_sizes(classes, dim, centres)
        self.scale = scale
        self.margin = margin
        self.tau = tau
        self.centres = nn.Parameter(initial_centres(classes, centres, dim, generator))

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return hard_triple(
            descriptors, labels, self.centres, scale=self.scale, margin=self.margin, tau=self.tau
        )
