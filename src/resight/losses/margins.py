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
from typing import Annotated, Literal, TypeAlias

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor

__all__ = ["AngularMargin", "MarginRule", "cosine_of_sum", "with_margin"]

MarginRule: TypeAlias = Literal["delg", "insightface"]
"""What happens where angle and margin exceed π together."""

AngularMargin: TypeAlias = Annotated[float, Ge(0), Le(math.pi / 2), "radians (28.6 degrees are 0.5)"]
"""An angle from 0 to π/2."""

_SMALLEST_SINE_SQUARED = 1e-6


def with_margin(cosines: Float[Tensor, "..."], margin: float, rule: MarginRule) -> Float[Tensor, "..."]:
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
