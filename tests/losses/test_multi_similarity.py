"""Multi-similarity loss: equal to a literal loop and to pytorch-metric-learning, mined or not."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import MultiSimilarityLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch.nn import functional

from resight.losses import MultiSimilarity, References
from resight.losses.multi_similarity_loss import multi_similarity


def unit_vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def literally(descriptors, labels, others, of_others, own, epsilon):
    total = torch.zeros((), dtype=torch.float64)
    dropped = 0
    for a in range(len(labels)):
        similarities = [(descriptors[a] * other).sum() for other in others]
        positives = [s for j, s in enumerate(similarities) if of_others[j] == labels[a] and j != own[a]]
        negatives = [s for j, s in enumerate(similarities) if of_others[j] != labels[a]]
        if epsilon is not None:
            if not positives or not negatives:
                continue
            kept_positives = [s for s in positives if s < max(negatives) + epsilon]
            kept_negatives = [s for s in negatives if s > min(positives) - epsilon]
            dropped += len(positives) + len(negatives) - len(kept_positives) - len(kept_negatives)
            positives, negatives = kept_positives, kept_negatives
        near = 1 + sum(torch.exp(-2 * (s - 0.5)) for s in positives)
        far = 1 + sum(torch.exp(50 * (s - 0.5)) for s in negatives)
        total = total + torch.log(torch.as_tensor(near)) / 2 + torch.log(torch.as_tensor(far)) / 50
    assert epsilon is None or dropped > 0
    return total / len(labels)


@pytest.mark.parametrize("epsilon", [None, 0.1, 0.0])
def test_against_a_literal_loop(epsilon):
    labels = [0, 0, 0, 1, 1, 2, 2, 3]
    descriptors = functional.normalize(
        unit_vectors(8, 5) + 0.7 * unit_vectors(4, 5, seed=5)[labels]
    ).requires_grad_()
    expected = literally(descriptors, labels, descriptors, labels, range(8), epsilon)
    value = multi_similarity(descriptors, torch.tensor(labels), alpha=2, beta=50, base=0.5, epsilon=epsilon)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(each, descriptors)[0] for each in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_references_against_a_literal_loop():
    descriptors, others = unit_vectors(3, 4), unit_vectors(6, 4, seed=1)
    labels, of_others, own = [0, 1, 2], [0, 0, 1, 3, 2, 0], [1, -1, 4]
    expected = literally(descriptors, labels, others, of_others, own, 0.1)
    references = References(others, torch.tensor(of_others), own=torch.tensor(own))
    value = MultiSimilarity()(descriptors, torch.tensor(labels), references)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("epsilon", [None, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_pytorch_metric_learning(epsilon, dtype):
    labels = torch.arange(24) % 6
    raw = (unit_vectors(24, 16) + 0.5 * unit_vectors(6, 16, seed=5)[labels]).to(dtype) * 3
    a, b = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    mined = None if epsilon is None else MultiSimilarityMiner(epsilon)(a, labels)
    expected = MultiSimilarityLoss(alpha=2, beta=50, base=0.5)(a, labels, mined)
    value = MultiSimilarity(epsilon=epsilon)(functional.normalize(b), labels)
    expected.backward()
    value.backward()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-5, atol=1e-5)


def test_mining_by_hand():
    """One anchor, its positives at 0.9 and 0.5, its negatives at 0.55 and 0.3: 0.9 and 0.3 are too easy."""
    anchor = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    similarities = [0.9, 0.5, 0.55, 0.3]
    others = torch.tensor([[s, math.sqrt(1 - s * s)] for s in similarities], dtype=torch.float64)
    references = References(others, torch.tensor([0, 0, 1, 1]))
    value = multi_similarity(anchor, torch.tensor([0]), references, alpha=2, beta=50, base=0.5, epsilon=0.1)
    expected = math.log(1 + math.exp(-2 * 0.0)) / 2 + math.log(1 + math.exp(50 * 0.05)) / 50
    assert float(value) == pytest.approx(expected, rel=1e-12)


def test_a_pair_exactly_at_the_margin_of_mining_is_dropped():
    """The negative is as similar as the hardest positive, or as the easiest one would have to be."""
    anchor = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    references = References(torch.tensor([[0.5, 0.5], [0.5, -0.5]]).double(), torch.tensor([0, 1]))
    value = multi_similarity(anchor, torch.tensor([0]), references, alpha=2, beta=50, base=0.5, epsilon=0.0)
    assert float(value) == 0.0


def test_large_beta_does_not_overflow():
    descriptors = unit_vectors(4, 3).float()
    value = multi_similarity(
        descriptors, torch.tensor([0, 0, 1, 1]), alpha=2, beta=1e4, base=0.5, epsilon=None
    )
    assert torch.isfinite(value)
