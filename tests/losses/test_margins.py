"""Angular margins against the angles themselves, at and beyond the edges."""

from __future__ import annotations

import math

import pytest
import torch

from resight.errors import InvalidInput
from resight.losses import ArcFace
from resight.losses.margins import MarginRule, cosine_of_sum, with_margin


def literal(cosine: float, margin: float, rule: str) -> float:
    angle = math.acos(cosine)
    if angle <= math.pi - margin:
        return math.cos(angle + margin)
    if rule == "delg":
        return math.cos(angle)
    return math.cos(angle) - margin * math.sin(math.pi - margin)


@pytest.mark.parametrize("rule", ["delg", "insightface"])
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.15, 0.5])
def test_equals_the_angles(rule: MarginRule, margin: float) -> None:
    cosines = torch.linspace(-0.9999, 0.9999, 401, dtype=torch.float64)
    expected = [literal(float(cosine), margin, rule) for cosine in cosines]
    torch.testing.assert_close(with_margin(cosines, margin, rule).tolist(), expected, rtol=0, atol=1e-12)


def test_the_rules_differ_only_beyond_the_last_angle() -> None:
    cosines = torch.cos(torch.linspace(0.01, 3.13, 400, dtype=torch.float64))
    differ = with_margin(cosines, 0.5, "delg") != with_margin(cosines, 0.5, "insightface")
    assert torch.equal(differ, cosines < math.cos(math.pi - 0.5))
    assert 0 < differ.sum() < 400


@pytest.mark.parametrize("rule", ["delg", "insightface"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_and_past_the_edges(rule: MarginRule, dtype: torch.dtype) -> None:
    cosines = torch.tensor([1.0, -1.0, 1 + 1e-6, -1 - 1e-6, 1 - 1e-7], dtype=dtype, requires_grad=True)
    values = with_margin(cosines, 0.5, rule)
    values.sum().backward()
    assert cosines.grad is not None
    assert values.isfinite().all()
    assert cosines.grad.isfinite().all()
    # At cos = 1 the loss still knows in which direction the angle shrinks.
    assert cosines.grad[0] > 0


def test_cosine_of_sum_is_exact_up_to_the_floor() -> None:
    angles = torch.linspace(0.002, math.pi - 0.002, 300, dtype=torch.float64)
    torch.testing.assert_close(cosine_of_sum(angles.cos(), 0.3), (angles + 0.3).cos(), rtol=0, atol=1e-12)


def test_degrees_and_unknown_rules_are_refused() -> None:
    degrees = (
        r"ArcFace: margin must be zero or positive and at most 1\.571 .*\(28\.6 degrees are 0\.5\), not 28\.6"
    )
    with pytest.raises(InvalidInput, match=degrees):
        ArcFace(4, 4, margin=28.6)
    with pytest.raises(InvalidInput, match="rule must be delg or insightface, not 'easy'"):
        ArcFace(4, 4, rule="easy")
