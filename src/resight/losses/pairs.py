"""What all pair losses share: which descriptors are compared, how, and how the terms become a scalar.

A pair is a query and a reference. Without references of their own the descriptors of the batch are both, and
none is paired with itself. Everything is computed in float32 at least, whatever autocast or the descriptors'
type says. The formulas, functions such as `triplet`, take descriptors as they are; the modules make them unit
first, as margins, bases and temperatures of the papers are for unit vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias, final

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn
from torch.nn import functional

from resight.errors import InvalidInput
from resight.losses.inputs import integer_labels
from resight.settings.marks import ADDED_LATER

__all__ = [
    "Comparison",
    "Normalise",
    "PairLoss",
    "Reduction",
    "References",
    "compare",
    "distances",
    "inner_products",
    "precise",
    "reduce",
    "root",
    "squared_distances",
    "unit",
]

Normalise: TypeAlias = Annotated[bool, ADDED_LATER]
"""Whether a pair loss makes descriptors unit before it compares them."""

Reduction = Literal["active", "mean", "sum"]
"""How terms become a scalar: the mean of the non-zero ones, the mean of all, or their sum."""


@final
@dataclass(frozen=True, slots=True)
class References:
    """What the queries of a batch are compared with, where that is not the batch itself.

    Attributes:
        descriptors: A gradient flows into them only if they carry one.
        labels: Their labels.
        own: For each query the row of the references that is a copy of the query, -1 where there is none;
            None where there is none for any. A query is never paired with its own copy.
    """

    descriptors: Float[Tensor, "references dim"]
    labels: Integer[Tensor, " references"]
    own: Integer[Tensor, " queries"] | None = None


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """The queries and references of one call, and which pairs of them are positive or negative.

    Attributes:
        queries: float32 or float64.
        references: Of the queries' type.
        labels: Labels of the queries, int64.
        positives: Pairs of one label, without the queries' own copies.
        negatives: Pairs of two labels.
    """

    queries: Float[Tensor, "queries dim"]
    references: Float[Tensor, "references dim"]
    labels: Integer[Tensor, " queries"]
    positives: Bool[Tensor, "queries references"]
    negatives: Bool[Tensor, "queries references"]


class PairLoss(nn.Module, ABC):
    """A loss over pairs of descriptors: ``loss(descriptors, labels)``, or against other references.

    Attributes:
        normalise: Whether descriptors and references are made unit first, the default of all pair losses;
            else lengths count in distances and inner products.
    """

    def __init__(self, *, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise

    def forward(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None = None,
    ) -> Float[Tensor, ""]:
        """Returns the loss of the descriptors against the references, by default against each other.

        Args:
            descriptors: Of any length, see ``normalise``.
            labels: Their labels, any integers.
            references: What to compare with instead of the batch itself; of any length likewise.

        Raises:
            InvalidInput: The shapes do not belong together, or there is no descriptor.
        """
        if self.normalise:
            descriptors = unit(descriptors)
            if references is not None:
                references = replace(references, descriptors=unit(references.descriptors))
        return self.formula(descriptors, labels, references)

    @abstractmethod
    def formula(
        self,
        descriptors: Float[Tensor, "batch dim"],
        labels: Integer[Tensor, " batch"],
        references: References | None,
    ) -> Float[Tensor, ""]:
        """Returns the loss of descriptors taken as they are."""


def compare(
    descriptors: Float[Tensor, "batch dim"], labels: Integer[Tensor, " batch"], references: References | None
) -> Comparison:
    """Returns who is compared with whom; the references default to the descriptors themselves.

    Raises:
        InvalidInput: The shapes do not belong together, or there is nothing to compare.
    """
    if descriptors.ndim != 2 or len(descriptors) == 0 or labels.shape != descriptors.shape[:1]:
        raise InvalidInput(
            "a loss takes at least one descriptor as (batch, dim) and a label for each as (batch,), "
            f"got {tuple(descriptors.shape)} and {tuple(labels.shape)}"
        )
    queries, labels = precise(descriptors), integer_labels(labels, len(descriptors))
    if references is None:
        every = torch.arange(len(labels), device=labels.device)
        references = References(queries, labels, own=every)
    _check_references(descriptors, references)
    same = labels[:, None] == integer_labels(references.labels, len(references.descriptors))[None, :]
    positives, negatives = same, ~same
    if references.own is not None:
        rows = torch.arange(len(references.labels), device=labels.device)
        other = references.own[:, None] != rows[None, :]
        positives, negatives = positives & other, negatives & other
    return Comparison(queries, references.descriptors.to(queries.dtype), labels, positives, negatives)


def precise(descriptors: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Returns the descriptors in float32, or in float64 if they are."""
    return descriptors if descriptors.dtype == torch.float64 else descriptors.float()


