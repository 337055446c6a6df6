"""HardTriple: SoftTriple with the nearest centre alone in place of the soft assignment."""

from __future__ import annotations

from typing import ClassVar, final

from jaxtyping import Float, Integer
from torch import Tensor

from resight.losses.associations import NearestCentre
from resight.losses.shard import ClassShard
from resight.losses.soft_triple_loss import TripleLoss, triple_loss

__all__ = ["HardTriple", "hard_triple"]


def hard_triple(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    centres: Float[Tensor, "classes centres dim"],
    *,
    scale: float,
    margin: float,
    tau: float,
    shard: ClassShard | None = None,
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
    return triple_loss(
        descriptors, labels, centres, NearestCentre(), scale=scale, margin=margin, tau=tau, shard=shard
    )


@final
class HardTriple(TripleLoss):
    """`hard_triple` with its centres."""

    kind: ClassVar = "hard_triple"

    def association(self) -> NearestCentre:
        """Returns the nearest centre alone."""
        return NearestCentre()
