"""Contrastive loss: equal to literal loops over pairs and tuples."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from resight.errors import InvalidInput
from resight.losses import Contrastive, References, TupleContrastive
from resight.losses.contrastive_loss import contrastive, contrastive_tuples


def unit_vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def gradient_of(value, *leaves):
    return torch.autograd.grad(value, leaves)


def distance(a, b):
    return torch.stack([(x - y) ** 2 for x, y in zip(a, b, strict=True)]).sum().sqrt()


@pytest.mark.parametrize("reduction", ["active", "mean", "sum"])
def test_pairs_against_a_literal_loop(reduction):
    labels = [0, 0, 1, 1, 1, 2]
    descriptors = unit_vectors(6, 4).requires_grad_()
    positives, negatives = [], []
    for i in range(6):
        for j in range(6):
            if i == j:
                continue
            d = distance(descriptors[i], descriptors[j])
            if labels[i] == labels[j]:
                positives.append(d**2 / 2)
            else:
                negatives.append(max(1.3 - d, 0 * d) ** 2 / 2)
    if reduction == "active":
        paying = [each for each in negatives if each > 0]
        assert 0 < len(paying) < len(negatives)
        expected = sum(positives) / len(positives) + sum(paying) / len(paying)
    else:
        expected = sum(positives) + sum(negatives)
        if reduction == "mean":
            expected = expected / 30
    value = contrastive(descriptors, torch.tensor(labels), margin=1.3, reduction=reduction)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    (ours,), (theirs,) = gradient_of(value, descriptors), gradient_of(expected, descriptors)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_positive_pairs_that_coincide_do_not_count_among_the_active_ones():
    descriptors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # Of six directed pairs four are at squared distance 2 and two at 0: half of 2 is the mean of the four.
    value = contrastive(descriptors, torch.tensor([0, 0, 0]), margin=0.5, reduction="active")
    assert float(value) == pytest.approx(1.0, rel=1e-12)


def test_references_against_a_literal_loop():
    descriptors, others = unit_vectors(3, 4), unit_vectors(5, 4, seed=1)
    labels, of_others = [0, 1, 2], [0, 0, 1, 3, 2]
    expected = 0.0
    for i in range(3):
        for j in range(5):
            if (i, j) == (0, 1):
                continue
            d = float(distance(descriptors[i], others[j]))
            expected += d**2 / 2 if labels[i] == of_others[j] else max(0, 1.3 - d) ** 2 / 2
    references = References(others, torch.tensor(of_others), own=torch.tensor([1, -1, -1]))
    value = Contrastive(margin=1.3, reduction="sum")(descriptors, torch.tensor(labels), references)
    assert float(value) == pytest.approx(expected, rel=1e-12)


def test_tuples_against_a_literal_loop():
    anchors, positives, negatives = (
        unit_vectors(3, 4),
        unit_vectors(3, 4, seed=1),
        unit_vectors(3, 5, 4, seed=2),
    )
    leaves = [each.requires_grad_() for each in (anchors, positives, negatives)]
    expected = torch.zeros((), dtype=torch.float64)
    paying = 0
    for t in range(3):
        expected = expected + sum((anchors[t, k] - positives[t, k] + 1e-3) ** 2 for k in range(4)) / 2
        for n in range(5):
            d = sum((anchors[t, k] - negatives[t, n, k] + 1e-3) ** 2 for k in range(4)).sqrt()
            if d < 1.3:
                paying += 1
                expected = expected + (1.3 - d) ** 2 / 2
    assert 0 < paying < 15
    value = contrastive_tuples(*leaves, margin=1.3, epsilon=1e-3)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    for ours, theirs in zip(gradient_of(value, *leaves), gradient_of(expected, *leaves), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_tuples_by_hand():
    anchors = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    positives = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    negatives = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.8, 0.6]]], dtype=torch.float64)
    # The positive is sqrt 2 away; the negatives 0, 2 and sqrt 0.4, with a margin of 0.7.
    expected = 2 / 2 + 0.7**2 / 2 + 0 + (0.7 - math.sqrt(0.4)) ** 2 / 2
    value = TupleContrastive(epsilon=0)(anchors, positives, negatives)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    assert float(TupleContrastive()(anchors, positives, negatives)) == pytest.approx(expected, abs=1e-5)


def test_epsilon_is_inside_the_square():
    """Coincident descriptors of dim d are epsilon·sqrt(d) apart."""
    one = unit_vectors(1, 16)
    value = contrastive_tuples(one, one, one[:, None], margin=1.0, epsilon=0.01)
    assert float(value) == pytest.approx(16 * 0.01**2 / 2 + (1 - 0.04) ** 2 / 2, rel=1e-9)


def test_sum_over_tuples_not_mean():
    anchors, positives, negatives = (
        unit_vectors(3, 4),
        unit_vectors(3, 4, seed=1),
        unit_vectors(3, 5, 4, seed=2),
    )
    loss = TupleContrastive(margin=0.85)
    one_by_one = sum(loss(anchors[t : t + 1], positives[t : t + 1], negatives[t : t + 1]) for t in range(3))
    torch.testing.assert_close(loss(anchors, positives, negatives), one_by_one, rtol=1e-12, atol=0)


@pytest.mark.parametrize("epsilon", [0.0, 1e-6])
def test_tuples_finite_where_all_coincide(epsilon):
    one = unit_vectors(2, 4).float().requires_grad_()
    value = TupleContrastive(epsilon=epsilon)(one, one, one[:, None])
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(one.grad).all()


def test_tuples_finite_where_epsilon_cancels_the_difference():
    """A negative exactly epsilon above its anchor is at distance 0."""
    anchor = torch.zeros(1, 3, requires_grad=True)
    value = contrastive_tuples(anchor, anchor.detach(), torch.full((1, 1, 3), 0.5), margin=0.7, epsilon=0.5)
    value.backward()
    assert torch.isfinite(anchor.grad).all()


def test_tuples_without_negatives_or_tuples():
    anchors, positives = unit_vectors(2, 4).requires_grad_(), unit_vectors(2, 4, seed=1)
    value = TupleContrastive()(anchors, positives, torch.zeros(2, 0, 4, dtype=torch.float64))
    assert float(value.detach()) == pytest.approx(
        float((anchors.detach() - positives).square().sum() / 2), abs=1e-5
    )
    value = TupleContrastive()(anchors[:0], positives[:0], torch.zeros(0, 3, 4, dtype=torch.float64))
    value.backward()
    assert value == 0


def test_tuples_in_half_precision():
    vectors = [
        unit_vectors(2, 4).half(),
        unit_vectors(2, 4, seed=1).half(),
        unit_vectors(2, 3, 4, seed=2).half(),
    ]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = TupleContrastive(margin=1.4)(*vectors)
    assert value.dtype == torch.float32
    assert torch.equal(value, TupleContrastive(margin=1.4)(*[each.float() for each in vectors]))


def test_tuples_of_wrong_shapes():
    with pytest.raises(InvalidInput, match=r"got \(2, 4\), \(3, 4\) and \(2, 5, 4\)"):
        contrastive_tuples(torch.zeros(2, 4), torch.zeros(3, 4), torch.zeros(2, 5, 4), margin=0.7, epsilon=0)
    with pytest.raises(InvalidInput, match=r"and \(2, 4\)"):
        contrastive_tuples(torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(2, 4), margin=0.7, epsilon=0)
