"""Trunks of other packages by their dotted names, with what they declare of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.trunks.strides import Tap
from resight.networks.trunks.trunk_net import IMAGENET_MEAN, IMAGENET_STD, TrunkNet, choose
from resight.settings.foreign import foreign_part

__all__ = ["build"]


def build(
    name: str,
    *,
    out_indices: Sequence[int] | None,
    output_stride: int | None,
    options: Mapping[str, JSON] | None,
) -> TrunkNet:
    """Returns the trunk for `Backbone`, whose arguments these are.

    Raises:
        InvalidInput: The module is not imported, it has no such class, the class does not declare
            ``channels`` and ``strides``, or an output stride is set.
    """
    if output_stride is not None:
        raise InvalidInput(f"the trunk {name} has no output_stride: say it in its own options")
    part: Any = foreign_part(name, may_import=False)
    net = part(**(options or {}))
    if not hasattr(net, "channels") or not hasattr(net, "strides"):
        raise InvalidInput(f"the trunk {name} must declare channels and strides, a number a map each")
    taps = tuple(Tap("", *each) for each in zip(net.channels, net.strides, strict=True))
    chosen = choose(name, taps, out_indices)
    size = getattr(net, "image_size", None)
    mean, std = getattr(net, "mean", IMAGENET_MEAN), getattr(net, "std", IMAGENET_STD)
    image_size = None if size is None else (int(size[0]), int(size[1]))
    return TrunkNet(net, name, taps, chosen, chosen, mean, std, options=options or {}, image_size=image_size)
