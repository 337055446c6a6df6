"""Tuples of an anchor, its positive and its negatives, as the losses of GeM take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from resight.errors import InvalidInput
from resight.losses.pairs import precise, unit

__all__ = ["Tuples", "check_tuples", "unit_tuples"]


@final
@dataclass(frozen=True, slots=True)
class Tuples:
    """Anchors, the positive of each and the negatives of each, in float32 or float64."""

    anchors: Float[Tensor, "tuples dim"]
    positives: Float[Tensor, "tuples dim"]
    negatives: Float[Tensor, "tuples count dim"]


def unit_tuples(anchors: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the same three with every descriptor made unit."""
    return unit(anchors), unit(positives), unit(negatives)


def check_tuples(anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tuples:
    """Returns the tuples in float32, or in float64 if they are.

    Raises:
        InvalidInput: The shapes do not belong together.
    """
    fits = (
        anchors.ndim == 2
        and positives.shape == anchors.shape
        and negatives.ndim == 3
        and (negatives.shape[0], negatives.shape[2]) == anchors.shape
    )
    if not fits:
        raise InvalidInput(
            "a tuple loss takes anchors (tuples, dim), positives (tuples, dim) and negatives (tuples, count, "
            f"dim), got {tuple(anchors.shape)}, {tuple(positives.shape)} and {tuple(negatives.shape)}"
        )
    return Tuples(precise(anchors), precise(positives), precise(negatives))
