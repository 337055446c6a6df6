"""BN-Inception, the trunk of SoftTriple, ProxyNCA and Proxy-Anchor, which timm and torchvision lack.

Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
Shift", 2015, section 4.2 and figure 5, in the widths of the public model that was converted from Caffe. The
names of its tensors are those of that conversion, so that a copy of the public weights can be loaded. Two
deviations from it: batch statistics follow torch's momentum of 0.1, which is what Caffe's 0.9 means, and
maps of odd size pass, whose convolutions and poolings end in equal sizes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from resight.files.json import JSON
from resight.networks.trunks._weights import fetch, load_into, read_weights
from resight.networks.trunks.strides import Tap
from resight.networks.trunks.trunk_net import TrunkNet, choose, refuse_timm_options

__all__ = ["MEAN", "NAME", "STD", "BNInception", "build"]

NAME = "bn_inception"
"""What `Backbone` calls this trunk."""

MEAN = (104 / 255, 117 / 255, 128 / 255)
"""Subtracted from B, G, R of 0..1: the public weights were trained on 0..255 less 104, 117, 128."""

STD = (1 / 255, 1 / 255, 1 / 255)
"""Divides then: their input is not scaled."""

_URL = "http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth"
_LEFTOVER = ("last_linear.", "fc.")


@dataclass(frozen=True, slots=True)
class _Block:
    """Widths of one Inception block; a width of zero is a branch it lacks.

    The branches: 1x1; 3x3 after a 1x1 reduction; two 3x3 after a 1x1 reduction; pooling with a 1x1 after it.
    """

    name: str
    one: int
    three_reduce: int
    three: int
    double_reduce: int
    double: int
    pool: Literal["average", "maximum", "pass"]
    projection: int = 0


_BLOCKS = (
    _Block("3a", 64, 64, 64, 64, 96, "average", 32),
    _Block("3b", 64, 64, 96, 64, 96, "average", 64),
    _Block("3c", 0, 128, 160, 64, 96, "pass"),
    _Block("4a", 224, 64, 96, 96, 128, "average", 128),
    _Block("4b", 192, 96, 128, 96, 128, "average", 128),
    _Block("4c", 160, 128, 160, 128, 160, "average", 128),
    _Block("4d", 96, 128, 192, 160, 192, "average", 128),
    _Block("4e", 0, 128, 192, 192, 256, "pass"),
    _Block("5a", 352, 192, 320, 160, 224, "average", 128),
    _Block("5b", 352, 192, 320, 192, 224, "maximum", 128),
)

_TAPS = (
    Tap("conv1_7x7_s2_relu", 64, 2),
    Tap("conv2_3x3_relu", 192, 4),
    Tap("inception_3b_output", 320, 8),
    Tap("inception_4d_output", 608, 16),
    Tap("inception_5b_output", 1024, 32),
)


@final
class _HalvingPool(nn.MaxPool2d):
    """Maximum pooling of 3x3 at stride 2 without padding: n cells become n/2, rounded up.

    On even sizes the public model's. On odd ones, which that refuses, a last window starts at the last cell,
    so that the result fits beside that of a convolution of stride 2.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """Returns the pooled maps."""
        if self.stride == 2:
            rows, columns = input.shape[2:]
            padded = nn.functional.pad(input, (0, columns % 2, 0, rows % 2), mode="replicate")
            return super().forward(padded)
        return super().forward(input)


