"""ArcFace and sub-centre ArcFace: literal loops over angles, and pytorch-metric-learning."""

from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, SubCenterArcFaceLoss
from torch import Tensor
from torch.nn import functional

from resight.errors import InvalidInput
from resight.losses import ArcFace, SubCentreArcFace
from resight.losses.arcface_loss import arcface
from resight.losses.margins import MarginRule

CLASSES, DIM, BATCH = 9, 6, 40


def made(centres: int | None = None, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (CLASSES, DIM) if centres is None else (CLASSES, centres, DIM)
    weights = torch.randn(*shape, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    descriptors = torch.randn(BATCH, DIM, dtype=torch.float64, generator=generator)
    # The last few point nearly away from their class, beyond the last angle of the margin.
    away = -weights.reshape(CLASSES, -1, DIM)[labels[-4:], 0] + 0.3 * descriptors[-4:]
    descriptors = functional.normalize(torch.cat([descriptors[:-4], away]), dim=1)
    return descriptors.requires_grad_(), weights.requires_grad_(), labels


def angle(x: list[float], w: list[float]) -> float:
    cosine = sum(a * b for a, b in zip(x, w, strict=True)) / math.hypot(*x) / math.hypot(*w)
    return math.acos(max(-1.0, min(1.0, cosine)))


def literal(
    descriptors: Tensor, labels: Tensor, weights: Tensor, scale: float, margin: float, rule: str
) -> float:
    total, beyond = 0.0, 0
    for x, y in zip(descriptors.tolist(), labels.tolist(), strict=True):
        angles = [min(angle(x, w) for w in centres) for centres in weights.reshape(CLASSES, -1, DIM).tolist()]
        logits = [scale * math.cos(theta) for theta in angles]
        if angles[y] <= math.pi - margin:
            logits[y] = scale * math.cos(angles[y] + margin)
        else:
            beyond += 1
            if rule == "insightface":
                logits[y] -= scale * margin * math.sin(math.pi - margin)
        total += math.log(sum(math.exp(z) for z in logits)) - logits[y]
    assert beyond > 0 or weights.ndim == 3
    return total / len(labels)


@pytest.mark.parametrize("rule", ["delg", "insightface"])
@pytest.mark.parametrize("centres", [None, 3])
def test_equals_a_literal_loop(rule: MarginRule, centres: int | None) -> None:
    descriptors, weights, labels = made(centres)
    value = arcface(descriptors, labels, weights, scale=30.0, margin=0.5, rule=rule)
    assert abs(value.item() - literal(descriptors, labels, weights, 30.0, 0.5, rule)) < 1e-9


def test_equals_pytorch_metric_learning_with_its_margin_in_degrees() -> None:
    descriptors, weights, labels = made()
    theirs = ArcFaceLoss(CLASSES, DIM, margin=28.6, scale=64)
    theirs.W.data = weights.detach().T.clone()
    expected = theirs(descriptors, labels)
    value = arcface(descriptors, labels, weights, scale=64.0, margin=math.radians(28.6), rule="insightface")
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-9)
    ours = torch.autograd.grad(value, (descriptors, weights))
    pulls = torch.autograd.grad(expected, (descriptors, theirs.W))
    torch.testing.assert_close(ours[0], pulls[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(ours[1], pulls[1].T, rtol=0, atol=1e-9)


def test_sub_centres_equal_pytorch_metric_learning() -> None:
    descriptors, weights, labels = made(3)
    theirs = SubCenterArcFaceLoss(
        num_classes=CLASSES, embedding_size=DIM, margin=28.6, scale=64, sub_centers=3
    )
    theirs.W.data = weights.detach().reshape(-1, DIM).T.clone()
    expected = theirs(descriptors, labels)
    value = arcface(descriptors, labels, weights, scale=64.0, margin=math.radians(28.6), rule="insightface")
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-9)
    ours = torch.autograd.grad(value, (descriptors, weights))
    pulls = torch.autograd.grad(expected, (descriptors, theirs.W))
    torch.testing.assert_close(ours[0], pulls[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(ours[1].reshape(-1, DIM), pulls[1].T, rtol=0, atol=1e-9)


def test_equals_it_in_single_precision_over_many_blocks() -> None:
    generator = torch.Generator().manual_seed(1)
    classes, dim, batch = 20_000, 16, 128
    descriptors = functional.normalize(torch.randn(batch, dim, generator=generator), dim=1).requires_grad_()
    loss = ArcFace(classes, dim, scale=64.0, margin=math.radians(28.6), generator=generator)
    labels = torch.randint(0, classes, (batch,), generator=generator)
    theirs = ArcFaceLoss(classes, dim, margin=28.6, scale=64)
    theirs.W.data = loss.weights.detach().T.clone()
    value, expected = loss(descriptors, labels), theirs(descriptors, labels)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    ours = torch.autograd.grad(value, (descriptors, loss.weights))
    pulls = torch.autograd.grad(expected, (descriptors, theirs.W))
    torch.testing.assert_close(ours[0], pulls[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours[1], pulls[1].T, rtol=1e-4, atol=1e-5)


def test_one_sub_centre_is_arcface() -> None:
    descriptors, weights, labels = made()
    one = arcface(descriptors, labels, weights, scale=30.0, margin=0.3, rule="insightface")
    same = arcface(descriptors, labels, weights[:, None], scale=30.0, margin=0.3, rule="insightface")
    assert torch.equal(one, same)


def test_without_a_margin_it_is_normalised_softmax() -> None:
    descriptors, weights, labels = made()
    cosines = descriptors @ functional.normalize(weights, dim=1).T
    expected = functional.cross_entropy(30 * cosines, labels)
    value = arcface(descriptors, labels, weights, scale=30.0, margin=0.0, rule="insightface")
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)


def test_a_learned_scale_has_a_gradient() -> None:
    descriptors, weights, labels = made()
    loss = ArcFace(CLASSES, DIM, scale=8.0, margin=0.1, rule="delg", learn_scale=True).double()
    assert [name for name, _ in loss.named_parameters()] == ["scale", "weights"]
    with torch.no_grad():
        loss.weights.copy_(weights)

    loss(descriptors[:-4], labels[:-4]).backward()
    shorter, kept = descriptors[:-4], labels[:-4]

    def finite(scale: float) -> float:
        return arcface(shorter, kept, weights, scale=scale, margin=0.1, rule="delg").item()

    assert isinstance(loss.scale, Tensor)
    assert loss.scale.grad is not None
    slope = (finite(8 + 1e-4) - finite(8 - 1e-4)) / 2e-4
    assert abs(loss.scale.grad.item() - slope) < 1e-7


def test_a_scale_that_is_not_learned_is_a_number() -> None:
    loss = ArcFace(CLASSES, DIM, scale=8.0)
    assert [name for name, _ in loss.named_parameters()] == ["weights"]
    assert loss.scale == 8.0


def test_weights_start_glorot_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    bound = math.sqrt(6 / (300 + 20))
    assert 0.99 * bound < float(ArcFace(300, 20, generator=generator).weights.detach().abs().max()) <= bound
    centred = SubCentreArcFace(300, 20, centres=2, generator=generator).weights.detach()
    assert centred.shape == (300, 2, 20)
    assert float(centred.abs().max()) <= math.sqrt(6 / (600 + 20))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"at most 1\.571 and finite, in radians"):
        ArcFace(4, 4, margin=28.6)
    with pytest.raises(InvalidInput, match="scale must be positive and finite, not 0"):
        ArcFace(4, 4, scale=0)
    with pytest.raises(InvalidInput, match="centres must be positive, not 0"):
        SubCentreArcFace(4, 4, centres=0)
