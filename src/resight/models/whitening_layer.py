"""The whitening layer of a network, set from a whitening computed beforehand."""

from __future__ import annotations

import torch

from resight.errors import InvalidInput
from resight.models.whitening import Whitening
from resight.networks.gem import GeMNet

__all__ = ["initialise_whitening"]


def initialise_whitening(net: GeMNet, whitening: Whitening) -> None:
    """Sets the network's whitening layer, in place, to ``weight = P, bias = -P m``, as the authors of GeM do.

    Its descriptors at one scale are then those it gave without the layer, whitened, up to float32 rounding.

    Raises:
        InvalidInput: The network has no whitening layer, one of other sizes, or one without a bias.
    """
    layer = net.whitening
    if layer is None:
        raise InvalidInput(
            f"the network has no whitening layer: make it with dim={whitening.dim} in its GeMNetConfig"
        )
    sizes = (layer.in_features, layer.out_features)
    if sizes != (whitening.inputs, whitening.dim) or layer.bias is None:
        bias = "" if layer.bias is not None else " without a bias"
        raise InvalidInput(
            f"the whitening goes from {whitening.inputs} to {whitening.dim} dimensions and the network's "
            f"layer from {sizes[0]} to {sizes[1]}{bias}: give it dim={whitening.dim} in its GeMNetConfig"
        )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(whitening.matrix.copy()))
        layer.bias.copy_(torch.from_numpy(-whitening.matrix @ whitening.mean))