@final
class BNInception(nn.Module):
    """BN-Inception without its classifier: images to feature maps at strides 2, 4, 8, 16 and 32.

    Images are B, G, R of 0..255 with `MEAN` times 255 subtracted, at least 7 pixels high and wide.
    """

    def __init__(self) -> None:
        """Builds it with random weights."""
        super().__init__()
        self._convolution("conv1_7x7_s2", 3, 64, kernel=7, stride=2)
        self.pool1_3x3_s2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self._convolution("conv2_3x3_reduce", 64, 64)
        self._convolution("conv2_3x3", 64, 192, kernel=3)
        self.pool2_3x3_s2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        channels = 192
        for block in _BLOCKS:
            channels = self._block(block, channels)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Returns the five feature maps, shallow to deep; all are at least zero."""
        first = self._apply_convolution("conv1_7x7_s2", images)
        x = self._apply_convolution("conv2_3x3_reduce", self.pool1_3x3_s2(first))
        second = self._apply_convolution("conv2_3x3", x)
        maps = [first, second]
        x = self.pool2_3x3_s2(second)
        for block in _BLOCKS:
            x = self._apply_block(block, x)
            if block.name in ("3b", "4d", "5b"):
                maps.append(x)
        return tuple(maps)

    def _convolution(self, name: str, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))
        self.add_module(f"{name}_relu", nn.ReLU(inplace=True))

    def _apply_convolution(self, name: str, x: Tensor) -> Tensor:
        for suffix in ("", "_bn", "_relu"):
            x = self.get_submodule(f"{name}{suffix}")(x)
        return x

    def _block(self, block: _Block, inputs: int) -> int:
        """Adds a block's layers and returns its number of channels."""
        name = f"inception_{block.name}"
        stride = 2 if block.pool == "pass" else 1
        if block.one:
            self._convolution(f"{name}_1x1", inputs, block.one)
        self._convolution(f"{name}_3x3_reduce", inputs, block.three_reduce)
        self._convolution(f"{name}_3x3", block.three_reduce, block.three, kernel=3, stride=stride)
        self._convolution(f"{name}_double_3x3_reduce", inputs, block.double_reduce)
        self._convolution(f"{name}_double_3x3_1", block.double_reduce, block.double, kernel=3)
        self._convolution(f"{name}_double_3x3_2", block.double, block.double, kernel=3, stride=stride)
        pool: nn.Module
        match block.pool:
            case "average":
                pool = nn.AvgPool2d(3, stride=1, padding=1)
            case "maximum":
                pool = nn.MaxPool2d(3, stride=1, padding=1)
            case "pass":
                pool = _HalvingPool(3, stride=2, ceil_mode=True)
        self.add_module(f"{name}_pool", pool)
        if block.projection:
            self._convolution(f"{name}_pool_proj", inputs, block.projection)
        self.add_module(f"{name}_output", _Join())
        return block.one + block.three + block.double + (block.projection or inputs)

    def _apply_block(self, block: _Block, x: Tensor) -> Tensor:
        name = f"inception_{block.name}"
        branches = [self._apply_convolution(f"{name}_1x1", x)] if block.one else []
        branches.append(self._chain(x, f"{name}_3x3_reduce", f"{name}_3x3"))
        branches.append(
            self._chain(x, f"{name}_double_3x3_reduce", f"{name}_double_3x3_1", f"{name}_double_3x3_2")
        )
        pooled = self.get_submodule(f"{name}_pool")(x)
        branches.append(self._chain(pooled, f"{name}_pool_proj") if block.projection else pooled)
        joined: Tensor = self.get_submodule(f"{name}_output")(branches)
        return joined

    def _chain(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = self._apply_convolution(name, x)
        return x


@final
class _Join(nn.Module):
    """The branches of a block side by side; a module, so that a map has a name."""

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(branches), dim=1)


def build(
    *,
    pretrained: bool,
    weights: str | Path | None,
    out_indices: Sequence[int] | None,
    output_stride: int | None,
    options: Mapping[str, JSON] | None,
) -> TrunkNet:
    """Returns the trunk for `Backbone`, whose arguments these are.

    Raises:
        InvalidInput: There are no such maps, or the options are timm's.
        WeightsUnavailable: The weights are not there, or do not fit.
    """
    refuse_timm_options(NAME, output_stride, options)
    chosen = choose(NAME, _TAPS, out_indices)
    net = BNInception()
    if pretrained or weights is not None:
        path = fetch(_URL, wanted=NAME) if weights is None else weights
        load_into(net, read_weights(path, wanted=NAME), wanted=NAME, leftover=_LEFTOVER)
    return TrunkNet(net, NAME, _TAPS, chosen, chosen, MEAN, STD, channel_order="BGR")
