"""ProxyNCA: a literal loop over squared distances, and pytorch-metric-learning."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import ProxyNCALoss
from torch import Tensor
from torch.nn import functional

from resight.losses import ProxyNCA
from resight.losses.proxy_nca_loss import proxy_nca

CLASSES, DIM, BATCH = 9, 6, 8


def made() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    descriptors = functional.normalize(
        torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator), dim=1
    )
    proxies = torch.randn(CLASSES, DIM, dtype=torch.float64, generator=generator)
    return (
        descriptors.requires_grad_(),
        proxies.requires_grad_(),
        torch.randint(0, CLASSES, (BATCH,), generator=generator),
    )


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("scale", [1.0, 9.0])
def test_equals_a_literal_loop(inside: bool, scale: float) -> None:
    descriptors, proxies, labels = made()
    unit = [[value / math.hypot(*p) for value in p] for p in proxies.tolist()]
    total = 0.0
    for x, y in zip(descriptors.tolist(), labels.tolist(), strict=True):
        likeness = [math.exp(-scale * math.dist(x, p) ** 2) for p in unit]
        denominator = sum(value for j, value in enumerate(likeness) if inside or j != y)
        total -= math.log(likeness[y] / denominator)
    ours = proxy_nca(descriptors, labels, proxies, scale=scale, positive_in_denominator=inside)
    assert abs(ours.item() - total / BATCH) < 1e-10


def test_equals_pytorch_metric_learning_which_keeps_the_positive() -> None:
    descriptors, proxies, labels = made()
    theirs = ProxyNCALoss(CLASSES, DIM, softmax_scale=9)
    theirs.proxies.data = proxies.detach().clone()
    expected = theirs(descriptors, labels)
    value = proxy_nca(descriptors, labels, proxies, scale=9.0, positive_in_denominator=True)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    ours = torch.autograd.grad(value, (descriptors, proxies))
    pulls = torch.autograd.grad(expected, (descriptors, theirs.proxies))
    torch.testing.assert_close(ours, pulls, rtol=0, atol=1e-10)


@pytest.mark.parametrize("inside", [True, False])
def test_the_module_hands_its_settings_on(inside: bool) -> None:
    descriptors, _, labels = made()
    loss = ProxyNCA(CLASSES, DIM, scale=4.0, positive_in_denominator=inside).double()
    expected = proxy_nca(descriptors, labels, loss.proxies, scale=4.0, positive_in_denominator=inside)
    assert torch.equal(loss(descriptors, labels), expected)
