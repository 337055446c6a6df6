"""HardTriple: a literal loop, and SoftTriple's limit."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from resight.losses.centre_spread import centre_spread
from resight.losses.hard_triple_loss import hard_triple
from resight.losses.soft_triple_loss import soft_triple

CLASSES, CENTRES, DIM, BATCH = 7, 4, 6, 8


def made() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    descriptors = functional.normalize(
        torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator), dim=1
    )
    centres = torch.randn(CLASSES, CENTRES, DIM, dtype=torch.float64, generator=generator)
    return (
        descriptors.requires_grad_(),
        centres.requires_grad_(),
        torch.randint(0, CLASSES, (BATCH,), generator=generator),
    )


def test_equals_a_literal_loop() -> None:
    descriptors, centres, labels = made()
    total = 0.0
    for x, y in zip(descriptors.tolist(), labels.tolist(), strict=True):
        logits = [
            20 * max(sum(a * b for a, b in zip(x, w, strict=True)) / math.hypot(*w) for w in of_class)
            for of_class in centres.tolist()
        ]
        logits[y] -= 20 * 0.01
        total += math.log(sum(math.exp(z) for z in logits)) - logits[y]
    expected = total / BATCH + 0.3 * centre_spread(centres).item()
    value = hard_triple(descriptors, labels, centres, scale=20.0, margin=0.01, tau=0.3)
    assert abs(value.item() - expected) < 1e-10


def test_is_what_soft_triple_becomes_as_gamma_vanishes() -> None:
    descriptors, centres, labels = made()
    hard = hard_triple(descriptors, labels, centres, scale=20.0, margin=0.01, tau=0.2)
    soft = soft_triple(descriptors, labels, centres, scale=20.0, gamma=1e-4, margin=0.01, tau=0.2)
    torch.testing.assert_close(soft, hard, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        torch.autograd.grad(soft, centres)[0], torch.autograd.grad(hard, centres)[0], rtol=0, atol=1e-7
    )
