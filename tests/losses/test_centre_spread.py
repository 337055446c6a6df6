"""The spread of centres: finite where they coincide; and the count of distinct ones."""

from __future__ import annotations

import math

import pytest
import torch

from resight.errors import InvalidInput
from resight.losses.centre_spread import centre_spread, distinct_centres


def test_gradient_is_that_of_finite_differences() -> None:
    centres = torch.randn(7, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(centre_spread, (centres.requires_grad_(),))


def test_hand_computed() -> None:
    # Two classes: opposite centres at distance 2, orthogonal ones at √2; pairs once, over C·K·(K - 1) = 4.
    centres = torch.tensor([[[1.0, 0], [-3, 0]], [[0, 2], [5, 0]]], dtype=torch.float64)
    expected = (math.sqrt(4 + 1e-5) + math.sqrt(2 + 1e-5)) / 4
    assert centre_spread(centres).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_where_centres_coincide(dtype: torch.dtype) -> None:
    one = torch.randn(4, 1, 9, dtype=dtype, generator=torch.Generator().manual_seed(0))
    centres = one.repeat(1, 3, 1).requires_grad_()
    spread = centre_spread(centres)
    spread.backward()
    assert spread.item() == pytest.approx(math.sqrt(1e-5) / 2, rel=0.1)
    assert centres.grad is not None
    assert centres.grad.isfinite().all()


def test_one_centre_has_no_spread() -> None:
    with pytest.raises(InvalidInput, match="the spread of one centre a class is not defined"):
        centre_spread(torch.ones(3, 1, 2))


def at_angles(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_close_centres_count_as_one_and_chains_too() -> None:
    # Five degrees are a distance of 0.087, ten 0.174: a chain of steps of five is one centre, order or not.
    centres = torch.stack(
        [
            at_angles(0, 5, 10, 15, 20, 25),
            at_angles(20, 0, 10, 25, 5, 15),
            at_angles(0, 10, 20, 30, 40, 50),
            at_angles(0, 5, 90, 95, 180, 200),
            at_angles(7, 7, 7, 7, 7, 7),
        ]
    )
    lengths = torch.tensor([1, 2, 3, 4, 5, 6.0]).view(1, 6, 1)
    assert distinct_centres(centres * lengths).tolist() == [1, 1, 6, 4, 1]
    assert distinct_centres(centres, distance=0.01).tolist() == [6, 6, 6, 6, 1]
