"""Proxy-Anchor: a literal loop over proxies, and pytorch-metric-learning."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch import Tensor
from torch.nn import functional

from resight.losses import ProxyAnchor
from resight.losses.proxy_anchor_loss import proxy_anchor

CLASSES, DIM, BATCH = 9, 6, 8
LABELS = {
    "some classes": [0, 0, 3, 3, 3, 8, 1, 0],
    "one class": [4] * BATCH,
    "each its own": list(range(BATCH)),
}


def made(labels: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    descriptors = functional.normalize(
        torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator), dim=1
    )
    proxies = torch.randn(CLASSES, DIM, dtype=torch.float64, generator=generator)
    return descriptors.requires_grad_(), proxies.requires_grad_(), torch.tensor(labels)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_equals_a_literal_loop(labels: list[int]) -> None:
    descriptors, proxies, targets = made(labels)
    alpha, delta = 32.0, 0.1
    pulls, pushes = [], []
    for c, p in enumerate(proxies.tolist()):
        similar, different = [], []
        for x, y in zip(descriptors.tolist(), labels, strict=True):
            cosine = sum(a * b for a, b in zip(x, p, strict=True)) / math.hypot(*p)
            if y == c:
                similar.append(math.exp(-alpha * (cosine - delta)))
            else:
                different.append(math.exp(alpha * (cosine + delta)))
        if similar:
            pulls.append(math.log1p(sum(similar)))
        pushes.append(math.log1p(sum(different)))
    expected = sum(pulls) / len(pulls) + sum(pushes) / CLASSES
    ours = proxy_anchor(descriptors, targets, proxies, scale=alpha, margin=delta)
    assert abs(ours.item() - expected) < 1e-10


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_equals_pytorch_metric_learning(labels: list[int]) -> None:
    descriptors, proxies, targets = made(labels)
    theirs = ProxyAnchorLoss(CLASSES, DIM)
    theirs.proxies.data = proxies.detach().clone()
    expected = theirs(descriptors, targets)
    value = proxy_anchor(descriptors, targets, proxies, scale=32.0, margin=0.1)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    ours = torch.autograd.grad(value, (descriptors, proxies))
    torch.testing.assert_close(
        ours, torch.autograd.grad(expected, (descriptors, theirs.proxies)), rtol=0, atol=1e-9
    )


def test_proxies_start_as_the_authors_do() -> None:
    loss = ProxyAnchor(200, 64, generator=torch.Generator().manual_seed(0))
    assert abs(float(loss.proxies.detach().std()) - math.sqrt(2 / 200)) < 2e-3
