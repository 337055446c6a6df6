"""The mean of errors that a network computes itself."""

from __future__ import annotations

import pytest
import torch

from resight.errors import InvalidInput
from resight.losses import Mean


def test_the_mean_of_errors():
    errors = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    value = Mean()(errors, torch.tensor([0, 1, 1]))
    value.backward()
    assert value.item() == 3
    assert errors.grad.tolist() == pytest.approx([1 / 3] * 3)
    for bad in (torch.zeros(2), torch.zeros(0), torch.zeros(3, 1)):
        with pytest.raises(InvalidInput, match="give one error an image"):
            Mean()(bad, torch.tensor([0, 1, 1]))
