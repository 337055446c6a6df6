"""Cross-entropy with temperature and label smoothing: a literal loop and the edges."""

from __future__ import annotations

import math

import pytest
import torch

from resight.errors import InvalidInput
from resight.losses import Classification
from resight.losses.classification_loss import classification


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_a_literal_loop(temperature: float, smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, dtype=torch.float64, generator=generator)
    labels = torch.tensor([0, 3, 1, 1, 2])
    total = 0.0
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        whole = math.log(sum(math.exp(z / temperature) for z in row))
        for c, z in enumerate(row):
            share = smoothing / 4 + (1 - smoothing) * (c == y)
            total -= share * (z / temperature - whole)
    value = classification(logits, labels, temperature=temperature, smoothing=smoothing)
    assert abs(value.item() - total / 5) < 1e-12


def test_defaults_are_those_of_cgd() -> None:
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([5, 0, 2])
    assert torch.equal(
        Classification()(logits, labels), classification(logits, labels, temperature=0.5, smoothing=0.1)
    )


def test_float32_inside_whatever_autocast_says() -> None:
    logits = (100 * torch.randn(4, 8, generator=torch.Generator().manual_seed(0))).bfloat16().requires_grad_()
    labels = torch.tensor([1, 2, 3, 4])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = Classification()(logits, labels)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.equal(value, Classification()(logits.detach().float(), labels))
    assert logits.grad is not None


def test_wrong_inputs_are_refused() -> None:
    loss = Classification()
    with pytest.raises(InvalidInput, match="labels reach from 0 to 4, but there are 4 classes"):
        loss(torch.ones(2, 4), torch.tensor([0, 4]))
    with pytest.raises(InvalidInput, match=r"logits of shape \(4,\) cannot be classified"):
        loss(torch.ones(4), torch.tensor([0]))
    with pytest.raises(
        InvalidInput, match="smoothing must be zero or positive and below 1 and finite, not 1"
    ):
        Classification(smoothing=1)
    with pytest.raises(InvalidInput, match="temperature must be positive"):
        Classification(temperature=0)
