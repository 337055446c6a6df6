"""Averaged weights against a literal loop."""

import pytest
import torch
from torch import nn

from resight.errors import InvalidInput
from resight.training.average import Average


def test_it_is_the_moving_average_with_a_quick_start():
    network = nn.BatchNorm1d(2)
    average = Average(network, 0.5)
    expected = network.weight.detach().clone()
    for step in range(8):
        with torch.no_grad():
            network.weight.add_(1.0)
            network.num_batches_tracked.add_(1)
        average.update(network)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
    torch.testing.assert_close(average.state()["weight"], expected)
    assert average.state()["num_batches_tracked"] == 8


def test_it_takes_the_networks_place_and_gives_it_back():
    network = nn.Linear(1, 1)
    average = Average(network, 0.9)
    start = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.fill_(5.0)
    with average.in_place_of(network):
        assert torch.equal(network.weight, start)
    assert network.weight.item() == 5.0


def test_a_decay_of_one_is_refused():
    with pytest.raises(InvalidInput, match="below 1"):
        Average(nn.Linear(1, 1), 1.0)
