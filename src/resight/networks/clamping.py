"""How much of a trunk's activations GeM does not take: everything below 1e-6 counts as 1e-6."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resight.networks.pooling import GeM

__all__ = ["CLAMPED", "clamped_share"]

CLAMPED = 0.1
"""Share from which on it is worth a warning: trunks that end in a ReLU have none, others about a half."""


def clamped_share(net: nn.Module, rows: int, columns: int) -> float:
    """Returns the share of negative activations in what reaches GeM, by magnitude, of an image of noise.

    The network is left in the mode it is in. 0 where there is no GeM.

    Args:
        net: Takes normalised images ``(batch, 3, rows, columns)``.
        rows: Of the image.
        columns: Of the image.
    """
    shares: list[float] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        del module
        maps = inputs[0].float()
        shares.append(float(maps.clamp(max=0).abs().sum() / maps.abs().sum().clamp(min=1e-30)))

    hooks = [each.register_forward_pre_hook(look) for each in net.modules() if isinstance(each, GeM)]
    if not hooks:
        return 0.0
    training, device = net.training, next(net.parameters()).device
    noise = torch.randn(1, 3, rows, columns, generator=torch.Generator().manual_seed(0))
    net.eval()
    try:
        with torch.no_grad():
            net(noise.to(device))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return max(shares, default=0.0)
