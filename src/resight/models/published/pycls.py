"""ResNets of pycls: the names of their tensors, and the trunk they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from resight.errors import InvalidInput
from resight.models.published.matching import TRUNK
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.named import TrunkConfig

__all__ = ["build_trunk", "source_names"]

_DEPTHS = {6: 50, 23: 101, 36: 152}
"""Layers of the network by the blocks of its third stage (He et al. 2016, table 1)."""

_STEM = {"conv1": "conv", "bn1": "bn"}
_BLOCK = {
    "downsample.0": "proj",
    "downsample.1": "bn",
    "conv1": "f.a",
    "bn1": "f.a_bn",
    "conv2": "f.b",
    "bn2": "f.b_bn",
    "conv3": "f.c",
    "bn3": "f.c_bn",
}
_IN_A_BLOCK = re.compile(r"layer(\d)\.(\d+)\.(.+)\.(\w+)")


def source_names(prefix: str, layers: Mapping[str, str]) -> Callable[[str], str]:
    """Returns the function from one of our names to the authors'.

    Args:
        prefix: What stands before pycls' own names of the trunk's tensors.
        layers: Their name of every layer outside the trunk, by ours.
    """

    def source_of(name: str) -> str:
        if name.startswith(TRUNK):
            return prefix + _in_the_trunk(name.removeprefix(TRUNK))
        layer, _, tensor = name.rpartition(".")
        return f"{layers[layer]}.{tensor}"

    return source_of


def _in_the_trunk(name: str) -> str:
    """Returns what pycls calls a tensor of timm's bottleneck ResNet."""
    match = _IN_A_BLOCK.fullmatch(name)
    if match is None:
        layer, _, tensor = name.partition(".")
        return f"stem.{_STEM[layer]}.{tensor}"
    stage, block, layer, tensor = match.groups()
    return f"s{stage}.b{int(block) + 1}.{_BLOCK[layer]}.{tensor}"


def build_trunk(names: Collection[str], *, path: str, prefix: str, maps: int) -> Backbone:
    """Returns the ResNet with random weights whose tensors have these names.

    Args:
        names: Names of all tensors of the authors' file.
        path: That file, for the message.
        prefix: What stands before pycls' own names.
        maps: Number of its deepest maps that the network uses.

    Raises:
        InvalidInput: Its third stage has a number of blocks that no ResNet of bottlenecks has.
    """
    stage = re.compile(re.escape(prefix) + r"s3\.b(\d+)\.")
    blocks = {int(match[1]) for name in names if (match := stage.match(name))}
    depth = _DEPTHS.get(max(blocks, default=0))
    if depth is None:
        raise InvalidInput(
            f"the checkpoint {path} holds a ResNet with {max(blocks, default=0)} blocks in its third stage; "
            f"accepted are {', '.join(f'{count} (ResNet-{layers})' for count, layers in _DEPTHS.items())}"
        )
    # The preprocessing of that tag is ImageNet's, which all of this family uses.
    return TrunkConfig(f"resnet{depth}.tv_in1k", pretrained=False).build(maps=maps)
