"""A network's descriptor as a sum over the locations of its maps.

Every pooling here is homogeneous of degree one in a channel's activations once norms are held: the channel is
then the sum over locations of activation times gradient (Euler). So a location's share is exact for the mean;
for GeM it weighs a location by ``x^p``, for a maximum it is all with the location that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.images import Photo
from resight.models.architectures import GlobalNet
from resight.models.delg_describer import DELGDescriber
from resight.models.explain.parts import Method, Parts, resample
from resight.models.network_describer import NetworkDescriber
from resight.models.preprocess import to_input
from resight.networks.cgd import CGD
from resight.networks.delg import DELG
from resight.networks.dolg import DOLG
from resight.networks.embedding import Embedding
from resight.networks.gem import GeMNet
from resight.networks.global_net import at_least_a_cell, join_scales
from resight.networks.pooling import EPSILON, RMAC, SPoC, mac, rmac_regions

__all__ = ["parts_of_network"]


@dataclass(frozen=True, slots=True)
class _Shares:
    """A vector as a sum: of ``cells`` (channels, rows, columns) and ``constant`` (channels,)."""

    cells: Tensor
    constant: Tensor

    @property
    def total(self) -> Tensor:
        return self.cells.sum(dim=(1, 2)) + self.constant

    def through(self, layer: nn.Linear) -> _Shares:
        """Returns the layer's output in parts."""
        constant = layer.weight @ self.constant
        cells = torch.einsum("oc,chw->ohw", layer.weight, self.cells)
        return _Shares(cells, constant if layer.bias is None else constant + layer.bias)

    def over(self, norm: Tensor | float) -> _Shares:
        return _Shares(self.cells / norm, self.constant / norm)

    def unit(self, *, addend: float = 0.0) -> _Shares:
        norm = torch.linalg.vector_norm(self.total) + addend
        return self.over(norm.clamp(min=torch.finfo(torch.float32).tiny))

    def on(self, rows: int, columns: int) -> _Shares:
        """Returns the same on another grid over the same image."""
        down, across = (
            torch.from_numpy(resample(old, new)).to(self.cells)
            for old, new in zip(self.cells.shape[1:], (rows, columns), strict=True)
        )
        return _Shares(torch.einsum("rh,chw,kw->crk", down, self.cells, across), self.constant)


def parts_of_network(describer: NetworkDescriber | DELGDescriber, photo: Photo) -> Parts:
    """Returns a photo's descriptor in parts, on the grid of the largest of its scales' maps.

    Cells share the image evenly; padding moves what a cell sees by less than one cell.
    """
    if isinstance(describer, NetworkDescriber) and describer.super_global is not None:
        raise InvalidInput(
            "a descriptor of SuperGlobal is a maximum over scales and has no parts that add up to it: "
            "explain with the same network described in its own way"
        )
    net: GlobalNet = describer.net
    device = next(net.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(photo.pixels))[None].to(device)
    with torch.no_grad():
        image = to_input(pixels, describer.preprocessing)
        scales = [_shares(net, resized) for resized in _resized(describer, image)]
        rows = max(each.cells.shape[1] for each in scales)
        columns = max(each.cells.shape[2] for each in scales)
        power = net.scale_power if isinstance(net, GeMNet) else 1.0
        joined = _join([each.on(rows, columns) for each in scales], power)
        if not bool(joined.total.any()):
            # As the model: a photo without any response gets the direction without a preference.
            joined = _Shares(joined.cells, torch.full_like(joined.constant, net.dim**-0.5))
    method: Method = "exact" if all(isinstance(each, SPoC) for each in _poolings(net)) else "gradient"
    vectors = joined.cells.permute(1, 2, 0).contiguous().cpu().numpy()
    return Parts(vectors, joined.constant.cpu().numpy(), method)


def _resized(describer: NetworkDescriber | DELGDescriber, image: Tensor) -> list[Tensor]:
    """Returns the image at each scale at which the model describes it."""
    sizes: list[Tensor] = []
    if isinstance(describer, DELGDescriber):
        for scale in describer.traits.scales:
            size = [max(1, round(side * scale)) for side in image.shape[2:]]
            sizes.append(nn.functional.interpolate(image, size, mode="bilinear", align_corners=False))
        return sizes

    def note(resized: Tensor) -> Tensor:
        sizes.append(resized)
        return torch.ones(len(resized), 1, device=resized.device)

    join_scales(note, image, describer.traits.scales, power=1.0)
    return sizes


