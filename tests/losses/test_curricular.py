"""CurricularFace: a literal loop, its curriculum, and how it travels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from resight.losses import ArcFace, CurricularFace
from resight.losses.curricular import HardClasses, curricular_face, next_t

CLASSES, DIM, BATCH = 9, 6, 30


def made() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(CLASSES, DIM, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    descriptors = functional.normalize(
        torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator) + 0.5 * weights[labels], dim=1
    )
    return descriptors.requires_grad_(), weights.requires_grad_(), labels


def literal(
    descriptors: Tensor, labels: Tensor, weights: Tensor, t: float, scale: float, margin: float
) -> Tensor:
    """Written as the reference does it, over the whole matrix, class by class."""
    total, hard = torch.zeros((), dtype=torch.float64), 0
    unit = functional.normalize(weights, dim=1)
    for x, y in zip(functional.normalize(descriptors, dim=1), labels.tolist(), strict=True):
        own = x @ unit[y]
        with_margin = own * math.cos(margin) - (1 - own**2).sqrt() * math.sin(margin)
        logits = []
        for j in range(CLASSES):
            z = x @ unit[j]
            if j == y:
                z = (
                    with_margin
                    if own > math.cos(math.pi - margin)
                    else own - margin * math.sin(math.pi - margin)
                )
            elif z > with_margin:
                hard += 1
                z = z * (t + z)
            logits.append(scale * z)
        total = total + torch.stack(logits).logsumexp(0) - logits[y]
    assert 0 < hard < BATCH * (CLASSES - 1)
    return total / BATCH


@pytest.mark.parametrize("t", [0.0, 0.4])
def test_equals_a_literal_loop(t: float) -> None:
    descriptors, weights, labels = made()
    state = torch.tensor(t, dtype=torch.float64)
    value, _ = curricular_face(descriptors, labels, weights, state, scale=30.0, margin=0.15, update=False)
    expected = literal(descriptors, labels, weights, t, 30.0, 0.15)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(
        torch.autograd.grad(value, (descriptors, weights)),
        torch.autograd.grad(expected, (descriptors, weights)),
        rtol=0,
        atol=1e-10,
    )


def test_at_the_start_a_hard_class_counts_with_its_square() -> None:
    emphasis = HardClasses(torch.tensor([0.25]), torch.tensor(0.0), 2.0)
    cosines = torch.tensor([[0.5, 0.25, -0.5, 0.75]])
    torch.testing.assert_close(emphasis.logits(2 * cosines) / 2, torch.tensor([[0.25, 0.25, -0.5, 0.5625]]))


def test_t_is_a_slow_mean_of_the_own_cosines() -> None:
    assert float(next_t(torch.tensor(0.5), torch.tensor([0.2, 0.6]))) == pytest.approx(
        0.01 * 0.4 + 0.99 * 0.5
    )


def test_t_moves_in_training_only_and_before_it_is_used() -> None:
    descriptors, weights, labels = made()
    loss = CurricularFace(CLASSES, DIM, scale=30.0, margin=0.15).double()
    with torch.no_grad():
        loss.weights.copy_(weights)
    own = (descriptors * functional.normalize(weights, dim=1)[labels]).sum(1).mean().item()
    loss.eval()(descriptors, labels)
    assert loss.t.item() == 0
    first = loss.train()(descriptors, labels)
    assert loss.t.item() == pytest.approx(0.01 * own, abs=1e-12)
    expected = literal(descriptors, labels, weights, 0.01 * own, 30.0, 0.15)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-10)
    loss(descriptors, labels)
    assert loss.t.item() == pytest.approx(0.01 * own + 0.99 * 0.01 * own, abs=1e-12)


def test_a_later_step_does_not_change_the_gradient_of_an_earlier_one() -> None:
    descriptors, weights, labels = made()
    loss = CurricularFace(CLASSES, DIM, scale=30.0, margin=0.15).double()
    with torch.no_grad():
        loss.weights.copy_(weights)
        loss.t.fill_(0.3)
    (expected,) = torch.autograd.grad(loss.eval()(descriptors, labels), loss.weights)
    waiting = loss(descriptors, labels)
    loss.t.fill_(0.9)
    (found,) = torch.autograd.grad(waiting, loss.weights)
    assert torch.equal(found, expected)


def test_t_travels_in_the_state() -> None:
    descriptors, _, labels = made()
    loss = CurricularFace(CLASSES, DIM)
    loss(descriptors.float(), labels)
    state = loss.state_dict()
    assert sorted(state) == ["t", "weights"]
    other = CurricularFace(CLASSES, DIM)
    other.load_state_dict(state)
    assert other.t == loss.t != 0


def test_without_hard_classes_it_is_arcface() -> None:
    weights = torch.eye(DIM, dtype=torch.float64)
    labels = torch.arange(DIM)
    loss, plain = CurricularFace(DIM, DIM, margin=0.2).double(), ArcFace(DIM, DIM, margin=0.2).double()
    with torch.no_grad():
        loss.weights.copy_(weights)
        plain.weights.copy_(weights)
    near = functional.normalize(weights + 0.1, dim=1)
    torch.testing.assert_close(loss(near, labels), plain(near, labels), rtol=0, atol=1e-12)
