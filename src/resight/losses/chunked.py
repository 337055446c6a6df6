"""Softmax over very many classes in bounded memory, with exact gradients.

A loss over C classes needs of each image only the score of its own class and the log-sum-exp over the others.
Both are gathered block by block of classes; the gradient recomputes each block's products and writes that
block's rows of the weights' gradient once. Never more than a few blocks of the batch-by-classes matrix exist,
and neither the unit weights nor a second buffer of the weights' size.

Blocks are joined as in Milakov and Gimelshein 2018 (online normaliser of softmax); recomputing in the
backward pass is Chen et al. 2016 (sublinear memory). With unit weight ŵ = w/|w| and gradient g of ŵ, the
gradient of w is ``(g - (g·ŵ) ŵ) / |w|``; g·ŵ is the sum of the products times their gradients, so it costs no
look at w.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.autograd.function import once_differentiable

from resight.losses.associations import Association
from resight.losses.shard import ClassShard

__all__ = ["ACCELERATOR_BLOCK", "BLOCK", "Emphasis", "own_and_other_classes", "own_and_other_images"]

BLOCK = 2**20
"""Products computed at a time on a CPU: 4 MiB in float32, which stays near the cache."""

ACCELERATOR_BLOCK = 2**24
"""Products computed at a time elsewhere: 64 MiB in float32, enough to keep a GPU busy."""

_SHORTEST = 1e-12


@runtime_checkable
class Emphasis(Protocol):
    """What turns the scores of the other classes into logits, as CurricularFace does with hard ones."""

    def logits(self, scores: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits in a new tensor."""

    def slopes(self, scores: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Returns the derivative of each logit by its score."""


def own_and_other_classes(
    directions: Float[Tensor, "batch dim"],
    weights: Float[Tensor, "classes centres dim"],
    labels: Integer[Tensor, " batch"],
    association: Association,
    *,
    emphasis: Emphasis | None = None,
    block: int | None = None,
    shard: ClassShard | None = None,
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Returns each image's score for its own class, and the log-sum-exp of its logits for all other classes.

    Differentiable once, by directions and weights.

    Args:
        directions: What is compared with the unit weights: unit descriptors times the logits' scale.
        weights: Any length; made unit here.
        labels: 0 to classes - 1.
        association: From the products with a class's centres to its score.
        emphasis: From scores to the logits of other classes; the scores themselves by default.
        block: Products held at a time; by default `BLOCK`, or `ACCELERATOR_BLOCK` off the CPU.
        shard: Which classes the weights are of, where processes share them.
    """
    form = _Form(association, emphasis, _block(directions, block))
    if shard is not None:
        directions, (weights, labels) = shard.shared(directions), shard.taken(weights, labels)
    own, rest = _OverClasses.apply(directions, weights, labels, form)  # type: ignore[no-untyped-call]  # torch has no annotation
    return (own, rest) if shard is None else shard.joined(own, rest)


def own_and_other_images(
    directions: Float[Tensor, "batch dim"],
    weights: Float[Tensor, "classes centres dim"],
    labels: Integer[Tensor, " batch"],
    association: Association,
    *,
    block: int | None = None,
    shard: ClassShard | None = None,
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " classes"]]:
    """Returns each image's score for its own class, and each class's log-sum-exp over the images of others.

    As `own_and_other_classes`, summed the other way; minus infinity for a class that owns the whole batch.
    With a shard the classes are those of this process that the batch is compared with.
    """
    form = _Form(association, None, _block(directions, block))
    if shard is not None:
        directions, (weights, labels) = shard.shared(directions), shard.taken(weights, labels)
    own, rest = _OverImages.apply(directions, weights, labels, form)  # type: ignore[no-untyped-call]  # torch has no annotation
    return (own if shard is None else shard.total(own)), rest


@dataclass(frozen=True, slots=True)
class _Form:
    association: Association
    emphasis: Emphasis | None
    block: int


def _block(directions: Tensor, block: int | None) -> int:
    if block is not None:
        return block
    return BLOCK if directions.device.type == "cpu" else ACCELERATOR_BLOCK


