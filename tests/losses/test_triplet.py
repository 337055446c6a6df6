"""Triplet loss: equal to literal loops and to pytorch-metric-learning."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer, SumReducer
from torch.nn import functional

from resight.losses import References, Triplet, TupleTriplet
from resight.losses.triplet_loss import triplet, triplet_tuples

LABELS = [0, 0, 0, 1, 1, 2, 2, 3]
REDUCERS = {"active": AvgNonZeroReducer, "mean": MeanReducer, "sum": SumReducer}
distances = pytest.mark.parametrize("distance", ["euclidean", "squared"])
reductions = pytest.mark.parametrize("reduction", ["active", "mean", "sum"])


def unit_vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def apart(a, b, distance):
    square = ((a - b) ** 2).sum()
    return square if distance == "squared" else square.sqrt()


@distances
@reductions
def test_against_a_literal_loop(distance, reduction):
    descriptors = unit_vectors(8, 5).requires_grad_()
    terms = []
    for a in range(8):
        for p in range(8):
            for n in range(8):
                if a != p and LABELS[a] == LABELS[p] and LABELS[a] != LABELS[n]:
                    near = apart(descriptors[a], descriptors[p], distance)
                    far = apart(descriptors[a], descriptors[n], distance)
                    terms.append(max(near - far + 0.2, 0 * near))
    paying = [term for term in terms if term > 0]
    assert 0 < len(paying) < len(terms)
    count = {"active": len(paying), "mean": len(terms), "sum": 1}[reduction]
    expected = sum(terms) / count
    value = triplet(descriptors, torch.tensor(LABELS), margin=0.2, distance=distance, reduction=reduction)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(each, descriptors)[0] for each in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@distances
@reductions
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_pytorch_metric_learning(distance, reduction, dtype):
    raw = unit_vectors(24, 16).to(dtype) * 3
    labels = torch.arange(24) % 5
    theirs = TripletMarginLoss(
        margin=0.2,
        distance=LpDistance(power=2 if distance == "squared" else 1),
        reducer=REDUCERS[reduction](),
    )
    ours = Triplet(margin=0.2, distance=distance, reduction=reduction)
    a, b = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    expected, value = theirs(a, labels), ours(functional.normalize(b), labels)
    expected.backward()
    value.backward()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-5, atol=1e-5)


def test_references_against_a_literal_loop():
    descriptors, others = unit_vectors(3, 4), unit_vectors(6, 4, seed=1)
    labels, of_others, own = [0, 1, 2], [0, 0, 1, 3, 2, 0], [1, -1, 4]
    expected = 0.0
    for a in range(3):
        for p in range(6):
            for n in range(6):
                if p != own[a] and labels[a] == of_others[p] and labels[a] != of_others[n]:
                    near = apart(descriptors[a], others[p], "euclidean")
                    far = apart(descriptors[a], others[n], "euclidean")
                    expected += max(0.0, float(near - far) + 0.2)
    references = References(others, torch.tensor(of_others), own=torch.tensor(own))
    value = Triplet(margin=0.2, reduction="sum")(descriptors, torch.tensor(labels), references)
    assert float(value) == pytest.approx(expected, rel=1e-12)


@distances
def test_tuples_against_a_literal_loop(distance):
    leaves = [unit_vectors(3, 4), unit_vectors(3, 4, seed=1), unit_vectors(3, 5, 4, seed=2)]
    anchors, positives, negatives = (each.requires_grad_() for each in leaves)
    expected = torch.zeros((), dtype=torch.float64)
    paying = 0
    for t in range(3):
        for n in range(5):
            near = apart(anchors[t], positives[t], distance)
            far = apart(anchors[t], negatives[t, n], distance)
            if near - far + 0.3 > 0:
                paying += 1
                expected = expected + near - far + 0.3
    assert 0 < paying < 15
    value = triplet_tuples(anchors, positives, negatives, margin=0.3, distance=distance)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(each, leaves) for each in (value, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_tuples_by_hand():
    """Squared by default, summed over negatives and tuples."""
    anchors = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    positives = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    negatives = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]]], dtype=torch.float64)
    assert float(TupleTriplet(margin=0.5)(anchors, positives, negatives)) == pytest.approx(2.5 + 0 + 0.5)
    assert float(triplet_tuples(anchors, positives, negatives, margin=0.5, distance="euclidean")) == (
        pytest.approx(2**0.5 + 0.5 + 0 + 0.5)
    )


@distances
def test_tuples_finite_where_all_coincide(distance):
    one = unit_vectors(2, 4).float().requires_grad_()
    value = TupleTriplet(distance=distance)(one, one, one[:, None])
    value.backward()
    assert float(value.detach()) == pytest.approx(0.2)
    assert (one.grad == 0).all()


def test_tuples_of_none():
    anchors = unit_vectors(2, 4).requires_grad_()
    value = TupleTriplet()(anchors, anchors.detach(), torch.zeros(2, 0, 4, dtype=torch.float64))
    value.backward()
    assert value == 0
    assert (anchors.grad == 0).all()


def test_tuples_in_half_precision():
    vectors = [
        unit_vectors(2, 4).half(),
        unit_vectors(2, 4, seed=1).half(),
        unit_vectors(2, 3, 4, seed=2).half(),
    ]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = TupleTriplet(margin=1.4)(*vectors)
    assert value.dtype == torch.float32
    assert torch.equal(value, TupleTriplet(margin=1.4)(*[each.float() for each in vectors]))
