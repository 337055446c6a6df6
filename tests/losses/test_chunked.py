"""The blockwise engine against the plain formula over the whole matrix, and what it allocates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resight.losses.associations import Association, NearestCentre, SingleCentre, SoftCentres
from resight.losses.chunked import BLOCK, own_and_other_classes, own_and_other_images
from resight.losses.curricular import HardClasses

BATCH, CLASSES, DIM = 7, 11, 5
FORMS: list[tuple[Association, int]] = [(SingleCentre(), 1), (NearestCentre(), 3), (SoftCentres(0.7), 3)]
BLOCKS = [1, 2 * BATCH * 3, 4 * BATCH * 3 + 1, 10**6]


def made(centres: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator)
    weights = torch.randn(CLASSES, centres, DIM, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    return directions.requires_grad_(), weights.requires_grad_(), labels


def plain_scores(directions: Tensor, weights: Tensor, association: Association) -> Tensor:
    products = torch.einsum("bd,ckd->bck", directions, functional.normalize(weights, dim=2))
    if isinstance(association, SoftCentres):
        return (torch.softmax(products / association.temperature, 2) * products).sum(2)
    return products.max(dim=2).values


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("association", "centres"), FORMS, ids=["single", "nearest", "soft"])
def test_over_classes_equals_the_plain_formula(association: Association, centres: int, block: int) -> None:
    directions, weights, labels = made(centres)
    own, rest = own_and_other_classes(directions, weights, labels, association, block=block)
    got = torch.autograd.grad((own.sin() + rest.square()).sum(), (directions, weights))

    scores = plain_scores(directions, weights, association)
    mask = functional.one_hot(labels, CLASSES).bool()
    plain_rest = scores.masked_fill(mask, -torch.inf).logsumexp(1)
    expected = torch.autograd.grad((scores[mask].sin() + plain_rest.square()).sum(), (directions, weights))

    torch.testing.assert_close(own, scores[mask], rtol=0, atol=1e-12)
    torch.testing.assert_close(rest, plain_rest, rtol=0, atol=1e-12)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("association", "centres"), FORMS, ids=["single", "nearest", "soft"])
def test_over_images_equals_the_plain_formula(association: Association, centres: int, block: int) -> None:
    directions, weights, labels = made(centres)
    own, rest = own_and_other_images(directions, weights, labels, association, block=block)
    got = torch.autograd.grad((own.sin().sum() + rest.square().sum()), (directions, weights))

    scores = plain_scores(directions, weights, association)
    mask = functional.one_hot(labels, CLASSES).bool()
    plain_rest = scores.masked_fill(mask, -torch.inf).logsumexp(0)
    expected = torch.autograd.grad(
        scores[mask].sin().sum() + plain_rest.square().sum(), (directions, weights)
    )

    torch.testing.assert_close(own, scores[mask], rtol=0, atol=1e-12)
    torch.testing.assert_close(rest, plain_rest, rtol=0, atol=1e-12)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("association", "centres"), FORMS, ids=["single", "nearest", "soft"])
def test_gradients_are_those_of_finite_differences(association: Association, centres: int) -> None:
    directions, weights, labels = made(centres, seed=1)
    block = 3 * BATCH * centres

    def over_classes(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return own_and_other_classes(x, w, labels, association, block=block)

    def over_images(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return own_and_other_images(x, w, labels, association, block=block)

    assert torch.autograd.gradcheck(over_classes, (directions, weights))
    assert torch.autograd.gradcheck(over_images, (directions, weights))


def test_gradients_through_an_emphasis_are_those_of_finite_differences() -> None:
    directions, weights, labels = made(1, seed=2)
    emphasis = HardClasses(torch.full((BATCH,), 0.1).double(), torch.tensor(0.3).double(), 2.0)

    def over_classes(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return own_and_other_classes(x, w, labels, SingleCentre(), emphasis=emphasis, block=3 * BATCH)

    assert torch.autograd.gradcheck(over_classes, (directions, weights))


def test_a_class_that_owns_the_batch_has_no_others() -> None:
    directions, weights, _ = made(1)
    labels = torch.full((BATCH,), 4)
    own, rest = own_and_other_images(directions, weights, labels, SingleCentre(), block=2 * BATCH)
    loss = functional.softplus(rest).sum() + own.sum()
    gradients = torch.autograd.grad(loss, (directions, weights))
    assert rest[4] == -torch.inf
    assert rest.isfinite().sum() == CLASSES - 1
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_only_what_needs_a_gradient_gets_one() -> None:
    directions, weights, labels = made(1)
    own, rest = own_and_other_classes(directions.detach(), weights, labels, SingleCentre())
    (rest - own).sum().backward()
    assert weights.grad is not None
    own, rest = own_and_other_classes(directions, weights.detach(), labels, SingleCentre())
    (rest - own).sum().backward()
    assert directions.grad is not None


class Made(TorchDispatchMode):
    """Records the number of elements of every tensor that an operation puts into new memory."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {
            tensor.untyped_storage().data_ptr()
            for tensor in tree_leaves((args, kwargs))
            if torch.is_tensor(tensor)
        }
        for tensor in tree_leaves(result):
            if torch.is_tensor(tensor) and tensor.untyped_storage().data_ptr() not in given:
                self.sizes.append(tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def test_nothing_larger_than_a_block_is_made_beside_the_gradient() -> None:
    classes, dim, batch, block = 3000, 8, 16, 1600
    directions = torch.ones(batch, dim, requires_grad=True)
    weights = torch.ones(classes, 1, dim).cumsum(0).requires_grad_()
    labels = torch.arange(batch)
    with Made() as made_tensors:
        own, rest = own_and_other_classes(directions, weights, labels, SingleCentre(), block=block)
        (rest - own).sum().backward()
    # One number a class (the inverse lengths) is kept; the weights' gradient is made once.
    assert [size for size in made_tensors.sizes if size > max(block, classes)] == [classes * dim]
    assert weights.grad is not None


def test_a_block_is_bounded_by_default() -> None:
    classes, dim, batch = 40_000, 4, 64
    weights = torch.ones(classes, 1, dim).cumsum(0).requires_grad_()
    with Made() as made_tensors:
        own, rest = own_and_other_classes(
            torch.ones(batch, dim), weights, torch.arange(batch), SingleCentre()
        )
        (rest - own).sum().backward()
    assert max(made_tensors.sizes) <= BLOCK < classes * batch
