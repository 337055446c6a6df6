"""The trunks of the papers by the names the papers give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, TypeAlias

from resight.networks.trunks import lite0, torchvision_trunk
from resight.networks.trunks.backbone import Backbone
from resight.networks.trunks.strides import Stage
from resight.settings.bounds import Count, check_fields
from resight.settings.foreign import foreign_part, is_dotted
from resight.settings.marks import ADDED_LATER

__all__ = ["NAMES", "TrunkConfig"]

Scalar: TypeAlias = bool | int | float | str
"""What an option of a trunk may be."""


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
        # Before the layer of ImageNet's classifier.
        lite0.NAME: _Trunk(lite0.NAME, deepest=-2),
        "resnet50": _Trunk("resnet50.tv_in1k"),
        "resnet101": _Trunk("resnet101.tv_in1k"),
        "seresnet50": _Trunk("seresnet50.ra2_in1k"),
        "shufflenet_v2": _Trunk("torchvision:shufflenet_v2_x1_0"),
        "vgg16": _Trunk("vgg16.tv_in1k", deepest=-2),
    }
)

NAMES = tuple(_TRUNKS)
"""The names of the papers' trunks."""


@dataclass(frozen=True, slots=True)
class TrunkConfig:
    """Which trunk a network has, and with which weights it begins.

    Attributes:
        name: One of `NAMES`, or any name that `Backbone` takes; ``package.module:Name`` for a trunk of your
            own, whose keyword arguments are the options.
        pretrained: Begin with the published weights of that name.
        weights: A file of published weights, for the trunks that are not timm's.
        output_stride: Stride of the deepest map, where timm can dilate the trunk.
        options: Further arguments of timm to build the trunk.
        whole: Keep the last normalisation and the trunk's own pooling, which the poolings ``trunk`` and
            ``trunk_and_gem`` take; of timm's trunks.

    Raises:
        InvalidInput: A setting is outside of its range.
    """

    name: str
    pretrained: bool = True
    weights: str | None = None
    output_stride: Count | None = None
    options: dict[str, Scalar | tuple[Scalar, ...]] = field(default_factory=dict)
    whole: Annotated[bool, ADDED_LATER] = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def backbone(self) -> str:
        """What `Backbone` calls the trunk."""
        return _TRUNKS.get(self.name, _Trunk(self.name)).backbone

    def build(self, *, maps: int = 1, without_stride: Stage | None = None) -> Backbone:
        """Returns the trunk, giving its deepest maps.

        Args:
            maps: How many maps, counted from the deepest.
            without_stride: A stage whose down-sampling is removed.

        Raises:
            UnknownModel: There is no such trunk.
            InvalidInput: The trunk gives no feature maps, or has no such stage.
            WeightsUnavailable: The weights are not here and cannot be fetched, or do not fit.
            MissingExtra: timm is not installed.
        """
        if is_dotted(self.name) and not self.name.startswith(f"{torchvision_trunk.SOURCE}:"):
            # Whoever writes the settings of a trunk wants its code; a bundle does not come this way.
            foreign_part(self.name, may_import=True)
        trunk = _TRUNKS.get(self.name, _Trunk(self.name))
        return Backbone(
            trunk.backbone,
            pretrained=self.pretrained and self.weights is None,
            weights=self.weights,
            out_indices=tuple(range(trunk.deepest - maps + 1, trunk.deepest + 1)),
            output_stride=self.output_stride,
            without_stride=without_stride,
            options=self.options,
            whole=self.whole,
        )