def _spans(batch: int, weights: Tensor, block: int) -> Iterator[slice]:
    classes, centres, _ = weights.shape
    step = max(1, block // (batch * centres))
    for start in range(0, classes, step):
        yield slice(start, min(start + step, classes))


def _inverse_lengths(weights: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weights, dim=2).clamp_(min=_SHORTEST).reciprocal_()


def _products(directions: Tensor, weights: Tensor, inverse: Tensor, span: slice) -> Tensor:
    products = (directions @ weights[span].flatten(0, 1).T).view(len(directions), *inverse[span].shape)
    if products.shape[2] > 1:
        # Laid out centre by centre: reductions over a short innermost axis take up to 15 times as long.
        products = products.mT.contiguous().mT
    return products.mul_(inverse[span])


class _Own:
    """Where the images' own classes stand in a block: column 0 stands for those that are elsewhere."""

    __slots__ = ("column", "here")

    def __init__(self, labels: Tensor, span: slice) -> None:
        column = labels - span.start
        self.here = (column >= 0) & (column < span.stop - span.start)
        self.column = torch.where(self.here, column, 0)[:, None]

    def read(self, scores: Tensor, otherwise: Tensor) -> Tensor:
        return torch.where(self.here, scores.gather(1, self.column)[:, 0], otherwise)

    def write(self, values: Tensor, own: Tensor | float) -> Tensor:
        kept = values.gather(1, self.column)[:, 0]
        return values.scatter_(1, self.column, torch.where(self.here, own, kept)[:, None])


class _Gradients:
    """The gradients of directions and weights, each in one buffer that is filled block by block."""

    __slots__ = ("_directions", "_inverse", "_weights", "directions", "weights")

    def __init__(
        self, directions: Tensor, weights: Tensor, inverse: Tensor, needed: tuple[bool, ...]
    ) -> None:
        self._directions, self._weights, self._inverse = directions, weights, inverse
        self.directions = torch.zeros_like(directions) if needed[0] else None
        self.weights = torch.empty_like(weights, memory_format=torch.contiguous_format) if needed[1] else None

    def add(self, span: slice, products: Tensor, upstream: Tensor) -> None:
        inverse, weights = self._inverse[span], self._weights[span].flatten(0, 1)
        # Both blocks end here and are overwritten; an einsum copies them class by class, at 40 % of a step.
        pulls = products.mul_(upstream).sum(dim=0)
        upstream = upstream.mul_(inverse).flatten(1)
        if self.directions is not None:
            self.directions.addmm_(upstream, weights)
        if self.weights is not None:
            rows = self.weights[span].view_as(weights)
            torch.mul(weights, (pulls * inverse.square()).neg_().view(-1, 1), out=rows)
            rows.addmm_(upstream.T, self._directions)


class _OverClasses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, directions: Tensor, weights: Tensor, labels: Tensor, form: _Form
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(directions.device.type, enabled=False):
            inverse = _inverse_lengths(weights)
            own = directions.new_zeros(len(directions))
            rest = torch.full_like(own, -torch.inf)
            for span in _spans(len(directions), weights, form.block):
                scores = form.association.scores(_products(directions, weights, inverse, span))
                place = _Own(labels, span)
                own = place.read(scores, own)
                logits = scores if form.emphasis is None else form.emphasis.logits(scores)
                place.write(logits, -torch.inf)
                rest = torch.logaddexp(rest, torch.logsumexp(logits, dim=1))
        ctx.save_for_backward(directions, weights, labels, inverse, rest)
        ctx.form = form
        return own, rest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, own_grad: Tensor, rest_grad: Tensor) -> tuple[Tensor | None, ...]:
        directions, weights, labels, inverse, rest = ctx.saved_tensors
        form: _Form = ctx.form
        gradients = _Gradients(directions, weights, inverse, ctx.needs_input_grad)
        with torch.autocast(directions.device.type, enabled=False):
            for span in _spans(len(directions), weights, form.block):
                products = _products(directions, weights, inverse, span)
                scores = form.association.scores(products)
                logits = scores if form.emphasis is None else form.emphasis.logits(scores)
                upstream = (logits - rest[:, None]).exp_().mul_(rest_grad[:, None])
                if form.emphasis is not None:
                    upstream *= form.emphasis.slopes(scores)
                _Own(labels, span).write(upstream, own_grad)
                gradients.add(span, products, form.association.gradient(products, upstream))
        return gradients.directions, gradients.weights, None, None


class _OverImages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, directions: Tensor, weights: Tensor, labels: Tensor, form: _Form
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(directions.device.type, enabled=False):
            inverse = _inverse_lengths(weights)
            own = directions.new_zeros(len(directions))
            rest = directions.new_empty(len(weights))
            for span in _spans(len(directions), weights, form.block):
                scores = form.association.scores(_products(directions, weights, inverse, span))
                place = _Own(labels, span)
                own = place.read(scores, own)
                rest[span] = torch.logsumexp(place.write(scores, -torch.inf), dim=0)
        ctx.save_for_backward(directions, weights, labels, inverse, rest)
        ctx.form = form
        return own, rest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, own_grad: Tensor, rest_grad: Tensor) -> tuple[Tensor | None, ...]:
        directions, weights, labels, inverse, rest = ctx.saved_tensors
        form: _Form = ctx.form
        gradients = _Gradients(directions, weights, inverse, ctx.needs_input_grad)
        with torch.autocast(directions.device.type, enabled=False):
            for span in _spans(len(directions), weights, form.block):
                products = _products(directions, weights, inverse, span)
                upstream = (form.association.scores(products) - rest[span]).exp_().mul_(rest_grad[span])
                _Own(labels, span).write(upstream, own_grad)
                gradients.add(span, products, form.association.gradient(products, upstream))
        return gradients.directions, gradients.weights, None, None
