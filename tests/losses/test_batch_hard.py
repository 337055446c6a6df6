"""Batch-hard triplet loss: equal to a literal loop and to pytorch-metric-learning."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch.nn import functional

from resight.losses import BatchHardTriplet, References
from resight.losses.batch_hard import batch_hard_triplet


def unit_vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("soft", [False, True])
def test_against_a_literal_loop(soft):
    """Over all anchors, those that cost nothing and those without a positive included."""
    labels = [0, 0, 0, 1, 1, 2, 2, 3]
    descriptors = functional.normalize(
        unit_vectors(8, 5) + 2 * unit_vectors(4, 5, seed=5)[labels]
    ).requires_grad_()
    total, paying = torch.zeros((), dtype=torch.float64), 0
    for a in range(8):
        positives = [
            (descriptors[a] - descriptors[p]).norm() for p in range(8) if p != a and labels[p] == labels[a]
        ]
        negatives = [(descriptors[a] - descriptors[n]).norm() for n in range(8) if labels[n] != labels[a]]
        if not positives:
            continue
        difference = max(positives) - min(negatives)
        if soft:
            total = total + torch.log(1 + torch.exp(difference))
        elif difference + 0.1 > 0:
            paying += 1
            total = total + difference + 0.1
    assert soft or 0 < paying < 7
    value = batch_hard_triplet(descriptors, torch.tensor(labels), margin=0.1, soft=soft)
    torch.testing.assert_close(value, total / 8, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(each, descriptors)[0] for each in (value, total / 8))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_pytorch_metric_learning(soft, dtype):
    raw = unit_vectors(24, 16).to(dtype) * 3
    labels = torch.arange(24) % 6
    miner = BatchHardMiner()
    theirs = TripletMarginLoss(margin=0 if soft else 0.1, smooth_loss=soft, reducer=MeanReducer())
    a, b = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    expected = theirs(a, labels, miner(a, labels))
    value = BatchHardTriplet(soft=soft)(functional.normalize(b), labels)
    expected.backward()
    value.backward()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-5, atol=1e-5)


def test_references_against_a_literal_loop():
    descriptors, others = unit_vectors(3, 4), unit_vectors(6, 4, seed=1)
    labels, of_others, own = [0, 1, 2], [0, 0, 1, 3, 2, 0], [1, -1, 4]
    terms = []
    for a in range(3):
        near = [
            float((descriptors[a] - others[p]).norm())
            for p in range(6)
            if of_others[p] == labels[a] and p != own[a]
        ]
        far = [float((descriptors[a] - others[n]).norm()) for n in range(6) if of_others[n] != labels[a]]
        terms.append(max(0.0, max(near) - min(far) + 1.0) if near else 0.0)
    assert terms[2] == 0
    references = References(others, torch.tensor(of_others), own=torch.tensor(own))
    value = BatchHardTriplet(margin=1.0)(descriptors, torch.tensor(labels), references)
    assert float(value) == pytest.approx(sum(terms) / 3, rel=1e-12)


def test_equally_hard_ones_share_the_gradient():
    """So that the result does not depend on which comes first."""
    anchor = torch.tensor([1.0, 0.0], dtype=torch.float64)
    up = torch.tensor([0.0, 1.0], dtype=torch.float64)
    references = torch.stack([up, up, anchor, anchor]).requires_grad_()
    against = References(references, torch.tensor([0, 0, 1, 1]))
    value = batch_hard_triplet(anchor[None], torch.tensor([0]), against, margin=0.5, soft=False)
    value.backward()
    assert float(value.detach()) == pytest.approx(math.sqrt(2) + 0.5)
    assert torch.equal(references.grad[0], references.grad[1])
    assert references.grad[0].abs().max() > 0.1


def test_default_margin():
    labels = torch.arange(24) % 6
    value = BatchHardTriplet()(unit_vectors(24, 8), labels)
    torch.testing.assert_close(value, batch_hard_triplet(unit_vectors(24, 8), labels, margin=0.1, soft=False))