def _shares(net: GlobalNet, image: Tensor) -> _Shares:
    """Returns the unit descriptor at one scale in parts."""
    maps = net.trunk(at_least_a_cell(net.trunk, image))
    deep = maps[-1]
    match net:
        case GeMNet():
            pooled = _pool(net.pooling, deep).unit(addend=EPSILON)
            return pooled if net.whitening is None else pooled.through(net.whitening).unit(addend=EPSILON)
        case Embedding():
            return _pool(net.pooling, deep).through(net.linear).unit()
        case DELG():
            return _pool(net.pooling, deep).through(net.whitening).unit()
        case CGD():
            branches = [
                _pool(pooling, deep).through(cast("nn.Linear", layer)).unit()
                for pooling, layer in zip(net.poolings, net.projections, strict=True)
            ]
            return _combine(branches, together=net.config.combine == "sum").unit()
        case DOLG():
            return _dolg(net, maps)


def _combine(branches: Sequence[_Shares], *, together: bool) -> _Shares:
    cells, constants = [each.cells for each in branches], [each.constant for each in branches]
    if together:
        return _Shares(torch.stack(cells).sum(dim=0), torch.stack(constants).sum(dim=0))
    return _Shares(torch.cat(cells), torch.cat(constants))


def _dolg(net: DOLG, maps: Sequence[Tensor]) -> _Shares:
    """The projection onto the global feature is linear in the local one, the global one being held."""
    rows, columns = maps[0].shape[2:]
    whole = _pool(net.pooling, maps[-1]).through(net.whole)
    direction = whole.total
    fused = []
    for place, branch in net.branches.items():
        local = branch(maps[0] if place == "shallow" else maps[-1])[0]
        cells = local / local[0].numel()
        if net.config.fusion == "orthogonal":
            share = torch.einsum("c,chw->hw", direction, cells) / direction.square().sum().clamp(min=EPSILON)
            cells = cells - share * direction[:, None, None]
        elif net.config.fusion == "hadamard":
            cells = cells * direction[:, None, None]
        fused.append(_Shares(cells, torch.zeros_like(direction)).on(rows, columns))
    first = [] if fused and net.config.fusion == "hadamard" else [whole.on(rows, columns)]
    return _combine([*first, *fused], together=False).through(net.head).unit()


def _pool(pooling: nn.Module, maps: Tensor) -> _Shares:
    """Returns a pooled map in parts: activation times gradient at each location."""
    with torch.enable_grad():
        values = maps.detach().float().requires_grad_()
        pooled = _held(pooling, values)
        (gradient,) = torch.autograd.grad(pooled.sum(), values)
    cells = values.detach() * gradient
    return _Shares(cells[0], torch.zeros_like(pooled[0].detach()))


def _held(pooling: nn.Module, maps: Tensor) -> Tensor:
    """Returns the pooled map, so that a channel of it depends on that channel alone."""
    if not isinstance(pooling, RMAC):
        pooled: Tensor = pooling(maps)
        return pooled
    rows, columns = maps.shape[2:]
    regions = [maps] + [
        maps[..., row : row + side, column : column + side]
        for row, column, side in rmac_regions(rows, columns, pooling.levels)
    ]
    total = torch.zeros_like(maps[..., 0, 0])
    for region in regions:
        largest = mac(region)
        norm = torch.linalg.vector_norm(largest.detach(), dim=1, keepdim=True)
        total = total + largest / (norm + EPSILON)
    return total


def _poolings(net: GlobalNet) -> list[nn.Module]:
    if isinstance(net, CGD):
        return list(net.poolings)
    return [net.pooling]


def _join(scales: Sequence[_Shares], power: float) -> _Shares:
    """Returns ``((1/S) Σ v_s^m)^(1/m)`` in parts, of unit norm: v_s counts by ``(v_s / joined)^(m-1)``."""
    totals = torch.stack([each.total for each in scales])
    joined = totals.pow(power).mean(dim=0).pow(1 / power)
    counts = (totals / joined).pow(power - 1) if power != 1 else torch.ones_like(totals)
    counts = torch.where(joined > 0, counts, 1.0) if power != 1 else counts
    cells = torch.stack(
        [each.cells * count[:, None, None] for each, count in zip(scales, counts, strict=True)]
    )
    constants = torch.stack([each.constant * count for each, count in zip(scales, counts, strict=True)])
    return _Shares(cells.mean(dim=0), constants.mean(dim=0)).unit()
