"""The trunks of the papers by the names the papers give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from resight.files.json import JSON
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.strides import Stage

__all__ = ["NAMES", "named"]


@dataclass(frozen=True, slots=True)
class _Trunk:
    """What a name stands for: a trunk of `Backbone`, and which of its maps is the deepest to be used."""

    backbone: str
    deepest: int = -1


# The classic ImageNet weights where timm has several. VGG-16 ends before its last pooling, as AlexNet does
# here: so GeM uses them (the code of Radenović, Tolias and Chum 2018).
_TRUNKS: Mapping[str, _Trunk] = MappingProxyType(
    {
        "alexnet": _Trunk("torchvision:alexnet"),
        "bn_inception": _Trunk("bn_inception"),
        "resnet50": _Trunk("resnet50.tv_in1k"),
        "resnet101": _Trunk("resnet101.tv_in1k"),
        "seresnet50": _Trunk("seresnet50.ra2_in1k"),
        "shufflenet_v2": _Trunk("torchvision:shufflenet_v2_x1_0"),
        "vgg16": _Trunk("vgg16.tv_in1k", deepest=-2),
    }
)

NAMES = tuple(_TRUNKS)
"""The names of the papers' trunks."""


def named(
    name: str,
    *,
    pretrained: bool = False,
    weights: str | Path | None = None,
    output_stride: int | None = None,
    without_stride: Stage | None = None,
    options: Mapping[str, JSON] | None = None,
    maps: int = 1,
) -> Backbone:
    """Returns a trunk that gives its deepest map alone, or the deepest few.

    Args:
        name: One of `NAMES`, or any name that `Backbone` takes.
        pretrained: Load the published weights.
        weights: A file of them, for the trunks that are not timm's.
        output_stride: Stride of the deepest map, where timm can dilate the trunk.
        without_stride: A stage whose down-sampling is removed.
        options: Further arguments of timm to build the trunk.
        maps: How many maps, counted from the deepest.

    Raises:
        UnknownModel: There is no such trunk.
        InvalidInput: It gives no feature maps, or has no such stage.
        WeightsUnavailable: The weights are not here and cannot be fetched, or do not fit.
        MissingExtra: timm is not installed.
    """
    trunk = _TRUNKS.get(name, _Trunk(name))
    return Backbone(
        trunk.backbone,
        pretrained=pretrained,
        weights=weights,
        out_indices=tuple(range(trunk.deepest - maps + 1, trunk.deepest + 1)),
        output_stride=output_stride,
        without_stride=without_stride,
        options=options,
    )