def unit(descriptors: Float[Tensor, "*shape dim"]) -> Float[Tensor, "*shape dim"]:
    """Returns the descriptors divided by their L2 norms, in float32 or float64; zeros stay zeros."""
    return functional.normalize(precise(descriptors), dim=-1)


def inner_products(
    queries: Float[Tensor, "queries dim"], references: Float[Tensor, "references dim"]
) -> Float[Tensor, "queries references"]:
    """Returns the inner product of each query with each reference, never in autocast's half precision."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries @ references.T


def squared_distances(
    queries: Float[Tensor, "queries dim"], references: Float[Tensor, "references dim"]
) -> Float[Tensor, "queries references"]:
    """Returns the squared Euclidean distance of each query to each reference, never negative.

    By ``‖a‖² + ‖b‖² − 2ab``: for unit vectors in float32 exact to about 1e-6, in memory that does not grow
    with dim.
    """
    norms = queries.square().sum(dim=1)[:, None] + references.square().sum(dim=1)[None, :]
    return (norms - 2 * inner_products(queries, references)).clamp(min=0)


def distances(
    queries: Float[Tensor, "queries dim"], references: Float[Tensor, "references dim"]
) -> Float[Tensor, "queries references"]:
    """Returns the Euclidean distance of each query to each reference; its gradient is 0 at distance 0."""
    return root(squared_distances(queries, references))


def root(squares: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Returns the square root, with gradient 0 instead of infinity at 0."""
    zero = squares == 0
    return torch.where(zero, 1, squares).sqrt().masked_fill(zero, 0)


def reduce(
    terms: Float[Tensor, "*shape"], valid: Bool[Tensor, "*shape"], reduction: Reduction
) -> Float[Tensor, ""]:
    """Returns one number for the valid terms, 0 where there are none.

    Args:
        terms: Finite and not negative where valid.
        valid: Which terms there are.
        reduction: ``active``: the mean of the terms above 0; ``mean``: of all; ``sum``: their sum.
    """
    total = torch.where(valid, terms, 0).sum()
    if reduction == "sum":
        return total
    counted = valid & (terms > 0) if reduction == "active" else valid
    return total / counted.sum().clamp(min=1)


def _check_references(descriptors: Tensor, references: References) -> None:
    others, own = references.descriptors, references.own
    if others.ndim != 2 or len(others) == 0 or others.shape[1] != descriptors.shape[1]:
        raise InvalidInput(
            f"references of descriptors of {descriptors.shape[1]} dimensions must be (references, "
            f"{descriptors.shape[1]}) and at least one, got {tuple(others.shape)}"
        )
    if references.labels.shape != others.shape[:1]:
        raise InvalidInput(
            f"{len(others)} references need a label each, not {tuple(references.labels.shape)}"
        )
    if own is not None and own.shape != descriptors.shape[:1]:
        raise InvalidInput(
            f"each of {len(descriptors)} queries needs the row of its own copy, or -1, got {tuple(own.shape)}"
        )
