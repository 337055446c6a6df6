"""What a builder of a trunk hands to `Backbone`: the network and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.networks.trunks.strides import Tap

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "TrunkNet", "choose", "refuse_timm_options"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pixels in R, G, B of 0..1."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviation."""


@dataclass(frozen=True, slots=True, eq=False)
class TrunkNet:
    """A network that gives feature maps, and what is known of it.

    Attributes:
        net: Images to feature maps, shallow to deep.
        name: Name of the trunk without its source.
        taps: All maps the trunk has, shallow to deep.
        chosen: Which of them are wanted, numbers into ``taps``.
        picks: Which of the maps that ``net`` gives these are, numbers into them.
        mean: What is subtracted from each channel of 0..1, in ``channel_order``.
        std: What divides it then.
        channel_order: Order of the channels in its input.
        licence: Licence of its published weights.
        options: Arguments with which it was built.
        image_size: Rows and columns of the only size it takes; ``None`` where it takes any.
        whole_cells: Whether it takes whole cells only.
        signed: Whether it is a transformer or its like, whose maps are negative as often as positive.
        has_class_token: Whether it has one.
        channels_last: Whether its maps are ``(batch, rows, columns, channels)``.
    """

    net: nn.Module
    name: str
    taps: tuple[Tap, ...]
    chosen: tuple[int, ...]
    picks: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: Literal["RGB", "BGR"] = "RGB"
    licence: str = "unknown"
    options: Mapping[str, JSON] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    whole_cells: bool = False
    signed: bool = False
    has_class_token: bool = False
    channels_last: bool = False


def choose(trunk: str, taps: Sequence[Tap], out_indices: Sequence[int] | None) -> tuple[int, ...]:
    """Returns the numbers of the wanted maps, counted from the shallowest; all of them for ``None``.

    Raises:
        InvalidInput: There is no such map.
    """
    count = len(taps)
    wanted = range(count) if out_indices is None else out_indices
    if not wanted or not all(-count <= index < count for index in wanted):
        raise InvalidInput(
            f"the trunk {trunk} gives no feature maps with out_indices={tuple(wanted)}: it has {count}"
        )
    return tuple(index % count for index in wanted)


def refuse_timm_options(trunk: str, output_stride: int | None, options: Mapping[str, JSON] | None) -> None:
    """Returns if nothing was asked for that only timm's trunks have.

    Raises:
        InvalidInput: An output stride or options.
    """
    if output_stride is not None or options:
        raise InvalidInput(
            f"the trunk {trunk} gives no feature maps with output_stride={output_stride} and options "
            f"{dict(options or {})}: only timm's trunks have these; see without_stride"
        )
