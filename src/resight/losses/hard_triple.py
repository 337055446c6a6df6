"""HardTriple: SoftTriple with the nearest centre alone in place of the soft assignment."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from resight.losses.associations import NearestCentre
from resight.losses.inputs import check_sizes
from resight.losses.settings import positive
from resight.losses.soft_triple import initial_centres, triple_loss

__all__ = ["HardTriple", "hard_triple"]


def hard_triple(
    descriptors: Float[Tensor, "batch dim"],
    labels: Int[Tensor, " batch"],
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
    """
    return triple_loss(descriptors, labels, centres, NearestCentre(), scale=scale, margin=margin, tau=tau)


@final
class HardTriple(nn.Module):
    """`hard_triple` with its centres.

    Attributes:
        centres: ``(classes, centres, dim)``, learned.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        centres: int = 10,
        scale: float = 20.0,
        margin: float = 0.01,
        tau: float = 0.2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes(classes, dim, centres)
        self.scale = positive(scale, "scale")
        self.margin = margin
        self.tau = tau
        self.centres = nn.Parameter(initial_centres(classes, centres, dim, generator))

    def forward(
        self, descriptors: Float[Tensor, "batch dim"], labels: Int[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of a batch, a scalar."""
        return hard_triple(
            descriptors, labels, self.centres, scale=self.scale, margin=self.margin, tau=self.tau
        )
