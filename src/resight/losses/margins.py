"""Angular margins: the cosine of the own class made harder, by the rules in use, by name.

Every rule replaces cos θ by cos(θ + m), m in radians (Deng et al., CVPR 2019, equation 3), which falls with θ
only while θ ≤ π - m. Implementations differ in what they do beyond that:

=========== ================ ========================================================
rule        beyond θ = π - m used by
=========== ================ ========================================================
delg        cos θ            official DELG (TensorFlow), Token
insightface cos θ - m sin m  InsightFace without easy margin, pytorch-metric-learning
=========== ================ ========================================================
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from resight.errors import InvalidInput

__all__ = ["MarginRule", "check_margin", "cosine_of_sum", "with_margin"]

MarginRule = Literal["delg", "insightface"]

_SMALLEST_SINE_SQUARED = 1e-6


def with_margin(
    cosines: Float[Tensor, "..."], margin: float, rule: MarginRule = "insightface"
) -> Float[Tensor, "..."]:
    """Returns the cosines with the angular margin added, by the rule.

    Args:
        cosines: Of the angles between images and their own classes.
        margin: Radians, 0 to π/2.
        rule: What happens where angle and margin exceed π together.
    """
    added = cosine_of_sum(cosines, margin)
    beyond = cosines if rule == "delg" else cosines - margin * math.sin(margin)
    return torch.where(cosines >= -math.cos(margin), added, beyond)


def cosine_of_sum(cosines: Float[Tensor, "..."], margin: float) -> Float[Tensor, "..."]:
    """Returns ``cos(θ + margin) = cos θ cos m - sin θ sin m``, with a finite gradient at θ = 0 and π.

    The sine's square is floored at 1e-6 (0.06 degrees): its root has an infinite slope at 0, and a cosine
    rounded past 1 would have none at all.
    """
    sines = (1 - cosines.square()).clamp(min=_SMALLEST_SINE_SQUARED).sqrt()
    return cosines * math.cos(margin) - sines * math.sin(margin)


def check_margin(margin: float, rule: str = "insightface") -> None:
    """Checks an angular margin and the name of its rule.

    Raises:
        InvalidInput: A margin that is no angle in radians up to π/2, or an unknown rule.
    """
    if not 0 <= margin <= math.pi / 2:
        raise InvalidInput(f"the margin is {margin}, but is in radians, from 0 to π/2: 28.6 degrees are 0.5")
    if rule not in get_args(MarginRule):
        names = " or ".join(get_args(MarginRule))
        raise InvalidInput(f"there is no margin rule {rule!r}: name {names}")
