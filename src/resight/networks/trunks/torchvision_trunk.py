"""Trunks of torchvision that timm lacks, AlexNet and ShuffleNet-v2; tensors keep their names there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from resight.errors import UnknownModel
from resight.files.json import JSON
from resight.networks.trunks._timm import import_timm
from resight.networks.trunks._weights import fetch, load_into, read_weights
from resight.networks.trunks.strides import Tap
from resight.networks.trunks.trunk_net import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Chain,
    TrunkNet,
    choose,
    refuse_timm_options,
)

__all__ = ["NAMES", "SOURCE", "build"]

SOURCE = "torchvision"
"""What stands before the colon in the name of such a trunk."""

NAMES = ("alexnet", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0")
"""What may stand after it."""

# Below this AlexNet's poolings, which have no padding, end in an empty map.
_ALEXNET_PIXELS = 31
_ALEXNET_LAYERS = 12  # all but the last pooling, as in the code of Radenović, Tolias and Chum 2018
_LEFTOVER = ("classifier.", "fc.", "features.12")


def build(
    name: str,
    *,
    pretrained: bool,
    weights: str | Path | None,
    out_indices: Sequence[int] | None,
    output_stride: int | None,
    options: Mapping[str, JSON] | None,
) -> TrunkNet:
    """Returns the trunk for `Backbone`, whose arguments these are.

    Raises:
        UnknownModel: Not one of `NAMES`.
        InvalidInput: There are no such maps, or the options are timm's.
        WeightsUnavailable: The weights are not there, or do not fit.
        MissingExtra: torchvision is not installed.
    """
    full = f"{SOURCE}:{name}"
    if name not in NAMES:
        raise UnknownModel(
            f"there is no trunk {full!r}: of torchvision there are {', '.join(NAMES)}, all others are timm's"
        )
    refuse_timm_options(full, output_stride, options)
    import_timm(f"the backbone {full}")
    from torchvision import models

    # Without memory first: AlexNet's classifier, which is left out, is 24 times as large as its trunk.
    with torch.device("meta"):
        model = models.get_model(name, weights=None)
    net, taps = _alexnet(model) if name == "alexnet" else _shufflenet(model)
    _initialise_(net.to_empty(device=torch.get_default_device()))
    chosen = choose(full, taps, out_indices)
    if weights is not None:
        load_into(net, read_weights(weights, wanted=full), wanted=full, leftover=_LEFTOVER)
    elif pretrained:
        path = fetch(models.get_model_weights(name).DEFAULT.url, wanted=full)
        load_into(net, read_weights(path, wanted=full), wanted=full, leftover=_LEFTOVER)
    return TrunkNet(net, full, taps, chosen, chosen, IMAGENET_MEAN, IMAGENET_STD, licence="bsd-3-clause")


def _alexnet(model: nn.Module) -> tuple[nn.Module, tuple[Tap, ...]]:
    layers = list(model.get_submodule("features").children())[:_ALEXNET_LAYERS]
    taps = (Tap("features.1", 64, 4), Tap("features.4", 192, 8), Tap("features.11", 256, 16))
    steps = [f"features.{number}" for number in range(_ALEXNET_LAYERS)]
    return Chain({"features": nn.Sequential(*layers)}, steps, taps, _ALEXNET_PIXELS), taps


def _shufflenet(model: nn.Module) -> tuple[nn.Module, tuple[Tap, ...]]:
    parts = {name: part for name, part in model.named_children() if name != "fc"}
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    first, last = shapes["conv1.0.weight"][0], shapes["conv5.0.weight"][0]
    # A block's output is its two halves side by side, each as wide as the last of its convolutions.
    middle = [2 * shapes[f"stage{stage}.0.branch2.5.weight"][0] for stage in (2, 3)]
    taps = (
        Tap("conv1", first, 2),
        Tap("maxpool", first, 4),
        Tap("stage2", middle[0], 8),
        Tap("stage3", middle[1], 16),
        Tap("conv5", last, 32),
    )
    return Chain(parts, list(parts), taps, 1), taps


def _initialise_(net: nn.Module) -> None:
    """Gives each layer torch's initial values, as torchvision does for these two."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.reset_parameters()
