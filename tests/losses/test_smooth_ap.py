"""Smooth-AP: equal to a literal loop and to pytorch-metric-learning, and near true average precision."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import SmoothAPLoss
from sklearn.metrics import average_precision_score
from torch.nn import functional

from resight.losses import References, SmoothAP
from resight.losses.smooth_ap_loss import smooth_ap


def unit_vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def literally(descriptors, labels, others, of_others, own, temperature):
    lacks = []
    for q in range(len(labels)):
        s = [(descriptors[q] * other).sum() for other in others]
        positives = [j for j in range(len(s)) if of_others[j] == labels[q] and j != own[q]]
        negatives = [j for j in range(len(s)) if of_others[j] != labels[q]]
        if not positives:
            continue
        precision = 0
        for i in positives:
            above = 1 + sum(1 / (1 + torch.exp(-(s[j] - s[i]) / temperature)) for j in positives if j != i)
            false = sum(1 / (1 + torch.exp(-(s[j] - s[i]) / temperature)) for j in negatives)
            precision = precision + above / (above + false)
        lacks.append(1 - precision / len(positives))
    return sum(lacks) / len(lacks)


@pytest.mark.parametrize("temperature", [0.01, 0.1])
def test_against_a_literal_loop(temperature):
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3]
    descriptors = unit_vectors(10, 5).requires_grad_()
    expected = literally(descriptors, labels, descriptors, labels, range(10), temperature)
    value = smooth_ap(descriptors, torch.tensor(labels), temperature=temperature)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(each, descriptors)[0] for each in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_references_against_a_literal_loop():
    descriptors, others = unit_vectors(3, 4), unit_vectors(7, 4, seed=1)
    labels, of_others, own = [0, 1, 2], [0, 0, 1, 3, 2, 0, 0], [1, -1, 4]
    expected = literally(descriptors, labels, others, of_others, own, 0.01)
    references = References(others, torch.tensor(of_others), own=torch.tensor(own))
    value = SmoothAP()(descriptors, torch.tensor(labels), references)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("temperature", [0.01, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_pytorch_metric_learning(temperature, dtype):
    """Theirs counts the query among its own positives: so does ours if the references have no own copies.

    Theirs (2.9.0) also takes the size of a class for the number of classes: here both are 5.
    """
    labels = torch.arange(25) // 5
    raw = (unit_vectors(25, 16) + 0.5 * unit_vectors(5, 16, seed=5)[labels]).to(dtype) * 3
    a, b = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    expected = SmoothAPLoss(temperature=temperature)(a, labels)
    unit = functional.normalize(b)
    value = SmoothAP(temperature=temperature)(unit, labels, References(unit, labels))
    # Theirs adds up in float32 whatever comes in.
    torch.testing.assert_close(value, expected.to(dtype), rtol=1e-5, atol=1e-5)
    expected.backward()
    value.backward()
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-5, atol=1e-5)


def test_a_cold_step_gives_average_precision():
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    descriptors = unit_vectors(10, 5)
    precisions = []
    for q in range(10):
        rest = [j for j in range(10) if j != q]
        scores = (descriptors[rest] @ descriptors[q]).numpy()
        precisions.append(average_precision_score((labels[rest] == labels[q]).numpy(), scores))
    value = smooth_ap(descriptors, labels, temperature=1e-6)
    assert float(value) == pytest.approx(1 - sum(precisions) / 10, abs=1e-9)


def test_by_hand():
    """One positive behind one negative, by ten times the temperature."""
    query = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    others = torch.tensor([[s, math.sqrt(1 - s * s)] for s in (0.5, 0.6)], dtype=torch.float64)
    value = smooth_ap(query, torch.tensor([0]), References(others, torch.tensor([0, 1])), temperature=0.01)
    step = 1 / (1 + math.exp(-10))
    assert float(value) == pytest.approx(1 - 1 / (1 + step), rel=1e-12)
