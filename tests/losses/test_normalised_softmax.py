"""Normalised softmax: a literal loop, pytorch-metric-learning, and the theory of the SoftTriple paper."""

from __future__ import annotations

import math

import torch
from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from torch import Tensor
from torch.nn import functional

from resight.losses import NormalisedSoftmax
from resight.losses.normalised_softmax_loss import normalised_softmax

CLASSES, DIM, BATCH = 9, 6, 8


def made(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    descriptors = functional.normalize(
        torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator), dim=1
    )
    weights = torch.randn(CLASSES, DIM, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    return descriptors.requires_grad_(), weights.requires_grad_(), labels


def test_equals_a_literal_loop() -> None:
    descriptors, weights, labels = made()
    total = 0.0
    for x, y in zip(descriptors.tolist(), labels.tolist(), strict=True):
        logits = []
        for w in weights.tolist():
            inner = sum(a * b for a, b in zip(x, w, strict=True))
            logits.append(inner / math.hypot(*x) / math.hypot(*w) / 0.05)
        total += math.log(sum(math.exp(z) for z in logits)) - logits[y]
    ours = normalised_softmax(descriptors, labels, weights, temperature=0.05)
    assert abs(ours.item() - total / BATCH) < 1e-10


def test_equals_pytorch_metric_learning() -> None:
    descriptors, weights, labels = made()
    theirs = NormalizedSoftmaxLoss(CLASSES, DIM, temperature=0.05)
    theirs.W.data = weights.detach().T.clone()
    expected = theirs(descriptors, labels)
    value = normalised_softmax(descriptors, labels, weights, temperature=0.05)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    (pulled,) = torch.autograd.grad(expected, theirs.W, retain_graph=True)
    torch.testing.assert_close(
        torch.autograd.grad(value, weights, retain_graph=True)[0], pulled.T, rtol=0, atol=1e-10
    )
    torch.testing.assert_close(
        torch.autograd.grad(value, descriptors)[0],
        torch.autograd.grad(expected, descriptors)[0],
        rtol=0,
        atol=1e-10,
    )


def smoothed_triplet(similarities: Tensor, label: int, shares: Tensor, scale: float) -> Tensor:
    """λ Σ_j p_j (x·w_j - x·w_y) + H(p), the triplet of an image with two centres, smoothed by the entropy."""
    entropy = -torch.special.xlogy(shares, shares).sum(-1)
    return scale * (shares * (similarities - similarities[label])).sum(-1) + entropy


def test_is_the_smoothed_triplet_loss_at_its_optimum() -> None:
    """Proposition 1 of Qian et al. 2019: ``-log softmax_y = max_p λ Σ p_j (x·w_j - x·w_y) + H(p)``."""
    generator = torch.Generator().manual_seed(3)
    descriptors, weights, labels = made()
    scale = 5.0
    for x, y in zip(descriptors.detach(), labels.tolist(), strict=True):
        loss = normalised_softmax(x[None], torch.tensor([y]), weights.detach(), temperature=1 / scale)
        similarities = functional.normalize(weights.detach(), dim=1) @ x

        # No distribution exceeds it: corners, the uniform one, and random ones spread and peaked.
        exponents = torch.randn(500, CLASSES, dtype=torch.float64, generator=generator)
        sharpness = torch.logspace(-2, 1.5, 500, dtype=torch.float64)[:, None]
        tried = torch.cat(
            [
                torch.eye(CLASSES).double(),
                torch.full((1, CLASSES), 1 / CLASSES).double(),
                (exponents * sharpness).softmax(1),
            ]
        )
        assert (smoothed_triplet(similarities, y, tried, scale) <= loss + 1e-10).all()

        # Climbing from the uniform distribution ends at the loss, and at the softmax.
        climber = torch.zeros(CLASSES, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [climber], max_iter=300, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def descend(y=y, similarities=similarities, climber=climber, optimiser=optimiser) -> Tensor:
            optimiser.zero_grad()
            value = -smoothed_triplet(similarities, y, climber.softmax(0), scale)
            value.backward()
            return value

        optimiser.step(descend)
        best = climber.detach().softmax(0)
        torch.testing.assert_close(smoothed_triplet(similarities, y, best, scale), loss, rtol=0, atol=1e-7)
        torch.testing.assert_close(best, (scale * similarities).softmax(0), rtol=0, atol=1e-4)


def test_triplets_of_images_follow_from_triplets_of_centres() -> None:
    """The bound of theorem 1 of Qian et al. 2019, as derived here.

    Unit images i and j share the centre w, image k has the centre v, and all lie within ε of their centres.
    Then ``x_i·x_j - x_i·x_k = (x_i·w - x_i·v) + x_i·(x_j - w) - x_i·(x_k - v)``, and by Cauchy and Schwarz
    the last two terms are at least -ε each: a margin δ to the centres leaves ``δ - 2ε`` between the images.
    """
    generator = torch.Generator().manual_seed(4)
    trials, dim = 20_000, 3
    centre, other = functional.normalize(
        torch.randn(2, trials, dim, dtype=torch.float64, generator=generator), dim=2
    )
    radius = torch.rand(3, trials, 1, dtype=torch.float64, generator=generator)
    noise = torch.randn(3, trials, dim, dtype=torch.float64, generator=generator)
    anchor, positive, negative = functional.normalize(
        torch.stack([centre, centre, other]) + radius * noise, dim=2
    )
    distances = torch.stack([anchor - centre, positive - centre, negative - other]).norm(dim=2)
    epsilon = distances.max(dim=0).values
    delta = (anchor * centre).sum(1) - (anchor * other).sum(1)
    margin = (anchor * positive).sum(1) - (anchor * negative).sum(1)
    assert (margin >= delta - 2 * epsilon - 1e-12).all()
    # Nearly reached by some, so that a smaller constant would not do.
    assert (margin < delta - 1.7 * epsilon).any()


def test_what_the_loss_promises_reaches_the_images() -> None:
    """A loss ℓ of an image bounds its margin to any other centre: ``x·w_y - x·w_j >= -log(e^ℓ - 1) / λ``."""
    descriptors, weights, labels = made()
    scale = 20.0
    unit = functional.normalize(weights.detach(), dim=1)
    for x, y in zip(descriptors.detach(), labels.tolist(), strict=True):
        loss = float(normalised_softmax(x[None], torch.tensor([y]), weights.detach(), temperature=1 / scale))
        margins = unit[y] @ x - torch.cat([unit[:y], unit[y + 1 :]]) @ x
        assert (margins >= -math.log(math.expm1(loss)) / scale - 1e-12).all()


def test_starts_uniform_in_the_inverse_root_of_the_dimension() -> None:
    loss = NormalisedSoftmax(200, 64, generator=torch.Generator().manual_seed(0))
    assert loss.weights.abs().max() <= 1 / 8
    assert abs(float(loss.weights.detach().std()) - 1 / 8 / math.sqrt(3)) < 1e-3
