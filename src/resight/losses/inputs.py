"""What the losses with class weights accept, checked once at their edge, and brought to one precision."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor
from torch.nn import functional

from resight.errors import InvalidInput
from resight.losses.shard import ClassShard

__all__ = ["check_batch", "check_labels", "check_sizes", "class_weights", "directions", "integer_labels"]


def directions(
    descriptors: Float[Tensor, "batch dim"], scale: float | Float[Tensor, ""]
) -> Float[Tensor, "batch dim"]:
    """Returns descriptors made unit and multiplied by the scale of the logits, in float32 or float64.

    Half precision is left even under autocast: at a scale of 64 a logit in bfloat16 is off by up to 0.25.
    """
    return functional.normalize(_precise(descriptors), dim=1) * scale


def class_weights(
    weights: Float[Tensor, "classes *centres dim"], descriptors: Float[Tensor, "batch dim"]
) -> Float[Tensor, "classes centres dim"]:
    """Returns the weights with an axis of centres, in the precision of the descriptors' directions."""
    precise = weights.to(_precise(descriptors).dtype)
    return precise if precise.ndim == 3 else precise[:, None]


def check_batch(
    descriptors: Float[Tensor, "batch dim"],
    labels: Integer[Tensor, " batch"],
    weights: Float[Tensor, "..."],
    shard: ClassShard | None = None,
) -> Int64[Tensor, " batch"]:
    """Returns the labels as int64, checked to fit the descriptors and class weights.

    Raises:
        InvalidInput: An empty batch, another number of labels, another dimension, or a label outside.
    """
    if descriptors.ndim != 2 or descriptors.shape[0] == 0 or descriptors.shape[1] != weights.shape[-1]:
        raise InvalidInput(
            f"descriptors of shape {tuple(descriptors.shape)} do not fit class weights of dimension "
            f"{weights.shape[-1]}: give (batch, {weights.shape[-1]}) with at least one row"
        )
    return check_labels(labels, len(descriptors), len(weights) if shard is None else shard.classes)


def check_labels(labels: Integer[Tensor, "..."], batch: int, classes: int) -> Int64[Tensor, " batch"]:
    """Returns the labels as int64, one an image, each the number of a class.

    Raises:
        InvalidInput: Another number of labels, labels that are no integers, or a label outside.
    """
    labels = integer_labels(labels, batch)
    smallest, largest = (int(value) for value in torch.aminmax(labels))
    if smallest < 0 or largest >= classes:
        raise InvalidInput(
            f"labels reach from {smallest} to {largest}, but there are {classes} classes: "
            f"number them 0 to {classes - 1}"
        )
    return labels


def integer_labels(labels: Integer[Tensor, "..."], batch: int) -> Int64[Tensor, " batch"]:
    """Returns the labels as int64, which torch compares and indexes alike: uint8 it would take as a mask.

    Raises:
        InvalidInput: Another number of labels, or labels that are no integers.
    """
    kind = labels.dtype
    if labels.shape != (batch,) or kind == torch.bool or kind.is_floating_point or kind.is_complex:
        raise InvalidInput(
            f"labels are {kind} of shape {tuple(labels.shape)}: give {batch} integers, one an image"
        )
    return labels.long()


def check_sizes(classes: int, dim: int, centres: int = 1) -> None:
    """Checks the sizes of class weights.

    Raises:
        InvalidInput: Fewer than two classes, or no dimension or centre.
    """
    if classes < 2 or dim < 1 or centres < 1:
        raise InvalidInput(
            f"class weights for {classes} classes of {centres} centres in {dim} dimensions cannot be "
            "learned: at least 2 classes, 1 centre and 1 dimension are needed"
        )


def _precise(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
