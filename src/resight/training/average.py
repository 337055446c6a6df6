"""An exponential moving average of a network's weights, to be evaluated and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from resight.errors import InvalidInput

__all__ = ["Average"]


@final
class Average:
    """The average ``a ← d·a + (1 − d)·w`` of every floating-point tensor of a network after each step.

    In the first steps d is ``(1 + n) / (10 + n)`` after n updates where that is smaller, or the random
    start would weigh for thousands of steps. Whole numbers (counters) are copied.

    Attributes:
        decay: d.
        updates: n, how many steps were averaged.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Starts at the network's present weights.

        Raises:
            InvalidInput: The decay is outside of 0 to 1.
        """
        if not 0 <= decay < 1:
            raise InvalidInput(f"the decay of averaged weights must be at least 0 and below 1, not {decay}")
        self.decay = decay
        self.updates = 0
        self._tensors = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Takes in the network's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self._tensors[name].lerp_(tensor, 1 - decay)
            else:
                self._tensors[name].copy_(tensor)
        self.updates += 1

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """Gives the network the averaged weights until the block ends."""
        own = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(self._tensors)
        try:
            yield
        finally:
            network.load_state_dict(own)

    def state(self) -> dict[str, Tensor]:
        """Returns the averaged tensors by name."""
        return self._tensors

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Goes on from what `state` and `updates` were."""
        self.updates = updates
        for name, tensor in tensors.items():
            self._tensors[name].copy_(tensor)
