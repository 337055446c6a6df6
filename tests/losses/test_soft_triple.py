"""SoftTriple and its regulariser: literal loops, pytorch-metric-learning, the acceptance of the formulas."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import SoftTripleLoss
from pytorch_metric_learning.regularizers import SparseCentersRegularizer
from torch import Tensor
from torch.nn import functional

from resight.losses import SoftTriple
from resight.losses.associations import SoftCentres
from resight.losses.soft_triple_loss import soft_triple

CLASSES, CENTRES, DIM, BATCH = 7, 4, 6, 8
LAMBDA, GAMMA, DELTA, TAU = 20.0, 0.1, 0.01, 0.2


def made(centres: int = CENTRES) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    descriptors = functional.normalize(
        torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator), dim=1
    )
    weights = torch.randn(CLASSES, centres, DIM, dtype=torch.float64, generator=generator)
    return (
        descriptors.requires_grad_(),
        weights.requires_grad_(),
        torch.randint(0, CLASSES, (BATCH,), generator=generator),
    )


def literal(descriptors: Tensor, labels: Tensor, centres: Tensor, tau: float) -> float:
    unit = [[[v / math.hypot(*w) for v in w] for w in of_class] for of_class in centres.tolist()]
    count = len(unit[0])
    total = 0.0
    for x, y in zip(descriptors.tolist(), labels.tolist(), strict=True):
        logits = []
        for c, of_class in enumerate(unit):
            products = [sum(a * b for a, b in zip(x, w, strict=True)) for w in of_class]
            shares = [math.exp(product / GAMMA) for product in products]
            similarity = sum(q * product for q, product in zip(shares, products, strict=True)) / sum(shares)
            logits.append(LAMBDA * (similarity - DELTA * (c == y)))
        total += math.log(sum(math.exp(z) for z in logits)) - logits[y]
    spread = 0.0
    for of_class in unit:
        for j in range(count):
            for k in range(j + 1, count):
                product = sum(a * b for a, b in zip(of_class[j], of_class[k], strict=True))
                spread += math.sqrt(2 + 1e-5 - 2 * product)
    regulariser = spread / (len(unit) * count * (count - 1)) if count > 1 else 0.0
    return total / len(labels) + tau * regulariser


def ours(descriptors: Tensor, labels: Tensor, centres: Tensor, tau: float) -> Tensor:
    return soft_triple(descriptors, labels, centres, scale=LAMBDA, gamma=GAMMA, margin=DELTA, tau=tau)


@pytest.mark.parametrize("centres", [1, 2, 4])
@pytest.mark.parametrize("tau", [0.0, TAU])
def test_equals_a_literal_loop(centres: int, tau: float) -> None:
    descriptors, weights, labels = made(centres)
    value = ours(descriptors, labels, weights, tau)
    assert abs(value.item() - literal(descriptors, labels, weights, tau)) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_pytorch_metric_learning_with_its_regulariser(dtype: torch.dtype) -> None:
    descriptors, weights, labels = made()
    descriptors, weights = (x.detach().to(dtype).requires_grad_() for x in (descriptors, weights))
    theirs = SoftTripleLoss(
        CLASSES,
        DIM,
        centers_per_class=CENTRES,
        la=20,
        gamma=0.1,
        margin=0.01,
        weight_regularizer=SparseCentersRegularizer(CLASSES, CENTRES),
        weight_reg_weight=0.2,
    )
    theirs.fc.data = weights.detach().reshape(-1, DIM).T.clone()
    expected = theirs(descriptors, labels)
    value = ours(descriptors, labels, weights, TAU)
    # They add the smallest number there is under the root, where the formula has 1e-5.
    torch.testing.assert_close(value, expected, rtol=0, atol=2e-6)
    found = torch.autograd.grad(value, (descriptors, weights))
    pulls = torch.autograd.grad(expected, (descriptors, theirs.fc))
    torch.testing.assert_close(found[0], pulls[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[1].reshape(-1, DIM), pulls[1].T, rtol=0, atol=1e-5)


def test_equals_it_exactly_without_the_regulariser() -> None:
    descriptors, weights, labels = made()
    theirs = SoftTripleLoss(CLASSES, DIM, centers_per_class=CENTRES, la=20, gamma=0.1, margin=0.01)
    theirs.fc.data = weights.detach().reshape(-1, DIM).T.clone()
    expected, value = theirs(descriptors, labels), ours(descriptors, labels, weights, 0.0)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    (pulled,) = torch.autograd.grad(expected, theirs.fc)
    (found,) = torch.autograd.grad(value, weights)
    torch.testing.assert_close(found.reshape(-1, DIM), pulled.T, rtol=0, atol=1e-10)


def test_one_centre_is_cross_entropy_at_scale_lambda() -> None:
    descriptors, weights, labels = made(1)
    cosines = descriptors @ functional.normalize(weights[:, 0], dim=1).T
    value = soft_triple(descriptors, labels, weights, scale=LAMBDA, gamma=GAMMA, margin=0.0, tau=0.0)
    torch.testing.assert_close(value, functional.cross_entropy(LAMBDA * cosines, labels), rtol=0, atol=1e-12)


def test_the_assignment_to_centres_sums_to_one() -> None:
    products = torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(0))
    shares = SoftCentres(0.1).assignment(products)
    torch.testing.assert_close(shares.sum(2), torch.ones(5, 7))
    assert (shares > 0).all()


def test_equal_centres_are_one_centre() -> None:
    descriptors, weights, labels = made(1)
    repeated = weights.expand(-1, 5, -1)
    torch.testing.assert_close(
        ours(descriptors, labels, repeated, 0.0), ours(descriptors, labels, weights, 0.0), rtol=0, atol=1e-12
    )


def test_the_regulariser_merges_centres_in_training() -> None:
    left = {}
    for tau in (0.0, 20.0):
        loss = SoftTriple(5, 4, centres=6, tau=tau, generator=torch.Generator().manual_seed(0))
        descriptors = functional.normalize(
            torch.randn(20, 4, generator=torch.Generator().manual_seed(1)), dim=1
        )
        optimiser = torch.optim.Adam(loss.parameters(), lr=0.01)
        for _ in range(150):
            optimiser.zero_grad()
            loss(descriptors, torch.arange(20) % 5).backward()
            optimiser.step()
        left[tau] = loss.distinct_centres().float().mean().item()
    assert left[20.0] < 2 < 4 < left[0.0]


def test_centres_start_as_the_authors_do() -> None:
    centres = SoftTriple(50, 16, centres=4, generator=torch.Generator().manual_seed(0)).centres.detach()
    assert centres.shape == (50, 4, 16)
    bound = 1 / math.sqrt(200)
    assert 0.99 * bound < float(centres.abs().max()) <= bound
    reference = torch.nn.init.kaiming_uniform_(
        torch.empty(16, 200), a=math.sqrt(5), generator=torch.Generator().manual_seed(0)
    )
    assert float(reference.abs().max()) == pytest.approx(float(centres.abs().max()), rel=1e-6)
